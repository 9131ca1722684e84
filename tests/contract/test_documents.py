"""What existing clients count on, call by call."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
import websockets

from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus


@pytest.fixture
async def service(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(nats.url, tmp_path / "data", documents_max_bytes="3000000") as service:
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as client:
        yield client


async def upload(
    client: httpx.AsyncClient,
    name: str = "notes.txt",
    data: bytes = b"hello",
    *,
    kind: str = "text/plain",
    **fields: str,
) -> dict[str, Any]:
    answer = await client.post("/documents", files={"file": (name, data, kind)}, data=fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def refused(call: Any, status: int) -> str:
    answer = await call
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["status_code"] == status
    assert "Traceback" not in answer.text
    return str(body["detail"])


async def test_health(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "healthy"
    assert answer.json()["service"] == "documents"


async def test_an_upload_becomes_a_document(client: httpx.AsyncClient, service: Service) -> None:
    metadata = json.dumps({"description": "what it is", "author": "ann"})
    made = await upload(client, tags="board, stm32,board,", metadata=metadata)
    assert re.fullmatch(r"doc_[0-9a-f]+", made["id"])
    assert made["filename"] == "notes.txt"
    assert made["content_type"] == "text/plain"
    assert made["size_bytes"] == 5
    assert made["tags"] == ["board", "stm32"]
    assert made["metadata"] == {"description": "what it is", "author": "ann"}
    assert made["description"] == "what it is"
    assert made["checksum"] == hashlib.sha256(b"hello").hexdigest()
    assert made["url"] == f"{service.url}/documents/{made['id']}"
    assert made["created_at"] == made["updated_at"]
    assert made["created_at"].endswith("Z")
    assert (await client.get(made["url"])).content == b"hello"
    assert (await client.get(f"/documents/{made['id']}/metadata")).json() == made
    assert service.incoming == []


async def test_an_upload_that_is_none_is_refused_with_the_reason(client: httpx.AsyncClient, service: Service) -> None:
    file = {"file": ("a.txt", b"x", "text/plain")}

    def post(**given: Any) -> Any:
        return client.post("/documents", **given)

    assert "JSON" in await refused(post(files=file, data={"metadata": "{nope"}), 400)
    assert "metadata" in await refused(post(files=file, data={"metadata": "[1]"}), 400)
    assert "metadata" in await refused(post(files=file, data={"metadata": '{"n": 1}'}), 400)
    assert "'bad tag!'" in await refused(post(files=file, data={"tags": "good,bad tag!"}), 400)
    assert "'ü'" in await refused(post(files=file, data={"tags": "ü"}), 400)
    assert "name" in await refused(post(files={"file": ("", b"x")}), 400)
    assert "name" in await refused(post(files={"file": ("..", b"x")}), 400)
    assert "'file'" in await refused(post(files={"other": ("a", b"x")}), 400)
    assert "one file" in await refused(post(files=[("file", ("a", b"x")), ("file", ("b", b"x"))]), 400)
    assert "multipart" in await refused(post(json={"file": "x"}), 400)
    assert "multipart" in await refused(post(content=b""), 400)
    broken = {"content-type": "multipart/form-data; boundary=abc"}
    assert "form" in await refused(post(content=b"--abc\r\nnonsense\r\n", headers=broken), 400)
    assert "form" in await refused(post(content=b"", headers=broken), 400)
    assert await (await client.get("/documents")).aread() == b"[]"
    assert service.incoming == []


async def test_an_upload_over_the_limit_is_refused_whether_it_says_so_or_not(
    client: httpx.AsyncClient, service: Service
) -> None:
    big = b"x" * 3_000_001
    assert "3000000" in await refused(client.post("/documents", files={"file": ("b", big)}), 413)

    async def unannounced() -> AsyncIterator[bytes]:
        yield b'--abc\r\nContent-Disposition: form-data; name="file"; filename="b"\r\n\r\n'
        for _ in range(40):
            yield b"x" * 100_000
        yield b"\r\n--abc--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=abc"}
    assert "3000000" in await refused(client.post("/documents", content=unannounced(), headers=headers), 413)
    assert service.incoming == []
    assert (await upload(client, data=big[1:]))["size_bytes"] == 3_000_000


async def test_an_upload_that_is_repeated_with_its_key_is_one_document(client: httpx.AsyncClient) -> None:
    def post(data: bytes, key: str) -> Any:
        return client.post("/documents", files={"file": ("a", data)}, headers={"idempotency-key": key})

    answers = await asyncio.gather(*(post(b"once", "k 1") for _ in range(3)))
    assert [one.status_code for one in answers] == [201, 201, 201]
    assert len({one.json()["id"] for one in answers}) == 1
    assert "Idempotency-Key" in await refused(post(b"other", "k 1"), 409)
    assert (await post(b"other", "k 2")).status_code == 201
    assert (await client.get("/documents")).headers["x-total-count"] == "2"


async def test_documents_are_listed_newest_first_and_filtered(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await upload(client, f"Report-{number}.txt", tags="all" + (",odd" if number % 2 else ""))
    await upload(client, "100%_sure.md", tags="odd")

    async def names(**query: Any) -> tuple[list[str], int]:
        answer = await client.get("/documents", params=query)
        assert answer.status_code == 200
        return [one["filename"] for one in answer.json()], int(answer.headers["x-total-count"])

    assert (await names())[0][:2] == ["100%_sure.md", "Report-4.txt"]
    assert (await names())[1] == 6
    assert await names(filename="report-", limit=2, offset=1) == (["Report-3.txt", "Report-2.txt"], 5)
    assert await names(filename="%_") == (["100%_sure.md"], 1)
    assert await names(tags="odd") == (["100%_sure.md", "Report-3.txt", "Report-1.txt"], 3)
    assert await names(tags="all, odd") == (["Report-3.txt", "Report-1.txt"], 2)
    assert await names(tags="all,odd", filename="3") == (["Report-3.txt"], 1)
    assert await names(tags="nobody") == ([], 0)
    assert await names(limit=0) == ([], 6)
    for query in ({"limit": -1}, {"limit": "many"}, {"offset": -1}, {"limit": 10**9}, {"offset": 10**30}):
        await refused(client.get("/documents", params=query), 400)


async def test_tags_are_counted(client: httpx.AsyncClient) -> None:
    assert (await client.get("/documents/tags")).json() == {"tags": []}
    first = await upload(client, tags="b,a")
    await upload(client, tags="c,b")
    expected = [{"name": "b", "count": 2}, {"name": "a", "count": 1}, {"name": "c", "count": 1}]
    assert (await client.get("/documents/tags")).json() == {"tags": expected}
    await client.patch(f"/documents/{first['id']}", json={"tags": ["c"]})
    expected = [{"name": "c", "count": 2}, {"name": "b", "count": 1}]
    assert (await client.get("/documents/tags")).json() == {"tags": expected}
    await client.delete(f"/documents/{first['id']}")
    expected = [{"name": "b", "count": 1}, {"name": "c", "count": 1}]
    assert (await client.get("/documents/tags")).json() == {"tags": expected}


async def test_bytes_come_with_everything_a_client_needs(client: httpx.AsyncClient) -> None:
    made = await upload(client, 'Übersicht "neu".txt', b"0123456789", kind="text/plain")
    answer = await client.get(f"/documents/{made['id']}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "10"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"] == f'"{made["checksum"]}"'
    served = answer.headers["content-disposition"]
    assert served.startswith("attachment; filename=\"_bersicht _neu_.txt\"; filename*=UTF-8''")
    assert unquote(served.partition("UTF-8''")[2]) == 'Übersicht "neu".txt'


async def test_what_the_client_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    made = await upload(client)
    path = f"/documents/{made['id']}"
    etag = (await client.get(path)).headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        answer = await client.get(path, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await client.get(path, headers={"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize(
    ("asked", "got", "where"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
async def test_a_range_of_bytes(client: httpx.AsyncClient, asked: str, got: bytes, where: str) -> None:
    made = await upload(client, data=b"0123456789")
    answer = await client.get(f"/documents/{made['id']}", headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == got
    assert answer.headers["content-range"] == where
    assert answer.headers["content-length"] == str(len(got))


async def test_a_range_that_is_none_or_of_something_else_is_ignored_and_one_outside_is_refused(
    client: httpx.AsyncClient,
) -> None:
    made = await upload(client, data=b"0123456789")
    path = f"/documents/{made['id']}"
    for asked in ("bytes=3-1", "bytes=a-b", "lines=1-2", "bytes=0-1,4-5", "bytes=-"):
        answer = await client.get(path, headers={"range": asked})
        assert (answer.status_code, answer.content) == (200, b"0123456789"), asked
    answer = await client.get(path, headers={"range": "bytes=0-1", "if-range": '"another"'})
    assert answer.status_code == 200
    answer = await client.get(path, headers={"range": "bytes=0-1", "if-range": f'"{made["checksum"]}"'})
    assert answer.status_code == 206
    for asked in ("bytes=10-", "bytes=-0"):
        answer = await client.get(path, headers={"range": asked})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")
        assert "10 bytes" in answer.json()["detail"]


async def test_a_text_can_be_read_in_part_by_characters(client: httpx.AsyncClient) -> None:
    text = "äöü€😀" * 60_000  # several pieces of the store, and characters that lie across their seams
    made = await upload(client, "text.md", text.encode(), kind="text/markdown")
    path = f"/documents/{made['id']}"
    windows = [(0, 5), (3, 4), (131_071, 10), (299_998, 50), (400_000, 5), (7, 0)]
    for offset, limit in windows:
        answer = await client.get(path, params={"offset": offset, "limit": limit})
        start, stop = min(offset, len(text)), min(offset + limit, len(text))
        assert answer.status_code == 206
        assert answer.content.decode() == text[start:stop]
        assert answer.headers["x-total-chars"] == str(len(text))
        assert answer.headers["x-char-range"] == f"{start}-{stop}"
        assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    answer = await client.get(path, params={"offset": 299_990})
    assert answer.text == text[299_990:]
    answer = await client.get(path, params={"limit": 2})
    assert answer.text == text[:2]
    await refused(client.get(path, params={"offset": -1}), 400)
    image = await upload(client, "a.bin", b"\0\1", kind="application/octet-stream")
    assert "not text" in await refused(client.get(f"/documents/{image['id']}", params={"offset": 0}), 400)


async def test_only_what_is_given_changes(client: httpx.AsyncClient) -> None:
    made = await upload(client, tags="a", metadata='{"description":"old","k":"v"}')
    path = f"/documents/{made['id']}"
    described = (await client.patch(path, json={"description": "new"})).json()
    assert described["description"] == "new"
    assert described["metadata"] == {"description": "new", "k": "v"}
    assert described["tags"] == ["a"]
    assert described["updated_at"] > made["updated_at"]
    assert described["created_at"] == made["created_at"]
    assert set(described) == set(made)
    tagged = (await client.patch(path, json={"tags": ["b", "c"]})).json()
    assert tagged["tags"] == ["b", "c"]
    assert tagged["metadata"] == described["metadata"]
    other = (await client.patch(path, json={"metadata": {"only": "this"}})).json()
    assert other["metadata"] == {"only": "this", "description": "new"}
    assert (await client.patch(path, json={})).json() == other
    assert (await client.get(f"{path}/metadata")).json() == other
    assert "'no!'" in await refused(client.patch(path, json={"tags": ["no!"]}), 400)
    await refused(client.patch(path, json={"metadata": {"n": 1}}), 400)
    await refused(client.patch(path, json={"tags": "a"}), 400)
    await refused(client.patch(path, content=b"{nope", headers={"content-type": "application/json"}), 400)
    await refused(client.patch("/documents/doc_0", json={"tags": ["x"]}), 404)
    assert (await client.get(f"{path}/metadata")).json() == other


async def test_a_deleted_document_is_gone(client: httpx.AsyncClient) -> None:
    made = await upload(client)
    path = f"/documents/{made['id']}"
    answer = await client.delete(path)
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["document_id"] == made["id"]
    assert answer.json()["message"]
    for call in (client.get(path), client.get(f"{path}/metadata"), client.delete(path), client.patch(path, json={})):
        assert made["id"] in await refused(call, 404)
    assert (await client.get("/documents")).json() == []


async def test_bytes_go_with_the_last_document_that_has_them(client: httpx.AsyncClient, bus: Bus) -> None:
    data = b"z" * 400_000
    digest = hashlib.sha256(data).hexdigest()
    made = await asyncio.gather(*(upload(client, f"{n}.bin", data) for n in range(4)))
    state = (await bus.js.stream_info("OBJ_artifacts")).state
    assert state.bytes < 2 * len(data)
    for one in made[1:]:
        await client.delete(f"/documents/{one['id']}")
    assert (await client.get(f"/documents/{made[0]['id']}")).content == data
    await client.delete(f"/documents/{made[0]['id']}")
    assert not await Blobs(bus).has(digest)
    assert (await bus.js.stream_info("OBJ_artifacts")).state.bytes < 10_000
    assert digest in await refused(client.get(f"/artifacts/{digest}"), 404)
    again = await upload(client, data=data)
    assert (await client.get(f"/documents/{again['id']}")).content == data


async def test_any_artifact_is_served_by_its_digest(client: httpx.AsyncClient, bus: Bus) -> None:
    image = bytes(range(256)) * 2000
    artifact = await Blobs(bus).put(image, name="firmware.bin")
    answer = await client.get(f"/artifacts/{artifact.digest}")
    assert answer.content == image
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["etag"] == f'"{artifact.digest}"'
    part = await client.get(f"/artifacts/{artifact.digest.upper()}", headers={"range": "bytes=200000-200009"})
    assert (part.status_code, part.content) == (206, image[200000:200010])
    await refused(client.get("/artifacts/" + "0" * 64), 404)
    for name in ("abc", "g" * 64, "0" * 65):
        assert "SHA-256" in await refused(client.get(f"/artifacts/{name}"), 400)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b\x1b[31m.txt", "a_b_[31m.txt"),
        ("line\r\nSet-Cookie: a=b.txt", "line__Set-Cookie: a=b.txt"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ('"; filename=x".txt', '"; filename=x".txt'),
        ("100%41.txt", "100%41.txt"),
        ("ж" * 2044 + ".bin", "ж" * 2044 + ".bin"),
    ],
)
async def test_names_that_mean_harm_do_none(
    client: httpx.AsyncClient, service: Service, sent: str, stored: str
) -> None:
    # Built by hand: httpx is too well behaved to send a NUL.
    name = sent.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = f'--abc\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/html\r\n\r\n'
    headers = {"content-type": "multipart/form-data; boundary=abc"}
    body = head.encode() + b"harmless\r\n--abc--\r\n"
    made = (await client.post("/documents", content=body, headers=headers)).json()
    assert made["filename"] == stored, made
    answer = await client.get(f"/documents/{made['id']}")
    assert answer.content == b"harmless"
    assert "set-cookie" not in answer.headers
    served = answer.headers["content-disposition"]
    assert served.isascii()
    assert served.startswith("attachment; ")
    saved = unquote(served.partition("UTF-8''")[2]) or served.partition('filename="')[2].rstrip('"')
    assert len(saved.encode()) <= 255
    assert saved.rpartition(".")[2] == stored.rpartition(".")[2]
    assert "/" not in saved
    assert "\\" not in saved
    assert service.incoming == []


async def test_ids_that_cannot_be_are_refused_clearly(client: httpx.AsyncClient) -> None:
    for name in ("doc_x", "a.b", "*", "%3E", "ü", "x" * 500):
        for call in (client.get(f"/documents/{name}"), client.get(f"/documents/{name}/metadata")):
            await refused(call, 404)
        for change in (client.delete(f"/documents/{name}"), client.patch(f"/documents/{name}", json={"tags": []})):
            answer = await change
            assert answer.status_code in (400, 404)
            assert answer.json()["detail"]
    await refused(client.get("/nothing/here"), 404)


async def test_frames_tell_what_happened_once_it_can_be_fetched(client: httpx.AsyncClient, service: Service) -> None:
    async with websockets.connect(service.url.replace("http", "ws") + "/ws", proxy=None) as socket:
        await socket.send('{"type":"ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}
        made = await upload(client, tags="a")
        created = json.loads(await socket.recv())
        changed = (await client.patch(f"/documents/{made['id']}", json={"description": "d"})).json()
        updated = json.loads(await socket.recv())
        await client.delete(f"/documents/{made['id']}")
        deleted = json.loads(await socket.recv())
    assert (created["type"], created["document"]) == ("document_created", made)
    assert (updated["type"], updated["document"]) == ("document_updated", changed)
    assert (deleted["type"], deleted["document_id"]) == ("document_deleted", made["id"])
    assert created["seq"] < updated["seq"] < deleted["seq"]


async def test_a_dashboard_may_read_the_headers_it_needs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/documents", headers={"origin": "http://localhost:5173"})
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    exposed = answer.headers["access-control-expose-headers"].lower()
    for name in ("x-total-count", "x-total-chars", "x-char-range", "etag", "content-range", "content-disposition"):
        assert name in exposed


async def test_with_a_token_every_call_needs_it(nats: nats_server.Server, tmp_path: Path) -> None:
    async with serving(nats.url, tmp_path / "data", token="secret") as service:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
            assert (await client.get("/documents")).status_code == 401
            assert (await client.post("/documents", files={"file": ("a", b"x")})).status_code == 401
            known = {"authorization": "Bearer secret"}
            assert (await client.get("/documents", headers=known)).status_code == 200
        async with websockets.connect(service.url.replace("http", "ws") + "/ws", proxy=None) as socket:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
