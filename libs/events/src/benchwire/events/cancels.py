"""Cancels that arrive.

Before Python 3.12 ``asyncio.wait_for`` loses a cancel that meets the result it waits for (python/cpython#86296), and libraries wait that
way. A loop around such a wait goes on for ever, and with it whoever waits for the loop's end. Our own code uses ``asyncio.timeout``.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, TypeVar

Result = TypeVar("Result")

_AGAIN_S = 0.1


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Raises at the block's end a cancel of the running task that the block lost, whatever else came of it."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


async def to_the_end(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs what must not be left half done, such as closing something; a cancel meanwhile is raised when it is done. It has to end by itself."""
    task = asyncio.create_task(coroutine)
    with kept():
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
    return task.result()


async def until_over(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels ``tasks`` until all are over, for the one cancel may be lost. What they raise stays in them."""
    pending = {task for task in tasks if not _is_over(task)}
    while pending:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_AGAIN_S)
        pending = {task for task in pending if not _is_over(task)}


def _is_over(task: asyncio.Task[Any]) -> bool:
    if task.done() and not task.cancelled():
        task.exception()  # looked at, or the event loop would complain of it
    return task.done()
