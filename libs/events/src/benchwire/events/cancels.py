"""Cancels that arrive.

Before Python 3.12 ``asyncio.wait_for`` loses a cancel that meets the result it waits for (python/cpython#86296), and libraries wait that
way. A loop around such a wait goes on for ever, and with it whoever waits for the loop's end. Our own code uses ``asyncio.timeout``.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

log = logging.getLogger(__name__)

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


async def in_thread(pool: Executor, call: Callable[[], Result]) -> Result:
    """What comes of ``call`` in a thread of ``pool``; a cancel is raised once it is over, so that nobody leaves it in the middle of something."""
    work = asyncio.get_running_loop().run_in_executor(pool, call)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def until_over(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels ``tasks`` until all are over, for the one cancel may be lost. What they raise stays in them."""
    pending = {task for task in tasks if not _is_over(task)}
    while pending:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_AGAIN_S)
        pending = {task for task in pending if not _is_over(task)}


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], *, name: str) -> AsyncGenerator[None, None]:
    """``work`` goes on, in a task of its own, for the time of the context. A fault of it ends nothing else; it is logged under ``name``."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await until_over([task])
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("%s ended with a fault", name, exc_info=fault)


def _is_over(task: asyncio.Task[Any]) -> bool:
    if task.done() and not task.cancelled():
        task.exception()  # looked at, or the event loop would complain of it
    return task.done()
