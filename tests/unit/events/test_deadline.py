"""Waiting ends with what was waited for, with the deadline, or with whoever waits; and nothing of it stays behind."""

import asyncio
import gc

import pytest

from benchwire.events.deadline import awaited


async def test_what_comes_in_time_is_what_is_had() -> None:
    waiting = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(waiting.set_result, "it")
    assert await awaited(waiting, timeout_s=30) == "it"
    assert await awaited(waiting, timeout_s=0) == "it"  # and it stays


async def test_the_deadline_ends_the_waiting() -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await awaited(waiting, timeout_s=0.01)
    assert waiting.done()  # whoever would set it sees that nobody waits


async def test_whoever_stops_to_wait_leaves_no_timer_that_would_meet_the_next_one() -> None:
    waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waits = asyncio.create_task(awaited(waiting, timeout_s=0.01))
    await asyncio.sleep(0)
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert waiting.cancelled()
    await asyncio.sleep(0.02)  # the deadline passes, and finds nothing to end
    assert waiting.cancelled()


async def test_a_cancel_in_the_turn_in_which_the_result_or_the_deadline_came_is_not_lost() -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    for end in (None, TimeoutError()):
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waits = asyncio.create_task(awaited(waiting, timeout_s=30))
        await asyncio.sleep(0)
        if end is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(end)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits
        assert not waiting.cancelled()
        del waiting, waits
    gc.collect()
    assert not complaints  # of an end that nobody looked at


async def test_what_comes_before_a_deadline_that_is_due_is_what_is_had() -> None:
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waits = asyncio.create_task(awaited(waiting, timeout_s=0))
    await asyncio.sleep(0)  # the timer is due from now on
    waiting.set_result("it")
    assert await waits == "it"
