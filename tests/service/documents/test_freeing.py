import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from benchwire.documents.cache import Cache
from benchwire.documents.commands import Received
from benchwire.documents.document import Document
from benchwire.documents.projection import SCHEMA
from benchwire.documents.store import Store
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.event import Event
from benchwire.events.log import Log, LogUnavailable
from benchwire.events.presence import BACKUP, Presence, Present
from benchwire.events.projection import Projection

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
async def store(bus: Bus, tmp_path: Path) -> AsyncIterator[Store]:
    projection = Projection(bus, tmp_path / "projection.sqlite", SCHEMA)
    async with projection.running():
        cache = Cache(tmp_path / "cache", 0)
        yield Store(bus, projection, incoming=tmp_path, cache=cache, max_bytes=1000, base_url="http://here")


async def test_an_upload_whose_bytes_are_freed_just_before_its_event_puts_them_again(
    store: Store, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host's delete of the same bytes may have asked who needs them, and found nobody, before the event was there."""
    file = tmp_path / "upload"
    file.write_bytes(b"same")
    artifact = await Blobs(bus).put(file, name="a")
    append = Log.append

    async def late(log: Log, event: Event, **given: Any) -> int:
        await Blobs(bus).delete(artifact.digest)
        return await append(log, event, **given)

    monkeypatch.setattr(Log, "append", late)
    received = Received(filename="a", content_type="text/plain", size_bytes=4, digest=artifact.digest)
    made = await store.create(received, file)
    assert await Blobs(bus).get(made.digest) == b"same"


async def test_a_large_upload_whose_bytes_are_freed_just_before_its_event_is_withdrawn_and_may_be_repeated(
    store: Store, bus: Bus, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes came once, went into the store as they came, and are nowhere else."""
    data, append = b"large" * 500_000, Log.append
    digest = sha256(data).hexdigest()
    received = Received(filename="a", content_type="text/plain", size_bytes=len(data), digest=digest)

    async def come() -> Document:
        arriving = store.arriving()
        try:
            await arriving.write(data)
            await arriving.complete()
            return await store.create(received, arriving.data)
        finally:
            await arriving.remove()

    async def late(log: Log, event: Event, **given: Any) -> int:
        await Blobs(bus).delete(digest)
        return await append(log, event, **given)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Log, "append", late)
        with pytest.raises(LogUnavailable, match="send them again"):
            await come()
    events = [type(one.event) async for one in log.read(["bench.document.>"])]
    assert events == [DocumentCreated, DocumentDeleted]
    assert (await bus.js.stream_info("OBJ_artifacts", subjects_filter="$O.artifacts.C.>")).state.subjects is None
    made = await come()
    assert await Blobs(bus).get(made.digest) == data


async def test_bytes_of_a_document_that_came_a_moment_ago_on_another_host_are_not_freed(
    store: Store, bus: Bus, log: Log, tmp_path: Path
) -> None:
    """Whether bytes are needed must not be read from rows that do not have that document yet."""
    artifact = await Blobs(bus).put(b"just here", name="a")
    event = DocumentCreated(
        timestamp=NOW, document_id="doc_1", filename="a", content_type="text/plain", size_bytes=9, digest=artifact.digest
    )  # fmt: skip
    with sqlite3.connect(tmp_path / "projection.sqlite", isolation_level=None) as holding:
        holding.execute("BEGIN IMMEDIATE")  # keeps the projection behind the log for as long as we like
        await log.append(event)
        freeing = asyncio.create_task(store.freeing.free(artifact.digest))
        await asyncio.wait([freeing], timeout=0.3)
        holding.execute("ROLLBACK")
    holding.close()
    await freeing
    assert await Blobs(bus).has(artifact.digest)


async def test_nothing_is_freed_while_a_backup_is_made_and_the_next_sweep_comes_back_to_it(
    store: Store, bus: Bus, tmp_path: Path
) -> None:
    """The log in the backup may be older than the delete, and its document still need the bytes."""
    file = tmp_path / "upload"
    file.write_bytes(b"still wanted")
    digest = (await Blobs(bus).put(file, name="a")).digest
    received = Received(filename="a", content_type="text/plain", size_bytes=12, digest=digest)
    made = await store.create(received, file)
    service, name = BACKUP
    async with Presence(bus).announced(Present(service=service, name=name, version="0", pid=1)):
        await store.delete(made.id)
        assert await Blobs(bus).has(digest)
    await store.freeing.sweep(await Blobs(bus).now())
    assert not await Blobs(bus).has(digest)
