import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from benchwire.events.blobs import BlobMissing, Blobs
from benchwire.events.bus import Bus
from benchwire.events.presence import Presence, Present
from benchwire.events.testing.eventually import eventually


async def test_bytes_come_back_as_they_went_in_and_are_stored_once(bus: Bus, tmp_path: Path) -> None:
    blobs = Blobs(bus)
    data = os.urandom(3_000_000)
    file = tmp_path / "image.bin"
    file.write_bytes(data)
    first = await blobs.put(data, name="image.bin")
    second = await blobs.put(file, name="again.bin")
    assert first.digest == second.digest == hashlib.sha256(data).hexdigest()
    assert await blobs.get(first.digest) == data
    info = await bus.js.stream_info("OBJ_artifacts")
    assert info.state.bytes < 2 * len(data)
    await blobs.delete(first.digest)
    with pytest.raises(BlobMissing):
        await blobs.get(first.digest)


async def test_nothing_is_a_blob_too(bus: Bus) -> None:
    blobs = Blobs(bus)
    empty = await blobs.put(b"", name="empty")
    assert await blobs.get(empty.digest) == b""


async def test_who_is_announced_is_there_and_who_leaves_is_gone_at_once(bus: Bus) -> None:
    presence = Presence(bus)
    me = Present(service="agent", name="runner-1", version="1", pid=1)
    async with presence.announced(me):
        assert await presence.everyone() == [me]
        assert await presence.is_there("agent", "runner-1")
    assert not await presence.is_there("agent", "runner-1")
    await eventually(lambda: _nobody(presence))


async def test_who_is_cancelled_is_gone_at_once_too(bus: Bus) -> None:
    """A service ends by a cancel; its key used to stay until its time to live was over."""
    presence = Presence(bus)
    there = asyncio.Event()

    async def serve() -> None:
        async with presence.announced(Present(service="agent", name="runner-1", version="1", pid=1)):
            there.set()
            await asyncio.Event().wait()

    serving = asyncio.create_task(serve())
    await there.wait()
    serving.cancel()
    await asyncio.wait([serving])
    assert serving.cancelled()
    assert not await presence.is_there("agent", "runner-1")


async def _nobody(presence: Presence) -> bool:
    return await presence.everyone() == []


async def test_of_many_who_put_the_same_bytes_one_stores_them(bus: Bus) -> None:
    blobs = Blobs(bus)
    data = os.urandom(500_000)
    await asyncio.gather(*(blobs.put(data, name="same") for _ in range(5)))
    digest = hashlib.sha256(data).hexdigest()
    assert await blobs.get(digest) == data
    assert (await bus.js.stream_info("OBJ_artifacts")).state.bytes < len(data) + 10_000
    assert await blobs.size_of(digest) == len(data)


async def test_bytes_that_somebody_puts_while_they_are_freed_stay(bus: Bus) -> None:
    """A free that found nobody was carried out although the bytes had been put, and needed, a moment later."""
    blobs = Blobs(bus)
    kept = await blobs.put(b"needed after all", name="a")
    answers = [True, False]

    async def unused() -> bool:
        if len(answers) == 2:
            await blobs.put(b"needed after all", name="a")
        return answers.pop(0)

    assert not await blobs.free(kept.digest, unused)
    assert answers == []
    assert await blobs.get(kept.digest) == b"needed after all"


async def test_freed_bytes_can_be_put_again(bus: Bus) -> None:
    blobs = Blobs(bus)
    for _ in range(2):
        artifact = await blobs.put(b"back again", name="a")
        assert await blobs.get(artifact.digest) == b"back again"
        await blobs.delete(artifact.digest)
        await blobs.delete(artifact.digest)
        assert not await blobs.has(artifact.digest)
