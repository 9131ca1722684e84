"""Something that runs beside, for the time of a block."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, Result]) -> AsyncGenerator[asyncio.Task[Result], None]:
    """Runs ``work`` until it ends or the block is left, and never outlives the block.

    A task group would do, too, but it wraps what the block raises.
    """
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
