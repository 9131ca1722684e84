import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.document import DocumentDeleted
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Log
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import sample

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False)


async def upload(http: httpx.AsyncClient, data: bytes, name: str = "a.bin") -> dict[str, str]:
    answer = await http.post("/documents", files={"file": (name, data)})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_another_instance_with_its_own_data_serves_and_deletes_the_same_document(
    nats: nats_server.Server, tmp_path: Path, bus: Bus
) -> None:
    async with (
        serving(nats.url, tmp_path / "one") as first,
        serving(nats.url, tmp_path / "two", documents_public_url="https://lab.example/docs/") as second,
        client(first) as here,
        client(second) as there,
    ):
        made = await upload(here, b"shared")

        async def arrived() -> bool:
            return (await there.get(f"/documents/{made['id']}/metadata")).status_code == 200

        await eventually(arrived)
        seen = (await there.get(f"/documents/{made['id']}/metadata")).json()
        assert seen["url"] == f"https://lab.example/docs/documents/{made['id']}"
        assert {**seen, "url": made["url"]} == made
        assert (await there.get(f"/documents/{made['id']}")).content == b"shared"
        assert (await there.delete(f"/documents/{made['id']}")).status_code == 200
        assert not await Blobs(bus).has(made["checksum"])
        assert (await here.delete(f"/documents/{made['id']}")).status_code == 404


async def test_while_many_upload_and_delete_the_same_bytes_on_two_instances_no_document_loses_them(
    nats: nats_server.Server, tmp_path: Path, bus: Bus
) -> None:
    data = os.urandom(300_000)
    async with (
        serving(nats.url, tmp_path / "one") as first,
        serving(nats.url, tmp_path / "two") as second,
        client(first) as here,
        client(second) as there,
    ):

        async def come_and_go(http: httpx.AsyncClient) -> None:
            for _ in range(10):
                made = await upload(http, data)
                answer = await http.get(f"/documents/{made['id']}")
                assert (answer.status_code, answer.content) == (200, data)
                assert (await http.delete(f"/documents/{made['id']}")).status_code == 200

        await asyncio.gather(*(come_and_go(http) for http in (here, there, here, there)))
        assert (await bus.js.stream_info("OBJ_artifacts")).state.bytes < 10_000


async def test_bytes_that_a_flash_job_has_stay_when_the_document_goes(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    image = await Blobs(bus).put(b"firmware", name="firmware.bin")
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        made = await upload(http, b"firmware")
        await log.append(sample(FlashRequested, image=image))
        assert (await http.delete(f"/documents/{made['id']}")).status_code == 200
        assert (await http.get(f"/artifacts/{image.digest}")).content == b"firmware"


async def test_bytes_that_a_delete_did_not_come_to_free_go_at_the_next_start(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    blobs = Blobs(bus)
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        made, kept = await upload(http, b"left behind"), await upload(http, b"kept")
    # As if the service had died right after it wrote this.
    await log.append(DocumentDeleted(timestamp=NOW, document_id=made["id"]))
    assert await blobs.has(made["checksum"])
    async with serving(nats.url, tmp_path / "data"):

        async def gone() -> bool:
            return not await blobs.has(made["checksum"])

        await eventually(gone)
    assert await blobs.has(kept["checksum"])


async def test_a_reader_who_leaves_in_the_middle_holds_on_to_nothing(
    nats: nats_server.Server, tmp_path: Path, bus: Bus
) -> None:
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        made = await upload(http, os.urandom(24 << 20))
        where = urlsplit(service.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(f"GET /documents/{made['id']} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readexactly(100_000)

        async def consumers() -> int:
            return len(await bus.js.consumers_info("OBJ_artifacts"))

        assert await consumers() >= 1
        writer.close()

        async def none_left() -> bool:
            return await consumers() == 0

        await eventually(none_left, what="no consumer left")


async def test_while_nats_is_away_reads_go_on_and_writes_say_so_and_both_work_when_it_is_back(tmp_path: Path) -> None:
    async with nats_server.running(tmp_path / "nats") as server:
        port = server.port
        async with serving(server.url, tmp_path / "data") as service, client(service) as http:
            made = await upload(http, b"before")
            server.process.kill()
            await server.process.wait()

            async def unhealthy() -> bool:
                return (await http.get("/health")).status_code == 503

            await eventually(unhealthy)
            assert "NATS" in (await http.get("/health")).json()["detail"]
            assert (await http.get(f"/documents/{made['id']}/metadata")).json() == made
            away = await asyncio.gather(
                http.post("/documents", files={"file": ("b", b"meanwhile")}),
                http.patch(f"/documents/{made['id']}", json={"tags": ["x"]}),
                http.delete(f"/documents/{made['id']}"),
                http.get(f"/documents/{made['id']}"),
            )
            assert [one.status_code for one in away] == [503, 503, 503, 503]
            for one in away:
                assert int(one.headers["retry-after"]) > 0
                assert "does not answer" in one.json()["detail"]
            assert service.incoming == []
            async with nats_server.running(tmp_path / "nats", port=port):

                async def healthy() -> bool:
                    return (await http.get("/health")).status_code == 200

                await eventually(healthy)
                assert (await http.get(f"/documents/{made['id']}")).content == b"before"
                again = await upload(http, b"after")
                assert (await http.get(f"/documents/{again['id']}")).content == b"after"
                assert (await http.delete(f"/documents/{made['id']}")).status_code == 200
