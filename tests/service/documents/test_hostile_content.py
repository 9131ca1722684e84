"""Documents that are bombs, names that lead elsewhere, lines that nest without end: stored as bytes, never unpacked, never followed."""

import asyncio
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from benchwire.documents.testing import Process, Service, running, serving
from benchwire.events import nats_server
from benchwire.events.log import Log
from benchwire.events.testing.eventually import eventually

MIB = 1 << 20
TOKEN = "gh" + "p_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


@pytest.fixture
async def service(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(nats.url, tmp_path / "data") as service:
        yield service


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False)


def bombs() -> dict[str, tuple[bytes, str]]:
    """Small files that would be gigabytes: zip in zip, gzip, a picture of 50000 by 50000, a text that is one word, a document of entities."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("../../../etc/zero", bytes(64 * MIB))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(64):
            file.writestr(f"{number}.zip", inner.getvalue())
    head = b"IHDR" + (50_000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    png = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big")
    data = zlib.compress(bytes(64 * MIB))
    png += len(data).to_bytes(4, "big") + b"IDAT" + data
    entities = '<!DOCTYPE l [<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {chr(98 + number)} "{f"&{chr(97 + number)};" * 10}">' for number in range(9)
    ) + "]><l>&j;</l>"  # fmt: skip
    return {
        "bomb.zip": (outer.getvalue(), "application/zip"),
        "bomb.txt.gz": (gzip.compress(bytes(64 * MIB)), "text/plain"),
        "bomb.png": (png, "image/png"),
        "word.txt": (b"a" * 8 * MIB, "text/plain"),
        "bomb.svg": (entities.encode(), "image/svg+xml"),
        "deep.json": (b"[" * 4 * MIB, "application/json"),
    }  # fmt: skip


async def test_a_bomb_is_only_bytes(nats: nats_server.Server, tmp_path: Path) -> None:
    async with running(nats.url, tmp_path / "data") as process, client(process) as http:
        before = psutil.Process(process.process.pid).memory_info().rss
        watching = asyncio.create_task(_peak(process))
        for name, (data, kind) in bombs().items():
            made = await http.post("/documents", files={"file": (name, data, kind)})
            assert made.status_code in (200, 201), made.text
            assert made.json()["size_bytes"] == len(data)
            got = await http.get(f"/documents/{made.json()['id']}", headers={"accept-encoding": "gzip"})
            assert got.content == data
            assert "content-encoding" not in got.headers
        await http.post("/documents", files={"file": ("last.txt", b"the needle is here", "text/plain")})

        async def found() -> bool:
            answer = await http.get("/documents", params={"q": "needle"})
            return answer.status_code == 200 and bool(answer.json())

        await eventually(found, what="that all of them were looked through")
        watching.cancel()
        assert max(await _told(watching), before) - before < 300 * MIB


_peaks: list[int] = []


async def _peak(process: Process) -> None:
    watched = psutil.Process(process.process.pid)
    _peaks[:] = [0]
    while True:
        _peaks[0] = max(_peaks[0], watched.memory_info().rss)
        await asyncio.sleep(0.01)


async def _told(watching: asyncio.Task[None]) -> int:
    await asyncio.wait([watching])
    return _peaks[0]


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "..\\..\\boot.ini",
        "a\x00b.txt",
        "a\nb\x1b[2J.txt",
        "\u202egnp.exe",
        "." * 300,
        "CON",
        "ü" * 200,
    ],
)
async def test_a_name_is_never_a_way(service: Service, name: str) -> None:
    async with client(service) as http:
        made = await http.post("/documents", files={"file": (name, b"content", "text/plain")})
        assert made.status_code < 500, made.text
        if made.status_code >= 400:
            assert isinstance(made.json()["detail"], str)
        else:
            got = await http.get(f"/documents/{made.json()['id']}")
            assert got.content == b"content"
            disposition = got.headers.get("content-disposition", "")
            assert "\n" not in disposition
            assert "../" not in disposition
    written = {path.name for path in service.data.rglob("*") if path.is_file()}
    assert not written & {"passwd", "boot.ini"}


async def test_no_line_breaks_an_upload_of_many(service: Service) -> None:
    lines = [
        '{"filename":"a.txt","text":"x","more":' + "[" * 100_000 + "]" * 100_000 + "}",
        "[" * 100_000,
        '{"filename":"a.txt","text":"x","metadata":{"a":' + "9" * 5000 + "}}",
        '{"filename":"a.txt","text":"x","more":1e999}',
        '{"filename":"\\ud800","text":"\\udfff"}',
        '{"filename":"a\\u0000","text":"\\u0000"}',
        '{"filename":"well.txt","text":"well"}',
    ]
    async with client(service) as http:
        headers = {"content-type": "application/x-ndjson"}
        answer = await http.post("/documents/bulk", content="\n".join(lines), headers=headers)
        assert answer.status_code < 500, answer.text[:500]
        results = [json.loads(line) for line in answer.text.splitlines() if line.startswith("{")]
        assert all(one.get("status_code", 200) < 500 for one in results), results
        for field in ("metadata", "tags"):
            sent = await http.post("/documents", files={"file": ("a", b"x")}, data={field: "[" * 100_000})
            assert sent.status_code < 500


async def test_what_is_said_of_a_document_holds_no_secret(service: Service, log: Log) -> None:
    async with client(service) as http:
        data = {"metadata": json.dumps({"note": f"made with {TOKEN}"})}
        made = await http.post("/documents", files={"file": (f"{TOKEN}.txt", b"x", "text/plain")}, data=data)
        assert made.status_code in (200, 201), made.text
        shown = await http.get(f"/documents/{made.json()['id']}/metadata")
        told = {**made.json(), "sequence": None}
        assert {**shown.json(), "sequence": None} == told, "whoever sent it is told what is kept"
    state = (await log.bus.js.stream_info("BENCH")).state
    bodies = [(await log.bus.js.get_msg("BENCH", seq)).data or b"" for seq in range(1, state.last_seq + 1)]
    assert bodies
    assert not any(TOKEN.encode() in body for body in bodies)
    assert TOKEN not in shown.text
