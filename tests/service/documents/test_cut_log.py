"""Documents that are older than the log keeps its events."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from benchwire.documents.testing import Service, serving
from benchwire.events import nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import STREAM, Bus
from benchwire.events.log import Log
from benchwire.events.session import SessionStarted
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT


@pytest.fixture
async def service(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(nats.url, tmp_path / "data") as service:
        yield service


async def uploaded(client: httpx.AsyncClient) -> tuple[str, str]:
    answer = await client.post("/documents", files={"file": ("a.txt", b"some words", "text/plain")})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["id"], answer.json()["checksum"]


async def test_a_document_that_is_older_than_the_log_is_changed_and_deleted_like_any_other(
    service: Service, bus: Bus, log: Log
) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=20.0) as client:
        document, digest = await uploaded(client)
        await bus.js.purge_stream(STREAM, seq=1 + await log.append(SessionStarted(timestamp=AT, session_id="s")))
        last = await log.append(SessionStarted(timestamp=AT, session_id="t"))
        async with connect(f"{service.url.replace('http', 'ws')}/ws?since=0", proxy=None) as socket:
            assert json.loads(await socket.recv())["type"] == "resync", "what was missed can no longer be told"
        assert last == 3
        for tag in ("one", "two"):
            changed = await client.patch(f"/documents/{document}", json={"tags": [tag]})
            assert (changed.status_code, changed.json()["tags"]) == (200, [tag]), changed.text
        assert (await client.delete(f"/documents/{document}")).status_code in (200, 204)
        assert (await client.get(f"/documents/{document}")).status_code == 404

        async def freed() -> bool:
            return not await Blobs(bus).has(digest)

        await eventually(freed)


async def test_rows_that_lack_documents_free_no_bytes(
    nats: nats_server.Server, service: Service, bus: Bus, log: Log, tmp_path: Path
) -> None:
    """Bytes that no row names look like those of an upload that died."""
    async with httpx.AsyncClient(base_url=service.url, timeout=20.0) as client:
        _, digest = await uploaded(client)
    await bus.js.purge_stream(STREAM, seq=1 + await log.append(SessionStarted(timestamp=AT, session_id="s")))
    async with (
        serving(nats.url, tmp_path / "elsewhere", documents_grace_s="1") as lacking,
        httpx.AsyncClient(base_url=lacking.url, timeout=20.0) as client,
    ):
        told = (await client.get("/health")).json()
        assert (told["status"], "are no longer in the log" in told["detail"]) == ("degraded", True)
        there = (await client.post("/documents", files={"file": ("b.txt", b"other words", "text/plain")})).json()
        await client.delete(f"/documents/{there['id']}")
        assert await Blobs(bus).has(digest)
        assert await Blobs(bus).has(there["checksum"])
