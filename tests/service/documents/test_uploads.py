import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from blockbuster import blockbuster_ctx

from benchwire.documents.testing import Process, Service, running, serving
from benchwire.events import nats_server
from benchwire.events.bus import Bus
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.log import Log
from benchwire.events.projection import rows_of
from benchwire.events.testing.eventually import eventually

MIB = 1 << 20
HEAD = b'--abc\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
TAIL = b"\r\n--abc--\r\n"
FORM = {"content-type": "multipart/form-data; boundary=abc"}


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False)


async def peak_rss_bytes(process: Process, until: asyncio.Task[None]) -> int:
    watched = psutil.Process(process.process.pid)
    peak = 0
    while not until.done():
        peak = max(peak, watched.memory_info().rss)
        await asyncio.wait([until], timeout=0.005)
    until.result()
    return peak


async def test_memory_does_not_grow_with_the_file(nats: nats_server.Server, tmp_path: Path) -> None:
    size_mib = 64
    piece = os.urandom(MIB)
    expected = hashlib.sha256()

    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        for number in range(size_mib):
            changed = number.to_bytes(8, "big") + piece[8:]
            expected.update(changed)
            yield changed
        yield TAIL

    async def there_and_back(http: httpx.AsyncClient) -> None:
        made = (await http.post("/documents", content=body(), headers=FORM)).json()
        assert made["size_bytes"] == size_mib * MIB
        assert made["checksum"] == expected.hexdigest()
        got = hashlib.sha256()
        async with http.stream("GET", f"/documents/{made['id']}") as answer:
            async for part in answer.aiter_raw():
                got.update(part)
        assert got.digest() == expected.digest()

    async with running(nats.url, tmp_path / "data") as service, client(service) as http:
        warm = await http.post("/documents", files={"file": ("warm", b"x" * 4 * MIB)})
        await http.get(f"/documents/{warm.json()['id']}")
        before = psutil.Process(service.process.pid).memory_info().rss
        peak = await peak_rss_bytes(service, asyncio.create_task(there_and_back(http)))
        assert peak - before < 24 * MIB, f"{(peak - before) / MIB:.1f} MiB more for a file of {size_mib} MiB"
        assert service.incoming == []


async def half_an_upload(service: Service) -> asyncio.StreamWriter:
    where = urlsplit(service.url)
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    lines = ["POST /documents HTTP/1.1", f"Host: {where.netloc}", "Content-Length: 9000000"]
    writer.write("\r\n".join([*lines, f"Content-Type: {FORM['content-type']}", "", ""]).encode() + HEAD)
    writer.write(b"x" * 3 * MIB)
    await writer.drain()
    await eventually(lambda: any(one.stat().st_size > MIB for one in service.incoming), what="bytes on disk")
    return writer


async def test_an_upload_that_breaks_off_leaves_nothing(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        writer = await half_an_upload(service)
        writer.close()
        await eventually(lambda: service.incoming == [], what="no temporary file")
        assert await log.last_sequence("bench.>") == 0
        assert (await bus.js.stream_info("OBJ_artifacts")).state.messages == 0
        assert (await http.get("/documents")).json() == []


async def test_what_an_upload_left_when_the_service_was_killed_is_cleared_at_the_next_start(
    nats: nats_server.Server, tmp_path: Path, log: Log
) -> None:
    async with running(nats.url, tmp_path / "data") as service:
        writer = await half_an_upload(service)
        service.process.kill()
        await service.process.wait()
        writer.close()
        assert len(service.incoming) == 1
    async with serving(nats.url, tmp_path / "data") as service:
        assert service.incoming == []
        assert await log.last_sequence("bench.>") == 0


async def test_many_at_once_are_all_kept_and_a_rebuild_equals_the_live_rows(
    nats: nats_server.Server, tmp_path: Path
) -> None:
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:

        async def one(number: int) -> None:
            file = {"file": (f"{number}.txt", b"%d" % (number % 7))}
            made = (await http.post("/documents", files=file, data={"tags": f"t{number % 3},all"})).json()
            if number % 4 == 0:
                await http.patch(f"/documents/{made['id']}", json={"tags": ["moved"], "description": "d"})
            if number % 5 == 0:
                assert (await http.delete(f"/documents/{made['id']}")).status_code == 200

        await asyncio.gather(*(one(number) for number in range(40)))
        assert (await http.get("/documents")).headers["x-total-count"] == "32"
    live = rows_of(service.projection)
    assert len(live["documents"]) == 32
    assert sum(count for _, _, count, _ in live["digests"]) == 32  # type: ignore[misc]
    service.projection.unlink()
    async with serving(nats.url, tmp_path / "data"):
        pass
    assert rows_of(service.projection) == live


async def test_of_many_who_delete_one_document_exactly_one_does(
    nats: nats_server.Server, tmp_path: Path, log: Log
) -> None:
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        made = (await http.post("/documents", files={"file": ("a", b"a")})).json()
        answers = await asyncio.gather(*(http.delete(f"/documents/{made['id']}") for _ in range(6)))
        assert sorted(one.status_code for one in answers) == [200, 404, 404, 404, 404, 404]
    events = [type(one.event) async for one in log.read(["bench.document.>"])]
    assert events == [DocumentCreated, DocumentDeleted]


async def test_nothing_blocks_the_loop(nats: nats_server.Server, tmp_path: Path) -> None:
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        with blockbuster_ctx("benchwire"):
            made = (await http.post("/documents", files={"file": ("a.txt", b"x" * 3 * MIB)}, data={"tags": "a"})).json()
            for path in ("", "/metadata", "?offset=0&limit=5"):
                assert (await http.get(f"/documents/{made['id']}{path}")).is_success
            for path in ("/documents?tags=a", "/documents/tags", "/health", f"/artifacts/{made['checksum']}"):
                assert (await http.get(path)).is_success
            assert (await http.patch(f"/documents/{made['id']}", json={"tags": ["b"]})).is_success
            assert (await http.delete(f"/documents/{made['id']}")).is_success
