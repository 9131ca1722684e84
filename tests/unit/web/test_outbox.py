"""What waits for readers, and how often it is held."""

import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing

from benchwire.web import outbox
from benchwire.web.outbox import Listener


def greeting(length: int) -> str:
    """A new object each time, as every reader is greeted with one."""
    return "x" * length


async def first(writes: AsyncGenerator[bytes, None]) -> bytes:
    async with aclosing(writes):
        return await anext(writes)


async def test_who_comes_together_is_greeted_with_one_copy_which_goes_with_the_last_of_them() -> None:
    before = len(outbox._LONG)
    readers = [Listener(limit_bytes=1000) for _ in range(3)]
    for one in readers:
        one.open([greeting(1 << 20)])
        one.put("later")
    assert len(outbox._LONG) == before + 1
    told = [await first(one.writes()) for one in readers]
    assert told[0] is told[1] is told[2]
    assert told[0].endswith(b"x" * 1000)
    gc.collect()
    assert len(outbox._LONG) == before


async def test_greetings_of_which_one_differs_are_kept_apart() -> None:
    one, other = Listener(limit_bytes=1000), Listener(limit_bytes=1000)
    one.open([greeting(1 << 20) + "a"])
    other.open([greeting(1 << 20) + "b"])
    assert (await first(one.writes()))[-1:] == b"a"
    assert (await first(other.writes()))[-1:] == b"b"
