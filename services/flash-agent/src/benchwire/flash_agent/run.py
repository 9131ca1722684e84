"""One flash job, from its turn on its device to its end: its attempts, what may follow each, and how long it may take."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import get_args

import msgspec

from benchwire.events import flash, tracing
from benchwire.events.blobs import Blobs
from benchwire.events.clock import Clock
from benchwire.events.event import Event
from benchwire.events.log import Decided, Log
from benchwire.flash_agent import commands, job
from benchwire.flash_agent.attempt import Attempt, Broke, Outcome, Stopped, Succeeded, Wishes
from benchwire.flash_agent.deciding import decided
from benchwire.flash_agent.errors import FlashError, LeasedToAnother
from benchwire.flash_agent.granting import Granting
from benchwire.flash_agent.inventory import Board, Inventory
from benchwire.flash_agent.limits import Limits
from benchwire.flash_agent.preparing import Prepared, prepared
from benchwire.flash_agent.reporter import Reporter
from benchwire.flash_agent.tools.worker_protocol import (
    At,
    FlashState,
    Paused,
    PauseDeferred,
    Resumed,
    Saying,
    Throttled,
    tool_of,
)

log = logging.getLogger(__name__)

_EVENTS: Sequence[type[Event]] = get_args(flash.FlashEvent)

Decision = Callable[[job.Job], Event | None]


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of a host share. ``tools`` has a place for each flash tool that may run at the same time; ``pause_limit_s`` is after how
    long a job that holds is given up. The ``clock`` is the log's: the limits of a job hold over a restart, and while somebody sets the clock
    of this machine.
    """

    log: Log
    blobs: Blobs
    inventory: Inventory
    granting: Granting
    clock: Clock
    tools: asyncio.Semaphore
    pause_limit_s: float


class Run:
    """A job that the queue gave to this agent. ``event_id`` is that of its request."""

    def __init__(self, means: Means, request: flash.FlashRequested, event_id: str | None) -> None:
        self.request = request
        self.names = commands.Names(host=request.host, job_id=request.job_id, device=request.device)
        self.wishes = Wishes()
        self._means = means
        self._event_id = event_id
        self._state = job.NEW
        self._attempt: Attempt | None = None
        self._limits = Limits(
            means.clock, timeout_s=request.timeout_s, pause_limit_s=means.pause_limit_s,
            exceed=lambda: self.wishes.ask(cancel=True),
        )  # fmt: skip

    @property
    def is_over(self) -> bool:
        """Whether its end is in the log, as far as this agent knows."""
        return self._state.is_over

    @property
    def has_begun(self) -> bool:
        """Whether it had its device already, with this agent or one before it, as far as this one knows."""
        return self._state.has_begun

    @property
    def flash_state(self) -> FlashState | None:
        """How the attempt that runs has left the flash up to now; None while none runs."""
        return None if self._attempt is None else self._attempt.flash_state

    async def work(self) -> None:
        """Brings the job to its end; its device is nobody else's meanwhile."""
        if (await self.decide(lambda _: None)).state.is_over:
            return
        try:
            await self._means.granting.judged(self.request)
        except LeasedToAnother as error:
            await self.fail(error)
            return
        async with self._limits.watched():
            while (wait_s := await self._tried()) is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self.wishes.cancel.wait()

    async def end_if_cancelled(self) -> None:
        """A job that waits need not wait to be cancelled."""
        await self.decide(lambda state: commands.cancel_waiting(state, self.names, now=self._now()))

    async def fail(self, error: FlashError) -> None:
        """Ends the job, which cannot be done."""
        log.warning("%s: %s", self.names.job_id, error)
        tracing.failed(str(error))
        flash_state = self.flash_state
        await self.decide(
            lambda state: commands.fail(state, self.names, error, flash_state=flash_state, now=self._now())
        )

    # -- attempts

    async def _tried(self) -> float | None:
        """One attempt. After how many seconds the next one follows; None when the job is over."""
        async with self._means.tools:
            try:
                ready = await prepared(self.request, self._means.inventory, self._means.blobs)
            except FlashError as error:
                return await self._broke(error, None)
            of, timeout_s = self.names, self.request.timeout_s
            driver, total_bytes = tool_of(ready.order), ready.order.size_bytes
            begun = await self.decide(
                lambda one: commands.start(
                    one, of, driver=driver, total_bytes=total_bytes, timeout_s=timeout_s, now=self._now()
                )
            )
            if begun.state.is_over:
                return None
            self._take_over_wishes(begun.state)
            began_s = asyncio.get_running_loop().time()
            with tracing.span("flash", device=of.device):
                outcome = await self._attempted(ready, begun.state.attempt)
            duration_s = asyncio.get_running_loop().time() - began_s
        wait_s = await self._concluded(outcome, total_bytes, duration_s)
        self._attempt = None
        return wait_s

    def _take_over_wishes(self, state: job.Job) -> None:
        """What was asked for while nobody heard it; what came since is newer."""
        if self.wishes.pause is None:
            self.wishes.ask(pause=state.pause_asked)
        if not self.wishes.throttles and state.max_bytes_per_s != self.request.max_bytes_per_s:
            self.wishes.throttle(state.max_bytes_per_s)

    async def _attempted(self, ready: Prepared, attempt: int) -> Outcome:
        reporter = Reporter(self._means.log, self.names, attempt=attempt)

        async def heard(saying: Saying) -> None:
            if isinstance(saying, At):
                reporter.heard(saying)
                if saying.stage == "resetting":  # all of it is told before the board speaks
                    await reporter.told()
            else:
                await self._heard(saying)

        self._attempt = Attempt(
            job_id=self.names.job_id,
            board=ready.board,
            order=ready.order,
            image=ready.image,
            wishes=self.wishes,
            heard=heard,
        )
        async with reporter.running():
            outcome = await self._attempt.run()
            if isinstance(outcome, Broke):
                return await self._explained(self._attempt, ready.board, outcome)
            await reporter.told()
            return outcome

    async def _heard(self, saying: Saying) -> None:
        of = self.names
        match saying:
            case Paused():
                await self.decide(lambda state: commands.pause(state, of, now=self._now()))
            case PauseDeferred(stage=stage, until=until):
                await self.decide(
                    lambda state: commands.defer_pause(state, of, stage=stage, until=until, now=self._now())
                )
            case Resumed():
                await self.decide(lambda state: commands.resume(state, of, now=self._now()))
            case Throttled(max_bytes_per_s=limit):
                await self.decide(lambda state: commands.throttle(state, of, max_bytes_per_s=limit, now=self._now()))
            case _:
                pass

    async def _explained(self, attempt: Attempt, board: Board, broke: Broke) -> Outcome:
        """A tool notices a pulled cable before the next look at the ports does, and calls it by other names."""
        await self._means.inventory.scan()
        return attempt.gone() if board.gone.is_set() else broke

    # -- what follows

    async def _concluded(self, outcome: Outcome, total_bytes: int, duration_s: float) -> float | None:
        """Writes what came of an attempt. After how many seconds the next one follows; None when the job is over."""
        of = self.names
        match outcome:
            case Succeeded(verified_by=by):
                await self.decide(
                    lambda state: commands.complete(
                        state, of, total_bytes=total_bytes, duration_s=duration_s, verified_by=by, now=self._now()
                    )
                )
            case Stopped(flash_state=flash_state):
                await self._stopped(flash_state)
            case Broke(error=error, flash_state=flash_state):
                return await self._broke(error, flash_state)
        return None

    async def _stopped(self, flash_state: FlashState) -> None:
        exceeded = self._limits.exceeded
        if isinstance(exceeded, FlashError):
            await self.fail(exceeded)
            return
        await self.decide(
            lambda state: commands.cancel(state, self.names, flash_state=flash_state, reason=exceeded, now=self._now())
        )

    async def _broke(self, error: FlashError, flash_state: FlashState | None) -> float | None:
        of, wanted = self.names, self.request

        def decide(state: job.Job) -> Event | None:
            again = commands.retry(
                state, of, error, flash_state=flash_state, retries=wanted.retries, timeout_s=wanted.timeout_s, now=self._now()
            )  # fmt: skip
            return again or commands.fail(state, of, error, flash_state=flash_state, now=self._now())

        log.warning("%s: %s", of.job_id, error)
        fact = (await self.decide(decide)).event
        if isinstance(fact, flash.FlashRetried):
            return fact.wait_s
        tracing.failed(str(error))
        return None

    # -- the log

    async def decide(self, decision: Decision) -> Decided[job.Job]:
        """A decision about the job. However long the log is away: what happened to a board has to be told."""
        of = self.names
        made = await decided(
            lambda: self._means.log.decide(
                _EVENTS, job.NEW, job.evolve, decision, caused_by=self._event_id, host=of.host, job_id=of.job_id
            ),
            about=of.job_id,
        )
        self._state = made.state
        self._limits.follow(made.state)
        return made

    def _now(self) -> datetime:
        return self._means.clock.now()
