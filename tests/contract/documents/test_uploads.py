"""How documents come in: one by one, many in a call, and what is refused."""

import asyncio
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server
from benchwire.web.testing import refused

Upload = Callable[..., Awaitable[dict[str, Any]]]


async def test_an_upload_becomes_a_document(client: httpx.AsyncClient, service: Service, upload: Upload) -> None:
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

    assert "JSON" in refused(await post(files=file, data={"metadata": "{nope"}), 400)
    assert "metadata" in refused(await post(files=file, data={"metadata": "[1]"}), 400)
    assert "metadata" in refused(await post(files=file, data={"metadata": '{"n": 1}'}), 400)
    assert "'bad tag!'" in refused(await post(files=file, data={"tags": "good,bad tag!"}), 400)
    assert "'ü'" in refused(await post(files=file, data={"tags": "ü"}), 400)
    assert "name" in refused(await post(files={"file": ("", b"x")}), 400)
    assert "name" in refused(await post(files={"file": ("..", b"x")}), 400)
    assert "'file'" in refused(await post(files={"other": ("a", b"x")}), 400)
    assert "one file" in refused(await post(files=[("file", ("a", b"x")), ("file", ("b", b"x"))]), 400)
    assert "multipart" in refused(await post(json={"file": "x"}), 400)
    assert "multipart" in refused(await post(content=b""), 400)
    broken = {"content-type": "multipart/form-data; boundary=abc"}
    assert "form" in refused(await post(content=b"--abc\r\nnonsense\r\n", headers=broken), 400)
    assert "form" in refused(await post(content=b"", headers=broken), 400)
    assert await (await client.get("/documents")).aread() == b"[]"
    assert service.incoming == []


async def test_an_upload_over_the_limit_is_refused_whether_it_says_so_or_not(
    client: httpx.AsyncClient, service: Service, upload: Upload
) -> None:
    big = b"x" * 3_000_001
    assert "3000000" in refused(await client.post("/documents", files={"file": ("b", big)}), 413)

    async def unannounced() -> AsyncIterator[bytes]:
        yield b'--abc\r\nContent-Disposition: form-data; name="file"; filename="b"\r\n\r\n'
        for _ in range(40):
            yield b"x" * 100_000
        yield b"\r\n--abc--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=abc"}
    assert "3000000" in refused(await client.post("/documents", content=unannounced(), headers=headers), 413)
    assert service.incoming == []
    assert (await upload(client, data=big[1:]))["size_bytes"] == 3_000_000


async def test_an_upload_that_is_repeated_with_its_key_is_one_document(client: httpx.AsyncClient) -> None:
    def post(data: bytes, key: str) -> Any:
        return client.post("/documents", files={"file": ("a", data)}, headers={"idempotency-key": key})

    answers = await asyncio.gather(*(post(b"once", "k 1") for _ in range(3)))
    assert [one.status_code for one in answers] == [201, 201, 201]
    assert len({one.json()["id"] for one in answers}) == 1
    assert "Idempotency-Key" in refused(await post(b"other", "k 1"), 409)
    assert (await post(b"other", "k 2")).status_code == 201
    assert (await client.get("/documents")).headers["x-total-count"] == "2"


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

    told = refused(await post(spelled(other)), 400)
    assert hello.hexdigest() in told
    assert other.hexdigest() in told
    refused(await post("nonsense"), 400)
    refused(await post("sha-256=:AAAA:"), 400)
    assert (await client.get("/documents")).json() == []
    assert service.incoming == []
    assert (await post(spelled(hello))).status_code == 201


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


async def test_the_store_holds_no_more_than_it_may(nats: nats_server.Server, tmp_path: Path, upload: Upload) -> None:
    limits = {"documents_total": "3", "documents_total_bytes": "1000"}
    async with (
        serving(nats.url, tmp_path / "data", **limits) as service,
        httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as client,
    ):
        made = await upload(client, data=b"x" * 900)
        assert "1000 bytes" in refused(await client.post("/documents", files={"file": ("b", b"y" * 200)}), 507)
        await upload(client, data=b"x" * 900)  # the same bytes take no more
        await upload(client, data=b"y" * 100)
        assert "3 documents" in refused(await client.post("/documents", files={"file": ("b", b"")}), 507)
        await client.delete(f"/documents/{made['id']}")
        await upload(client, data=b"")


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
    assert "line" in refused(await client.post("/documents/bulk", content=b"x" * (17 << 20)), 400)
