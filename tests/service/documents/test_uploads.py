import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from tests import blocking

from benchwire.documents.testing import Process, Service, running, serving
from benchwire.events import chunks, nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.log import Log
from benchwire.events.projection import rows_of
from benchwire.events.settings import NatsSettings
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


async def chunks_there(bus: Bus) -> int:
    found = await bus.js.stream_info("OBJ_artifacts", subjects_filter="$O.artifacts.C.>")
    return sum((found.state.subjects or {}).values())


async def half_an_upload(service: Service, bus: Bus) -> asyncio.StreamWriter:
    where = urlsplit(service.url)
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    lines = ["POST /documents HTTP/1.1", f"Host: {where.netloc}", "Content-Length: 9000000"]
    writer.write("\r\n".join([*lines, f"Content-Type: {FORM['content-type']}", "", ""]).encode() + HEAD)
    writer.write(b"x" * 3 * MIB)
    await writer.drain()

    async def begun() -> bool:
        return await chunks_there(bus) > 0

    await eventually(begun, what="bytes in the store")
    return writer


async def test_an_upload_that_breaks_off_leaves_nothing(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        writer = await half_an_upload(service, bus)
        writer.close()
        await eventually(lambda: is_empty(bus), what="nothing in the store")
        assert service.incoming == []
        assert await log.last_sequence("bench.>") == 0
        assert (await http.get("/documents")).json() == []


async def is_empty(bus: Bus) -> bool:
    return (await bus.js.stream_info("OBJ_artifacts")).state.messages == 0


async def test_what_an_upload_left_when_the_service_was_killed_is_cleared_by_the_next_one(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    async with running(nats.url, tmp_path / "data") as service:
        writer = await half_an_upload(service, bus)
        service.process.kill()
        await service.process.wait()
        writer.close()
        assert await chunks_there(bus) > 0
        assert service.incoming == []
    async with serving(nats.url, tmp_path / "data", documents_grace_s="1"):
        await eventually(lambda: is_empty(bus), within_s=20, what="nothing in the store")
        assert await log.last_sequence("bench.>") == 0


async def test_an_upload_that_is_refused_at_its_end_leaves_nothing(
    nats: nats_server.Server, tmp_path: Path, bus: Bus
) -> None:
    data = os.urandom(3 * MIB)
    async with (
        serving(nats.url, tmp_path / "data", documents_max_bytes=str(3 * MIB)) as service,
        client(service) as http,
    ):
        for status, body, fields, said in (
            (400, data, {"tags": "no!"}, "no!"),
            (400, data, {"checksum": "0" * 64}, "send them again"),
            (413, data + b"x", {}, str(3 * MIB)),
        ):
            answer = await http.post("/documents", files={"file": ("a.bin", body)}, data=fields)
            assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
            assert await is_empty(bus)
            assert service.incoming == []


async def test_the_quota_holds_for_what_is_still_coming_and_bytes_that_are_there_need_no_room(
    nats: nats_server.Server, tmp_path: Path, bus: Bus
) -> None:
    kept, more = os.urandom(4 * MIB), os.urandom(6 * MIB)
    most = 0

    async def watched(sending: asyncio.Task[httpx.Response]) -> httpx.Response:
        nonlocal most
        while not sending.done():
            most = max(most, (await bus.js.stream_info("OBJ_artifacts")).state.bytes)
            await asyncio.wait([sending], timeout=0.005)
        return sending.result()

    async with (
        serving(nats.url, tmp_path / "data", documents_total_bytes=str(6 * MIB)) as service,
        client(service) as http,
    ):
        assert (await http.post("/documents", files={"file": ("a", kept)})).status_code == 201
        refused = await watched(asyncio.create_task(http.post("/documents", files={"file": ("b", more)})))
        assert (refused.status_code, "bytes" in refused.json()["detail"]) == (507, True)
        again = await watched(asyncio.create_task(http.post("/documents", files={"file": ("c", kept)})))
        assert (again.status_code, again.json()["checksum"]) == (201, hashlib.sha256(kept).hexdigest())
        assert (await http.get(f"/documents/{again.json()['id']}")).content == kept
        assert most < 7 * MIB
        assert await chunks_there(bus) == 32


async def test_the_same_large_bytes_that_come_several_times_at_once_are_stored_once(
    nats: nats_server.Server, tmp_path: Path, bus: Bus
) -> None:
    data = os.urandom(2 * MIB + 5)
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        answers = await asyncio.gather(*(http.post("/documents", files={"file": ("a", data)}) for _ in range(4)))
        assert [one.status_code for one in answers] == [201] * 4
        assert await chunks_there(bus) == 17
        for one in answers:
            assert (await http.get(f"/documents/{one.json()['id']}")).content == data


async def test_an_upload_in_whose_middle_nats_dies_is_told_so_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(5 * MIB)
    async with (
        nats_server.running(tmp_path / "nats") as server,
        serving(server.url, tmp_path / "data", documents_grace_s="1") as service,
        client(service) as http,
    ):

        async def body() -> AsyncIterator[bytes]:
            yield HEAD + data[: 2 * MIB]
            server.process.kill()
            await server.process.wait()
            yield data[2 * MIB :] + TAIL

        with monkeypatch.context() as impatient:
            impatient.setattr(chunks, "_ACK_TIMEOUT_S", 1.0)
            answer = await http.post("/documents", content=body(), headers=FORM)
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert "does not answer" in answer.json()["detail"]
        async with (
            nats_server.running(tmp_path / "nats", port=server.port),
            connected(NatsSettings(nats_url=server.url), name="test") as bus,
        ):

            async def healthy() -> bool:
                return (await http.get("/health")).status_code == 200

            await eventually(healthy)
            made = await http.post("/documents", files={"file": ("a.bin", data)})
            assert (made.status_code, made.json()["checksum"]) == (201, hashlib.sha256(data).hexdigest())

            async def swept() -> bool:
                return await chunks_there(bus) == 40

            await eventually(swept, within_s=20, what="only the chunks of the document")


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
        with blocking.refused("benchwire"):
            made = (await http.post("/documents", files={"file": ("a.txt", b"x" * 3 * MIB)}, data={"tags": "a"})).json()
            for path in ("", "/metadata", "?offset=0&limit=5"):
                assert (await http.get(f"/documents/{made['id']}{path}")).is_success
            for path in ("/documents?tags=a", "/documents/tags", "/health", f"/artifacts/{made['checksum']}"):
                assert (await http.get(path)).is_success
            assert (await http.patch(f"/documents/{made['id']}", json={"tags": ["b"]})).is_success
            assert (await http.delete(f"/documents/{made['id']}")).is_success
