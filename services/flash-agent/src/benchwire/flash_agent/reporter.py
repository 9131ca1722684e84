"""Tells the lab how far a job is, while it runs."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from benchwire.events import cancels
from benchwire.events.log import Log
from benchwire.flash_agent.commands import Names
from benchwire.flash_agent.meter import PERIOD_S, Meter
from benchwire.flash_agent.tools.worker_protocol import At


class Reporter:
    """Sends what the meter gives, for the time of ``running``."""

    def __init__(self, log: Log, of: Names, *, attempt: int = 1) -> None:
        self._log = log
        self._meter = Meter(of, attempt=attempt)
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def heard(self, at: At) -> None:
        """The tool is there now."""
        self._meter.heard(at)
        if self._meter.is_waiting:
            self._quiet.clear()
            self._news.set()

    async def told(self) -> None:
        """Returns when everything heard was told: a quick job is over before its samples are, which go out one each period."""
        await self._quiet.wait()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Tells for the time of the context."""
        async with cancels.beside(self._telling(), name="progress of a job"):
            yield

    async def _telling(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._news.wait()
            sample = self._meter.due(now_s=loop.time(), now=datetime.now(UTC))
            if sample is not None:
                await self._log.sample(sample)
            if not self._meter.is_waiting:
                self._news.clear()
                self._quiet.set()
            await asyncio.sleep(PERIOD_S)
