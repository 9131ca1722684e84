"""What existing clients count on, call by call."""

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
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
from benchwire.events.device import DeviceAttached
from benchwire.events.flash import FlashCompleted, FlashRequested
from benchwire.events.log import Log
from benchwire.events.task import NodeGenerated, NodeImageStored, TaskRequested
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import sample


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
    assert (made["expires_at"], made["links"], made["linked_from"]) == (None, [], [])
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


async def test_what_a_browser_would_run_is_only_ever_a_file(client: httpx.AsyncClient) -> None:
    for name, kind in (("page.html", "text/html"), ("image.svg", "image/svg+xml"), ("x.js", "text/javascript")):
        made = await upload(client, name, b"<script>alert(1)</script>", kind=kind)
        window = [f"/documents/{made['id']}?offset=0"] if "text" in kind else []
        for path in (f"/documents/{made['id']}", f"/artifacts/{made['checksum']}", *window):
            headers = (await client.get(path)).headers
            assert headers["content-disposition"].startswith("attachment")
            assert headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in headers["content-security-policy"]
            assert "'none'" in headers["content-security-policy"]


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


async def test_a_page_leads_to_the_next_however_deep_it_is(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await upload(client, f"log-{number}.txt", tags="all" + (",odd" if number % 2 else ""))

    async def pages(**query: str) -> list[list[str]]:
        found, cursor = [], ""
        while True:
            answer = await client.get("/documents", params={"limit": "2", "cursor": cursor, **query})
            assert answer.status_code == 200, answer.text
            found.append([one["filename"][4] for one in answer.json()])
            cursor = answer.headers.get("x-next-cursor", "")
            if not cursor:
                return found

    assert await pages() == [["4", "3"], ["2", "1"], ["0"]]
    assert await pages(filename="LOG") == [["4", "3"], ["2", "1"], ["0"]]
    assert await pages(tags="all") == [["4", "3"], ["2", "1"], ["0"]]
    assert await pages(tags="odd,all", filename="-") == [["3", "1"], []]
    for nonsense in ("x", "-1", "9" * 30, "\u0661"):
        assert "cursor" in await refused(client.get("/documents", params={"cursor": nonsense}), 400)


@pytest.mark.parametrize("name", ["checksum", "Content-Digest", "Repr-Digest", "Digest"])
async def test_bytes_that_are_not_those_that_were_promised_are_refused(
    client: httpx.AsyncClient, service: Service, name: str
) -> None:
    hello, other = hashlib.sha256(b"hello"), hashlib.sha256(b"other")

    def spelled(digest: Any) -> str:
        base64 = b64encode(digest.digest()).decode()
        ways = {"checksum": str(digest.hexdigest()).upper(), "Digest": f"md5=x, SHA-256={base64}"}
        return ways.get(name, f"sha-256=:{base64}:")

    def post(value: str) -> Any:
        given: dict[str, Any] = {"data": {name: value}} if name == "checksum" else {"headers": {name: value}}
        return client.post("/documents", files={"file": ("a.txt", b"hello")}, **given)

    told = await refused(post(spelled(other)), 400)
    assert hello.hexdigest() in told
    assert other.hexdigest() in told
    await refused(post("nonsense"), 400)
    await refused(post("sha-256=:AAAA:"), 400)
    assert (await client.get("/documents")).json() == []
    assert service.incoming == []
    assert (await post(spelled(hello))).status_code == 201


async def test_a_change_can_be_made_only_if_nobody_else_made_one(client: httpx.AsyncClient) -> None:
    made = await client.post("/documents", files={"file": ("a.txt", b"hello")})
    path = f"/documents/{made.json()['id']}"
    first = made.headers["etag"]
    assert (await client.get(f"{path}/metadata")).headers["etag"] == first

    def patch(tag: str, if_match: str) -> Any:
        return client.patch(path, json={"tags": [tag]}, headers={"if-match": if_match})

    answers = await asyncio.gather(*(patch(f"t{number}", first) for number in range(4)))
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412]
    second = next(one.headers["etag"] for one in answers if one.status_code == 200)
    assert second != first
    assert "If-Match" in await refused(client.delete(path, headers={"if-match": first}), 412)
    assert (await patch("a", f'"other", {second}')).status_code == 200
    assert (await patch("b", "*")).status_code == 200
    content = (await client.get(path)).headers["etag"]
    await refused(patch("c", f"W/{content}"), 412)
    assert (await client.delete(path, headers={"if-match": content})).status_code == 200
    await refused(client.delete(path, headers={"if-match": "*"}), 404)


async def test_a_document_is_kept_as_long_as_is_said(client: httpx.AsyncClient) -> None:
    long = await upload(client, "long.txt", expires_at="2999-01-01T00:00:00+01:00")
    assert long["expires_at"] == "2998-12-31T23:00:00Z"
    changed = await upload(client, "changed.txt", expires_at="2999-01-01T00:00:00Z")
    kept = await client.patch(f"/documents/{changed['id']}", json={"expires_at": None})
    assert kept.json()["expires_at"] is None
    soon = datetime.now(UTC) + timedelta(seconds=3)
    short = await upload(client, "short.txt", expires_at=soon.isoformat())
    assert datetime.fromisoformat(short["expires_at"]) == soon
    for wrong in ("yesterday", "2001-01-01T00:00:00Z"):
        file = {"file": ("a", b"a")}
        assert "expires_at" in await refused(client.post("/documents", files=file, data={"expires_at": wrong}), 400)
        assert await refused(client.patch(f"/documents/{long['id']}", json={"expires_at": wrong}), 400)

    async def gone() -> bool:
        return (await client.get(f"/documents/{short['id']}")).status_code == 404

    await eventually(gone, what="the document whose time is over goes")
    assert {one["filename"] for one in (await client.get("/documents")).json()} == {"long.txt", "changed.txt"}


async def test_the_store_holds_no_more_than_it_may(nats: nats_server.Server, tmp_path: Path) -> None:
    limits = {"documents_total": "3", "documents_total_bytes": "1000"}
    async with (
        serving(nats.url, tmp_path / "data", **limits) as service,
        httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as client,
    ):
        made = await upload(client, data=b"x" * 900)
        assert "1000 bytes" in await refused(client.post("/documents", files={"file": ("b", b"y" * 200)}), 507)
        await upload(client, data=b"x" * 900)  # the same bytes take no more
        await upload(client, data=b"y" * 100)
        assert "3 documents" in await refused(client.post("/documents", files={"file": ("b", b"")}), 507)
        await client.delete(f"/documents/{made['id']}")
        await upload(client, data=b"")


async def search(client: httpx.AsyncClient, q: str, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/documents", params={"q": q, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    assert int(answer.headers["x-total-count"]) >= len(found)
    return found


async def test_texts_are_found_by_their_words_the_best_first(client: httpx.AsyncClient) -> None:
    readme = await upload(
        client, "README.md", b"# Blinker\n\nToggles the LED of the board. " + b"filler " * 200 + b"esp_err_t x;"
    )
    source = await upload(client, "blinker.c", b"int main(void) { led_toggle(); }", kind="text/x-c", tags="firmware")
    latin = await upload(client, "latin.txt", "Größe über alles".encode("latin-1"))
    image = await upload(
        client, "led.bin", b"\0\1led\0", kind="application/octet-stream", metadata='{"description": "an image"}'
    )
    same = await upload(client, "copy.md", b"# Blinker")

    async def ids(q: str, **query: str) -> list[str]:
        return [one["id"] for one in await search(client, q, **query)]

    async def indexed() -> bool:
        return same["id"] in await ids("blinker")

    await eventually(indexed)
    assert (await ids("blinker"))[0] == source["id"]  # a name counts more than a text
    assert set(await ids("BLINKER")) == {source["id"], readme["id"], same["id"]}
    assert await ids("toggles board") == [readme["id"]]
    assert await ids('"toggles board"') == []
    assert await ids('"the board"') == [readme["id"]]
    assert await ids("blink* -toggles -led") == [same["id"]]
    assert await ids("esp_err_t") == [readme["id"]]
    assert await ids("grosse") == []
    assert await ids("große") == await ids("Größe") == [latin["id"]]
    assert await ids("image") == [image["id"]]
    assert await ids("firmware") == [source["id"]]
    assert await ids("blinker", tags="firmware") == [source["id"]]
    assert await ids("blinker", filename="copy") == [same["id"]]
    assert len(await ids("blinker", limit="1", offset="1")) == 1
    (found,) = await search(client, "esp_err_t")
    assert "\x02esp_err_t\x03" in found["snippet"].replace("\x03_\x02", "_")
    assert found["score"] > 0
    assert {**found, "snippet": 0, "score": 0} == {**readme, "snippet": 0, "score": 0}


async def test_a_search_follows_what_changes_and_goes(client: httpx.AsyncClient) -> None:
    made = await upload(client, "a.txt", b"marmalade")
    await eventually(lambda: search(client, "marmalade"))
    await client.patch(f"/documents/{made['id']}", json={"description": "breakfast", "tags": ["sweet"]})
    await eventually(lambda: search(client, "breakfast marmalade sweet"))
    await client.delete(f"/documents/{made['id']}")
    assert await search(client, "marmalade") == []


async def test_no_question_is_too_strange(client: httpx.AsyncClient) -> None:
    questions = [
        '"',
        "'",
        "*",
        "AND",
        "a OR",
        "NEAR(",
        "x:y",
        "-",
        "--",
        "-a",
        "^a",
        "{a}",
        "(",
        '""" a',
        "💥",
        "+",
        "a*b",
    ]
    for q in [*questions, "\0", "a\0b", "a" * 5000, "a " * 2000]:
        assert isinstance(await search(client, q), list), q


async def test_documents_can_be_linked_and_each_end_shows_it(client: httpx.AsyncClient, log: Log) -> None:
    old, new = await upload(client, "v1.txt"), await upload(client, "v2.txt", b"other")
    path = f"/documents/{new['id']}"

    def link(kind: str, to: str) -> Any:
        return client.post(f"{path}/links", json={"kind": kind, "to": to})

    made = await link("supersedes", old["id"])
    assert made.status_code == 201
    assert made.json()["links"] == [{"kind": "supersedes", "to": old["id"], "filename": "v1.txt"}]
    assert (await link("supersedes", old["id"])).json() == made.json()
    seen = (await client.get(f"/documents/{old['id']}/metadata")).json()
    assert seen["linked_from"] == [{"kind": "supersedes", "from": new["id"], "filename": "v2.txt"}]

    assert "task:t1" in await refused(link("part_of", "task:t1"), 404)
    await log.append(sample(TaskRequested, task_id="t1"))
    await log.append(sample(DeviceAttached, host="lab-1", device="board-1"))
    assert (await link("part_of", "task:t1")).status_code == 201
    assert (await link("part_of", "device:lab-1/board-1")).status_code == 201
    assert (await link("derived_from", f"artifact:{old['checksum']}")).status_code == 201
    of_task = (await client.get("/links", params={"of": "task:t1"})).json()
    assert of_task["linked_from"] == [{"kind": "part_of", "from": new["id"], "filename": "v2.txt"}]
    assert len((await client.get("/documents", params={"filename": "v2"})).json()[0]["links"]) == 4

    for to in ("doc_none", f"artifact:{'0' * 64}", "session:none", "flash:none", "device:lab-1/none"):
        await refused(link("part_of", to), 404)
    for to in (new["id"], "", "task:", "task:a.b", "device:x", "robot:x", "artifact:12", "*", "x" * 999):
        await refused(link("part_of", to), 400)
    assert "derived_from" in await refused(link("sibling_of", old["id"]), 400)
    await refused(client.post("/documents/doc_none/links", json={"kind": "part_of", "to": old["id"]}), 404)

    gone = await client.delete(f"{path}/links/part_of/device:lab-1/board-1")
    assert gone.status_code == 200
    assert [one["to"] for one in gone.json()["links"]] == [old["id"], "task:t1", f"artifact:{old['checksum']}"]
    await refused(client.delete(f"{path}/links/part_of/device:lab-1/board-1"), 404)
    await client.delete(f"/documents/{old['id']}")
    left = (await client.get(f"{path}/metadata")).json()["links"]
    assert left[0] == {"kind": "supersedes", "to": old["id"], "gone": True}


async def test_what_was_built_and_flashed_is_found_from_either_end(
    client: httpx.AsyncClient, log: Log, bus: Bus
) -> None:
    code = "int main(void) {}"
    image, elf = await Blobs(bus).put(b"image", name="n-esp32.bin"), await Blobs(bus).put(b"elf", name="n-esp32.elf")
    where: dict[str, Any] = {"task_id": "t1", "node_id": "n", "iteration": 2}
    await log.append(sample(NodeGenerated, sources={"main.c": code}, **where))
    await log.append(sample(NodeImageStored, image=image, elf=elf, **where))
    job: dict[str, Any] = {"host": "lab-1", "job_id": "j1", "device": "board-1"}
    await log.append(sample(FlashRequested, image=image, task_id="t1", node_id="n", session_id="s1", **job))
    await log.append(sample(FlashCompleted, **job))
    source = await upload(client, "main.c", code.encode())
    firmware = await upload(client, "firmware.bin", b"image", kind="application/octet-stream")

    def ends(one: dict[str, Any]) -> list[tuple[str, str]]:
        return [(link["kind"], link.get("to") or link["from"]) for link in [*one["links"], *one["linked_from"]]]

    assert ends(firmware) == [("derived_from", "task:t1"), ("derived_from", source["id"]), ("flashed", "flash:j1")]
    (flash,) = firmware["linked_from"]
    assert (flash["device"], flash["status"], flash["derived"]) == ("lab-1/board-1", "completed", True)
    again = (await client.get(f"/documents/{source['id']}/metadata")).json()
    built = [("derived_from", f"artifact:{elf.digest}"), ("derived_from", firmware["id"])]
    assert sorted(ends(again)) == [*built, ("part_of", "task:t1")]
    of_image = (await client.get(f"/artifacts/{image.digest}/links")).json()
    assert of_image["documents"] == [firmware["id"]]
    assert ends(of_image) == ends(firmware)

    async def of(thing: str) -> list[tuple[str, str]]:
        answer = await client.get("/links", params={"of": thing})
        assert answer.status_code == 200
        return ends(answer.json())

    assert await of("device:lab-1/board-1") == [("flashed_on", "flash:j1")]
    assert await of("session:s1") == [("part_of", "flash:j1")]
    assert ("part_of", "flash:j1") in await of("task:t1")
    assert ("derived_from", firmware["id"]) in await of("task:t1")
    assert await of("flash:j1") == [
        ("flashed", firmware["id"]), ("flashed_on", "device:lab-1/board-1"), ("part_of", "task:t1"), ("part_of", "session:s1")
    ]  # fmt: skip
    await refused(client.get("/links", params={"of": "doc_none"}), 404)
    await refused(client.get("/links", params={"of": "x:y"}), 400)


async def test_many_documents_come_in_one_call_and_each_line_is_answered(client: httpx.AsyncClient) -> None:
    lines: list[Any] = [
        {"filename": "a.txt", "text": "hällo", "tags": ["x", "y"], "metadata": {"description": "d"}, "key": "one"},
        {"filename": "b.bin", "content_base64": b64encode(bytes(range(256))).decode(), "content_type": "image/png"},
        {"filename": "bad", "text": "a", "tags": ["no!"]},
        {"filename": "bad", "content_base64": "%"},
        {"filename": "bad"},
        {"filename": "../..", "text": ""},
        {"filename": "bad", "text": "a", "checksum": "0" * 64},
        {"filename": "bad", "text": "a", "size": 1, "tags": 5},
        {"filename": "a.txt", "text": "hällo", "key": "one"},
    ]
    body = "\n".join(
        [
            *map(json.dumps, lines),
            "",
            "{nonsense",
            *(json.dumps({"filename": f"{n}", "text": str(n)}) for n in range(200)),
        ]
    )
    answer = await client.post("/documents/bulk", content=body.encode())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["line"] for one in told] == [*range(1, 10), *range(11, 212)]
    assert [one["status_code"] for one in told[:10]] == [201, 201, 400, 400, 400, 400, 400, 400, 201, 400]
    assert told[0]["id"] == told[8]["id"]
    assert {one["status_code"] for one in told[10:]} == {201}
    assert all(one.get("detail") for one in told if one["status_code"] != 201)
    made = (await client.get(f"/documents/{told[0]['id']}/metadata")).json()
    assert (made["tags"], made["description"], made["content_type"]) == (["x", "y"], "d", "text/plain")
    assert (await client.get(f"/documents/{told[1]['id']}")).content == bytes(range(256))
    assert (await client.get("/documents")).headers["x-total-count"] == "202"
    assert (await client.post("/documents/bulk", content=b"")).text == ""
    large = json.dumps({"filename": "large", "text": "x" * 3_000_001})
    assert (await client.post("/documents/bulk", content=large)).json()["status_code"] == 413
    assert "line" in await refused(client.post("/documents/bulk", content=b"x" * (17 << 20)), 400)


async def test_who_was_away_is_told_what_he_missed(client: httpx.AsyncClient, service: Service) -> None:
    ws = service.url.replace("http", "ws") + "/ws"
    async with websockets.connect(ws, proxy=None) as socket:
        first = await upload(client)
        seen = json.loads(await socket.recv())
    second = await upload(client, "b.txt", b"b")
    changed = (
        await client.post(f"/documents/{first['id']}/links", json={"kind": "part_of", "to": second["id"]})
    ).json()
    async with websockets.connect(f"{ws}?since={seen['seq']}", proxy=None) as socket:
        third = await upload(client, "c.txt", b"c")
        frames = [json.loads(await socket.recv()) for _ in range(3)]
    assert [one["type"] for one in frames] == ["document_created", "document_updated", "document_created"]
    assert [one["document"]["id"] for one in frames] == [second["id"], first["id"], third["id"]]
    assert frames[1]["document"] == changed
    async with websockets.connect(f"{ws}?since=nonsense", proxy=None) as socket:
        await socket.send('{"type":"ping"}')
        assert json.loads(await socket.recv()) == {"type": "pong"}


async def test_the_page_of_the_lab_may_call_and_pages_elsewhere_may_show_a_document(client: httpx.AsyncClient) -> None:
    made = await upload(client)
    answer = await client.get(f"/documents/{made['id']}", headers={"origin": "http://127.0.0.1:8765"})
    assert answer.headers["access-control-allow-origin"] == "http://127.0.0.1:8765"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "private, no-cache"
    head = await client.head(f"/documents/{made['id']}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == answer.headers["etag"]
    assert head.headers["content-length"] == answer.headers["content-length"]
