"""Gives the boards of this host to those who wait for them, ends leases that are over, and tells who may touch a board."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from datetime import datetime

from nats.errors import Error as NatsError

from benchwire.events import catalog
from benchwire.events.clock import Clock
from benchwire.events.event import Event
from benchwire.events.flash import FlashRequested
from benchwire.events.lease import holder_of
from benchwire.events.log import Contended, Expected, Log, LogUnavailable, Recorded
from benchwire.events.projection import Projection, ProjectionBehind
from benchwire.flash_agent import commands, lease, queries
from benchwire.flash_agent.errors import LeasedToAnother

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0  # a machine may have slept
TRY_AGAIN_S = 0.5


class Granting:
    """Decides on the rows of the projection, and writes each fact only if nothing was said about the same lease or board since.

    So of all hosts that have a board for a request one gives it, and what was left between two facts by an agent that was killed is
    completed by the next. The ``clock`` is the log's, which also says from when on a lease lasts; it is looked at here, and kept right.
    """

    def __init__(self, log_: Log, projection: Projection, host: str, clock: Clock) -> None:
        self._log = log_
        self._clock = clock
        self._projection = projection
        self._host = host
        self._still = asyncio.Lock()
        self._news = asyncio.Event()
        self._looked = asyncio.Event()

    def heard(self, _: Sequence[Recorded]) -> None:
        """Something was committed; for ``Projection.on_commit``."""
        self._news.set()

    async def run(self) -> None:
        """Works until cancelled: after each commit, and when something runs out."""
        while True:
            self._news.clear()
            try:
                if self._clock.age_s >= LOOK_AGAIN_S:
                    await self._clock.look()
                due_at = await self._look()
            except (LogUnavailable, ProjectionBehind, NatsError, OSError, TimeoutError) as error:
                self._looked.clear()  # a fact may have landed that is not in the rows
                log.warning("leases are looked at again: %s", error)
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            self._looked.set()
            left_s = LOOK_AGAIN_S if due_at is None else (due_at - self._clock.now()).total_seconds()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(left_s, 0.0), LOOK_AGAIN_S)):
                    await self._news.wait()

    async def judged(self, request: FlashRequested) -> None:
        """Returns when the job, which has its turn on its device and stands in the rows, may have it. Raises ``LeasedToAnother``.

        Nothing is granted meanwhile, and a board that has a job is not free: no lease can come between this answer and the job.
        """
        holder = holder_of(request.task_id, request.node_id) if request.task_id and request.node_id else None
        while True:
            await self._looked.wait()  # what ran out or was offered while no agent was here comes first
            async with self._still:
                if self._looked.is_set():
                    refused = await self.refusal(request.device, lease_id=request.lease_id, holder=holder)
                    break
        if refused is not None:
            raise refused

    async def refusal(
        self, device: str, *, lease_id: str | None = None, holder: str | None = None
    ) -> LeasedToAnother | None:
        """Why somebody with ``lease_id`` (or, without one, as ``holder``) may not touch the board now; None when they may."""
        held = await self._projection.read(lambda db: queries.held(db, device))
        return commands.refusal(held, device, self._clock.now(), lease_id=lease_id, holder=holder)

    async def _look(self) -> datetime | None:
        """Does all that has to happen now; when the next thing will be due."""
        async with self._still:
            while True:
                applied = self._projection.state.applied  # before the rows are read: they hold this, and maybe more
                standing = await self._projection.read(lambda db: queries.standing(db, self._host))
                fact = lease.next_fact(standing, self._clock.now())
                if fact is None:
                    return lease.due_at(standing)
                await self._write(fact, applied)

    async def _write(self, fact: Event, applied: int) -> None:
        """Writes ``fact`` unless the rows it was decided on are older than the last word on its aggregate; the rows are up to date then."""
        aggregate = catalog.aggregate_of(type(fact), **catalog.ids_of(fact))
        last = await self._log.last_sequence(aggregate)
        if last <= applied:
            try:
                last = await self._log.append(fact, expected=Expected(last, aggregate))
                log.info("%s", _told(fact))
            except Contended:
                last = await self._log.last_sequence(aggregate)
        await self._projection.wait_for(last)


def _told(fact: Event) -> str:
    fields = " ".join(f"{name}={value}" for name, value in catalog.ids_of(fact).items())
    return f"{type(fact).__name__} {fields}"
