"""How much memory bodies may take together, and who is left out when it is taken."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from benchwire.web.room import HOLDS, SMALL_BYTES, NoRoomForBody, Room

LARGE = 1_000_000


async def called(
    room: Room, size: int | None, peer: str = "a", *, holds: int | None = None, until: asyncio.Event | None = None
) -> None:
    """A call with a body of ``size`` bytes, in chunks of unknown length if that is None, which lasts ``until``."""
    scope: Any = {
        "type": "http", "client": (peer, 1), "route_handler": SimpleNamespace(opt={} if holds is None else {HOLDS: holds}),
        "headers": [(b"transfer-encoding", b"chunked") if size is None else (b"content-length", b"%d" % size)],
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * (SMALL_BYTES + 1), "more_body": True}

    async def route(_: Any, receive: Any, __: Any) -> None:
        await receive()
        await receive()
        if until is not None:
            await until.wait()

    await room.handle(scope, receive, None, route)  # type: ignore[arg-type]


async def test_one_client_has_half_of_it_and_the_next_one_waits_until_some_is_free() -> None:
    room = Room(4 * LARGE, usual_bytes=8 * LARGE, wait_s=0.05)
    over = asyncio.Event()
    calls = [asyncio.create_task(called(room, LARGE, until=over)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NoRoomForBody):
        await called(room, LARGE)
    await called(room, LARGE, "b")
    await called(room, SMALL_BYTES)
    patient = Room(4 * LARGE, usual_bytes=8 * LARGE, wait_s=30.0)
    calls += [asyncio.create_task(called(patient, LARGE, until=over)) for _ in range(7)]
    await asyncio.sleep(0)
    assert patient.taken_bytes == 2 * LARGE
    over.set()
    await asyncio.gather(*calls)
    assert room.taken_bytes == patient.taken_bytes == 0


async def test_what_a_route_holds_is_what_counts_and_no_size_means_all_of_that() -> None:
    over = asyncio.Event()
    for size, holds, counted in [
        (9 * LARGE, LARGE, LARGE),
        (None, LARGE, LARGE),
        (None, None, 8 * LARGE),
        (LARGE, None, LARGE),
    ]:
        room = Room(4 * LARGE, usual_bytes=8 * LARGE)
        call = asyncio.create_task(called(room, size, holds=holds, until=over))
        await asyncio.sleep(0)
        assert room.taken_bytes == counted  # and one that is larger than all there is has it for itself
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert room.taken_bytes == 0


async def test_without_a_limit_nothing_is_counted() -> None:
    over = asyncio.Event()
    room = Room(0, usual_bytes=LARGE, wait_s=0.05)
    calls = [asyncio.create_task(called(room, LARGE, until=over)) for _ in range(50)]
    over.set()
    await asyncio.gather(*calls)
