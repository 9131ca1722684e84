"""What boards printed becomes documents, once, whatever comes twice."""

from pathlib import Path

import httpx

from benchwire.documents.captures import QUEUE
from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import STREAM, Bus
from benchwire.events.log import Log
from benchwire.events.serial import CaptureFinished
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False)


async def finished(log: Log, bus: Bus, capture_id: str, data: bytes) -> None:
    artifact = await Blobs(bus).put(data, name="board-20260117T120000Z.log")
    ended = CaptureFinished(
        timestamp=AT, host="lab-1", capture_id=capture_id, device="board", artifact=artifact, lost_bytes=3, reason="over",
        tags=["boot", "not a tag"],
    )  # fmt: skip
    await log.append(ended)


async def settled(bus: Bus) -> bool:
    """Every capture of the log was dealt with."""
    info = await bus.js.consumer_info(STREAM, QUEUE)
    return (info.num_pending, info.num_ack_pending) == (0, 0)


async def test_a_capture_becomes_a_document_once_also_when_that_was_deleted_and_it_is_told_again(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    await finished(log, bus, "cap_1", b"BOOT\n")  # while no document store is there
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:

        async def there() -> bool:
            return (await http.get("/documents/cap_1")).status_code == 200

        await eventually(there)
        assert (await http.get("/documents/cap_1")).content == b"BOOT\n"
        (listed,) = (await http.get("/documents", params={"tags": "serial"})).json()
        assert (listed["id"], listed["tags"], listed["filename"]) == (
            "cap_1",
            ["serial", "boot"],
            "board-20260117T120000Z.log",
        )
        told = {"host": "lab-1", "device": "board", "lost_bytes": "3", "reason": "over"}
        assert listed["metadata"] == told
        await finished(log, bus, "cap_1", b"BOOT\n")
        await eventually(lambda: settled(bus))
        assert (await http.delete("/documents/cap_1")).status_code == 200
        await finished(log, bus, "cap_1", b"BOOT\n")
        await eventually(lambda: settled(bus))
    await bus.js.delete_consumer(STREAM, QUEUE)  # the worst that can happen to the queue: everything comes again
    async with serving(nats.url, tmp_path / "other") as service, client(service) as http:
        await eventually(lambda: settled(bus))
        assert (await http.get("/documents")).json() == []
    assert [one.sequence async for one in log.read(["bench.document.*.created"])] == [2]


async def test_bytes_of_a_capture_that_has_no_document_yet_are_not_freed_with_another_one(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    """Two boots of one board print the same: the store has their bytes once."""
    async with serving(nats.url, tmp_path / "data") as service, client(service) as http:
        first = (await http.post("/documents", files={"file": ("a.log", b"BOOT\n")})).json()["id"]
        await bus.js.delete_consumer(STREAM, QUEUE)  # it is made anew a little later, so that the document waits
        await finished(log, bus, "cap_1", b"BOOT\n")
        await http.delete(f"/documents/{first}")

        async def there() -> bool:
            return (await http.get("/documents/cap_1")).status_code == 200

        await eventually(there)
        assert (await http.get("/documents/cap_1")).content == b"BOOT\n"
        digest = (await http.get("/documents/cap_1/metadata")).json()["checksum"]
        assert (await http.delete("/documents/cap_1")).status_code == 200

        async def freed() -> bool:
            return not await Blobs(bus).has(digest)

        await eventually(freed, what="bytes that nobody needs any more are gone")
