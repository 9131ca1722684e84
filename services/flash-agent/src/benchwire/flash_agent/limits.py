"""How long a job may take, and how long it may hold."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from benchwire.events import cancels
from benchwire.events.clock import Clock
from benchwire.flash_agent import commands, job
from benchwire.flash_agent.errors import FlashError, TimedOut


class Limits:
    """Those of one job. ``exceed`` is called when it is beyond one of them; ``exceeded`` is which: an error, or the reason of a cancel."""

    def __init__(
        self, clock: Clock, *, timeout_s: float | None, pause_limit_s: float, exceed: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._pause_limit_s = pause_limit_s
        self._exceed = exceed
        self._state = job.NEW
        self._moved = asyncio.Event()
        self.exceeded: FlashError | str | None = None

    def follow(self, state: job.Job) -> None:
        """The job stands there now."""
        self._state = state
        self._moved.set()

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncGenerator[None, None]:
        """Watches over the job for the time of the context."""
        async with cancels.beside(self._watch(), name="watch over the limits of a job"):
            yield

    async def _watch(self) -> None:
        while True:
            self._moved.clear()
            left_s = commands.time_left_s(
                self._state, timeout_s=self._timeout_s, pause_limit_s=self._pause_limit_s, now=self._clock.now()
            )
            if left_s is not None and left_s <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._moved.wait()
        if self._state.paused_at is not None:
            self.exceeded = f"it held for {self._pause_limit_s:g} s, and nobody let it go on"
        elif self._timeout_s is not None:
            self.exceeded = TimedOut(self._timeout_s)
        self._exceed()
