"""For tests: a service served in this process, on a free port, until the test is done with it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

OnReady = Callable[[int], None]


@contextlib.asynccontextmanager
async def running(
    serve: Callable[[OnReady], Coroutine[Any, Any, None]], *, within_s: float = 15.0
) -> AsyncGenerator[int, None]:
    """Runs ``serve(on_ready)`` beside the body, which gets the port; cancelled and awaited at the end. What it raises is raised."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(ready.set_result))
    either: list[asyncio.Future[Any]] = [serving, ready]
    try:
        async with asyncio.timeout(within_s):
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await serving
            raise AssertionError("the service ended before it served")
        yield ready.result()
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        if not serving.cancelled() and (error := serving.exception()) is not None:
            raise error
