"""Looking after something for as long as the service runs."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from benchwire.events.log import LogUnavailable
from benchwire.events.projection import ProjectionBehind

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def looked_after(look: Callable[[], Awaitable[None]], *, every_s: float, what: str) -> AsyncGenerator[None, None]:
    """Calls ``look`` every so often for the time of the context. A look that fails is told in the log, where ``what`` says at what."""
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(_again_and_again(look, every_s, what))
        try:
            yield
        finally:
            looking.cancel()


async def _again_and_again(look: Callable[[], Awaitable[None]], every_s: float, what: str) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await look()
        except (LogUnavailable, ProjectionBehind) as error:
            log.warning("%s: looked at again later: %s", what, error)
        except Exception:
            log.exception("%s: looked at again later", what)
