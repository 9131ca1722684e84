import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchwire.events.blobs import BlobIncomplete, BlobMissing, Blobs
from benchwire.events.bus import Bus
from benchwire.events.chunks import GivenUp
from benchwire.events.objects import Objects
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
        assert (await bus.js.stream_info("KV_presence")).state.consumer_count == 0, (
            "asking leaves nothing in the server"
        )
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


async def test_bytes_that_somebody_holds_while_they_are_freed_stay(bus: Bus) -> None:
    """Whoever says in the log that he needs them has not got them: a push of what another service stored."""
    blobs = Blobs(bus)
    kept = await blobs.put(b"firmware", name="a.bin")
    asked = 0

    async def unused() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            assert (await blobs.hold(kept)).artifact == kept
        return asked == 1

    assert not await blobs.free(kept.digest, unused)
    assert (asked, await blobs.get(kept.digest)) == (2, b"firmware")
    await blobs.delete(kept.digest)
    with pytest.raises(BlobMissing):
        await blobs.hold(kept)


async def test_freed_bytes_can_be_put_again(bus: Bus) -> None:
    blobs = Blobs(bus)
    for _ in range(2):
        artifact = await blobs.put(b"back again", name="a")
        assert await blobs.get(artifact.digest) == b"back again"
        await blobs.delete(artifact.digest)
        await blobs.delete(artifact.digest)
        assert not await blobs.has(artifact.digest)


async def chunks_there(bus: Bus) -> int:
    found = await bus.js.stream_info("OBJ_artifacts", subjects_filter="$O.artifacts.C.>")
    return sum((found.state.subjects or {}).values())


async def test_a_part_deep_in_bytes_that_were_stored_beside_others_is_read_without_what_is_before_it(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = Blobs(bus)
    many = [os.urandom(16_000_000), os.urandom(9_000_000), os.urandom(5_000_001)]
    stored = await asyncio.gather(*(blobs.put(data, name="big") for data in many))
    came: list[int] = []
    select = Objects._chunks_from

    async def counted(*given: Any) -> AsyncGenerator[tuple[int, bytes], None]:
        async with aclosing(select(*given)) as chunks:
            async for at, chunk in chunks:
                came.append(len(chunk))
                yield at, chunk

    monkeypatch.setattr(Objects, "_chunks_from", counted)
    for data, artifact in zip(many, stored, strict=True):
        size = len(data)
        for start, stop in [
            (0, 1),
            (131_071, 131_073),
            (size // 2, size // 2 + 300_000),
            (size - 10, size),
            (size - 1, size + 99),
        ]:
            came.clear()
            assert b"".join([one async for one in blobs.span(artifact.digest, start, stop)]) == data[start:stop]
            assert sum(came) <= (stop - start) + 18 * 131_072
        assert await blobs.get(artifact.digest) == data


async def test_bytes_of_which_a_part_is_lost_are_noticed_and_healed_by_the_next_put(bus: Bus) -> None:
    blobs = Blobs(bus)
    data = os.urandom(1_000_000)
    artifact = await blobs.put(data, name="a")
    for lost in (2, 3, 2):  # sequences of chunks in the middle
        await bus.js.delete_msg("OBJ_artifacts", lost + (await bus.js.stream_info("OBJ_artifacts")).state.first_seq)
        with pytest.raises(BlobIncomplete, match="only a part"):
            await blobs.get(artifact.digest)
        with pytest.raises(BlobIncomplete):
            [one async for one in blobs.span(artifact.digest, 300_000, 900_000)]
        await blobs.put(data, name="a")
        assert await blobs.get(artifact.digest) == data
        assert await chunks_there(bus) == 8


async def test_what_puts_that_died_left_is_swept_and_what_is_under_way_is_not(bus: Bus) -> None:
    blobs, objects_ = Blobs(bus), Objects(bus)
    kept = await blobs.put(os.urandom(300_000), name="kept")
    left = await objects_.sent("ab" * 32, b"\0" * 32, os.urandom(500_000))  # its record never comes
    now = datetime.now(UTC)
    assert await blobs.sweep_unnamed(now=now, idle_s=600) == 0
    under_way = await objects_.sent("cd" * 32, b"\0" * 32, os.urandom(300_000))
    late = now + timedelta(seconds=700)
    assert await blobs.sweep_unnamed(now=late, idle_s=3600) == 0
    assert await objects_.is_whole(under_way)
    assert await blobs.sweep_unnamed(now=late, idle_s=600) == 2
    assert not await objects_.is_whole(left)
    assert await chunks_there(bus) == 3
    await blobs.get(kept.digest)


async def test_a_server_that_has_not_heard_of_a_record_is_not_believed_when_it_refuses_the_next(bus: Bus) -> None:
    """The record may have been taken by another one, which leads the store by now; its chunks were removed all the same."""
    objects, stored = Objects(bus), await Blobs(bus).store(b"bytes", name="a")
    with pytest.raises(GivenUp, match="does not know yet"):
        await objects.written(stored.info, stored.sequence + 1)
    assert await objects.written(stored.info, stored.sequence - 1) is None
    assert await objects.written(stored.info, stored.sequence) == stored.sequence + 1


async def test_the_store_tells_its_own_time(bus: Bus) -> None:
    """How old something is must not depend on the clock of whichever host asks."""
    blobs = Blobs(bus)
    before = await blobs.now()
    await blobs.put(b"a", name="a")
    async with aclosing(blobs.named()) as batches:
        written = [one.written_at async for batch in batches for one in batch]
    assert [before <= one <= await blobs.now() for one in written] == [True]


async def test_records_of_freed_bytes_are_forgotten_unless_they_came_back(bus: Bus) -> None:
    blobs = Blobs(bus)
    one, two = await blobs.put(b"one", name="1"), await blobs.put(b"two", name="2")
    await blobs.delete(one.digest)
    await blobs.delete(two.digest)
    freed = [named async for batch in blobs.named() for named in batch]
    assert {named.digest for named in freed if named.freed} == {one.digest, two.digest}
    await blobs.put(b"two", name="2")
    for named in freed:
        await blobs.forget(named)
    assert await blobs.get(two.digest) == b"two"
    assert [named.digest async for batch in blobs.named() for named in batch] == [two.digest]
    await blobs.put(b"one", name="1")
