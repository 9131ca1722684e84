"""Waiting with a deadline where that is done thousands of times a second.

``asyncio.timeout`` and ``asyncio.wait`` make three times as much of it as there is: 5.5 µs, of which a bare timer and the waiting take 2.
"""

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def awaited(waiting: asyncio.Future[T], *, timeout_s: float) -> T:
    """The result of ``waiting``, which nobody else waits for: when the time is up, ``TimeoutError`` is its end, and raised."""
    timer = asyncio.get_running_loop().call_later(timeout_s, _expire, waiting)
    try:
        return await waiting
    finally:
        timer.cancel()


def _expire(waiting: asyncio.Future[T]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
