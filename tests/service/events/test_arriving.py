"""Bytes that go into the artifact store while they come."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from benchwire.events.arriving import Arriving, BytesFreed
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.log import LogUnavailable
from benchwire.events.testing.eventually import eventually

MIB = 1 << 20


async def always(_: int) -> bool:
    return True


@asynccontextmanager
async def come(blobs: Blobs, data: bytes, each: int = 300_000) -> AsyncIterator[Arriving]:
    arriving = blobs.arriving(always)
    try:
        for start in range(0, len(data), each):
            await arriving.write(data[start : start + each])
        await arriving.complete()
        yield arriving
    finally:
        await arriving.remove()


async def chunks_there(bus: Bus) -> int:
    found = await bus.js.stream_info("OBJ_artifacts", subjects_filter="$O.artifacts.C.>")
    return sum((found.state.subjects or {}).values())


@pytest.mark.parametrize("each", [1000, 300_000, MIB, 3 * MIB])
@pytest.mark.parametrize("size", [0, 5, MIB, MIB + 1, 3 * MIB])
async def test_what_comes_in_any_pieces_is_stored_as_it_is(bus: Bus, size: int, each: int) -> None:
    data = os.urandom(size)
    blobs = Blobs(bus)
    async with come(blobs, data, each) as arriving:
        assert (arriving.digest, arriving.size_bytes) == (hashlib.sha256(data).hexdigest(), size)
        stored = await blobs.store(arriving.data, name="a")
    assert await blobs.get(stored.artifact.digest) == data
    assert stored.info.chunks == -(-size // (128 * 1024))
    assert await blobs.sweep_unnamed(now=await blobs.now() + timedelta(hours=2)) == 0


async def test_few_bytes_are_sent_only_when_they_are_stored_and_what_nobody_stores_goes(bus: Bus) -> None:
    blobs = Blobs(bus)
    async with come(blobs, os.urandom(MIB)):
        assert (await chunks_there(bus), blobs.unnamed_bytes) == (0, 0)
    async with come(blobs, os.urandom(3 * MIB)):
        assert (await chunks_there(bus), blobs.unnamed_bytes) == (16, 2 * MIB)
    assert (await chunks_there(bus), blobs.unnamed_bytes) == (0, 0)


async def test_bytes_that_are_there_stay_the_ones_that_are_kept_and_the_new_ones_stand_in_if_those_are_freed(
    bus: Bus,
) -> None:
    blobs, data = Blobs(bus), os.urandom(2 * MIB)
    await blobs.put(data, name="before")
    async with come(blobs, data) as arriving:
        stored = await blobs.store(arriving, name="a")
        await blobs.delete(stored.artifact.digest)
        await blobs.reaffirm(stored, arriving)
    assert await blobs.get(stored.artifact.digest) == data
    async with come(blobs, data) as arriving:
        await blobs.store(arriving, name="a")
    assert await chunks_there(bus) == 16


async def test_whoever_cannot_store_them_once_more_is_told_so(bus: Bus) -> None:
    blobs = Blobs(bus)
    async with come(blobs, os.urandom(2 * MIB)) as arriving:
        stored = await blobs.store(arriving, name="a")
        await blobs.delete(stored.artifact.digest)
        with pytest.raises(BytesFreed, match="send them again"):
            await blobs.reaffirm(stored, arriving)
    assert await chunks_there(bus) == 0


async def test_what_comes_slowly_is_not_swept_here_and_if_it_is_elsewhere_that_is_noticed(bus: Bus) -> None:
    blobs, elsewhere = Blobs(bus), Blobs(bus)
    late = await blobs.now() + timedelta(hours=2)
    async with come(blobs, os.urandom(2 * MIB)) as arriving:
        assert await blobs.sweep_unnamed(now=late) == 0
        assert await elsewhere.sweep_unnamed(now=late) == 1
        with pytest.raises(LogUnavailable):
            await blobs.store(arriving, name="a")
        assert not await blobs.has(arriving.digest)
    assert await chunks_there(bus) == 0


async def test_once_there_is_no_room_the_rest_is_hashed_only_and_nothing_stays(bus: Bus) -> None:
    blobs, data = Blobs(bus), os.urandom(5 * MIB)

    async def two(size: int) -> bool:
        return blobs.unnamed_bytes + size <= 2 * MIB

    arriving = blobs.arriving(two)
    await arriving.write(data)
    await arriving.complete()
    assert await chunks_there(bus) == 0
    assert arriving.digest == hashlib.sha256(data).hexdigest()
    with pytest.raises(LogUnavailable, match="send them again"):
        await blobs.store(arriving, name="a")
    await blobs.put(data, name="a")
    stored = await blobs.store(arriving, name="a")
    await arriving.remove()
    assert await blobs.get(stored.artifact.digest) == data


async def test_of_many_that_come_at_once_no_more_are_sent_than_there_is_room_for(bus: Bus) -> None:
    blobs = Blobs(bus)

    async def two(size: int) -> bool:
        return blobs.unnamed_bytes + size <= 2 * MIB

    coming = [blobs.arriving(two) for _ in range(4)]
    await asyncio.gather(*(one.write(os.urandom(MIB + 1)) for one in coming))
    await asyncio.gather(*(one.complete() for one in coming))
    assert (await chunks_there(bus), blobs.unnamed_bytes) == (16, 2 * MIB)
    await asyncio.gather(*(one.remove() for one in coming))
    assert (await chunks_there(bus), blobs.unnamed_bytes) == (0, 0)


async def test_who_is_cancelled_while_bytes_come_leaves_nothing(bus: Bus) -> None:
    blobs = Blobs(bus)

    async def for_ever() -> None:
        arriving = blobs.arriving(always)
        try:
            while True:
                await arriving.write(os.urandom(MIB))
        finally:
            await arriving.remove()

    coming = asyncio.create_task(for_ever())

    async def begun() -> bool:
        return await chunks_there(bus) > 0

    await eventually(begun, what="chunks in the store")
    coming.cancel()
    await asyncio.wait([coming])
    assert coming.cancelled()
    assert await chunks_there(bus) == 0
