"""kill -9 in the middle of an act: nothing is half there, nothing stays behind, and the rows are those of a rebuild."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import httpx

from benchwire.documents.projection import SCHEMA
from benchwire.documents.testing import Process, Service, running, serving
from benchwire.events import nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.log import Log
from benchwire.events.projection import Projection, rows_of
from benchwire.events.testing.eventually import eventually

MIB = 1 << 20


def client(service: Service) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False)


async def messages(bus: Bus) -> int:
    """Everything in the artifact store: chunks, records, and records of what was freed."""
    return (await bus.js.stream_info("OBJ_artifacts")).state.messages


async def killed(service: Process) -> None:
    service.process.kill()
    await service.process.wait()


async def post(service: Service, data: bytes) -> httpx.Response | None:
    with contextlib.suppress(httpx.HTTPError):
        async with client(service) as http:
            return await http.post("/documents", files={"file": ("a.bin", data)})
    return None


async def test_what_a_killed_upload_left_in_the_store_goes(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    kept, lost = os.urandom(MIB), os.urandom(24 * MIB)
    async with running(nats.url, tmp_path / "data") as service:
        assert await post(service, kept)
        before = await messages(bus)
        uploading = asyncio.create_task(post(service, lost))

        async def begun() -> bool:
            return await messages(bus) > before + 8

        await eventually(begun, what="chunks in the store")
        await killed(service)
        answer = await uploading
    orphans = await Blobs(bus).put(b"stored, and then the service died before its event", name="orphan")
    landed = [one async for one in log.read(["bench.document.*.created"])]
    assert len(landed) == (1 if answer is None else 2)
    async with serving(nats.url, tmp_path / "data", documents_grace_s="1") as again, client(again) as http:
        assert (await http.get("/documents")).headers["x-total-count"] == str(len(landed))

        async def swept() -> bool:
            return await messages(bus) == before and not await Blobs(bus).has(orphans.digest)

        if answer is None:
            await eventually(swept, within_s=20, what="what was left is gone")
        first = landed[0].event
        assert isinstance(first, DocumentCreated)
        assert (await http.get(f"/documents/{first.document_id}")).content == kept
        assert again.incoming == []


async def test_a_killed_delete_is_done_or_not_done(
    nats: nats_server.Server, tmp_path: Path, bus: Bus, log: Log
) -> None:
    before = await messages(bus)
    async with running(nats.url, tmp_path / "data") as service:
        ids = [answer.json()["id"] for n in range(8) if (answer := await post(service, bytes([n]) * MIB))]
        assert len(ids) == 8

        async def delete(document_id: str) -> None:
            with contextlib.suppress(httpx.HTTPError):
                async with client(service) as http:
                    await http.delete(f"/documents/{document_id}")

        deleting = [asyncio.create_task(delete(one)) for one in ids]

        async def begun() -> bool:
            return await log.last_sequence("bench.document.*.deleted") > 0

        await eventually(begun, what="a delete in the log")
        await killed(service)
        await asyncio.gather(*deleting)
    gone = {
        one.event.document_id
        async for one in log.read(["bench.document.*.deleted"])
        if isinstance(one.event, DocumentDeleted)
    }
    async with serving(nats.url, tmp_path / "data", documents_grace_s="1") as again, client(again) as http:
        for number, one in enumerate(ids):
            answer = await http.get(f"/documents/{one}")
            if one in gone:
                assert answer.status_code == 404
            else:
                assert (answer.status_code, answer.content) == (200, bytes([number]) * MIB)
                assert (await http.delete(f"/documents/{one}")).status_code == 200

        async def freed() -> bool:
            return await messages(bus) == before

        await eventually(freed, within_s=20, what="nothing left in the store")
    live = rows_of(again.projection)
    async with Projection(bus, tmp_path / "fresh.sqlite", SCHEMA, with_snapshots=False).running():
        pass
    assert rows_of(tmp_path / "fresh.sqlite") == live


async def test_a_search_index_that_is_lost_killed_or_broken_is_made_anew(
    nats: nats_server.Server, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "documents" / "search.sqlite"

    async def found(service: Service, q: str) -> int:
        async with client(service) as http:
            answer = await http.get("/documents", params={"q": q})
        return len(answer.json()) if answer.status_code == 200 else 0

    async with running(nats.url, tmp_path / "data") as service, client(service) as http:
        lines = "\n".join(json.dumps({"filename": f"{n}.txt", "text": f"word w{n}"}) for n in range(300))
        sending = asyncio.create_task(http.post("/documents/bulk", content=lines.encode()))
        await eventually(lambda: found(service, "word"))
        await killed(service)
        with contextlib.suppress(httpx.HTTPError):
            await sending
    for breaking in (lambda: None, file.unlink, lambda: file.write_bytes(b"nonsense" * 1000)):
        breaking()
        async with serving(nats.url, tmp_path / "data") as again, client(again) as http:
            total = int((await http.get("/documents")).headers["x-total-count"])
            assert total > 0

            async def all_found(service: Service = again, total: int = total) -> bool:
                async with client(service) as http:
                    answer = await http.get("/documents", params={"q": "word", "limit": "1"})
                return str(answer.headers.get("x-total-count")) == str(total)

            await eventually(all_found, within_s=20, what="all are found")
