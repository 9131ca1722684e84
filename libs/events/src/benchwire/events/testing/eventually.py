"""Waiting for a condition, with a deadline."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], *, within_s: float = 30.0, what: str = "") -> Any:
    """The first true result of ``condition``, which may be a coroutine function.

    Fails with ``AssertionError``, naming ``what`` and the last result, when time is up.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        if loop.time() > end:
            raise AssertionError(f"not within {within_s} s: {what or condition} (last: {result!r})")
        await asyncio.sleep(0.02)
