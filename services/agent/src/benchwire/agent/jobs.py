"""What happens to a request that came off a queue: claimed, run, and ended in the log, whatever happens on the way."""

import logging
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from benchwire.agent import fitting
from benchwire.agent.claim import Claim, Desk
from benchwire.agent.code import pipeline as code
from benchwire.agent.errors import ClaimLost, HeldByAnother
from benchwire.agent.firmware import pipeline
from benchwire.agent.lab import Lab
from benchwire.agent.sessions.runner import Runner
from benchwire.agent.task import Task
from benchwire.agent.work import Verdict, Work, Workbench
from benchwire.agent.worker import Answer, Delivery, Elsewhere, Later
from benchwire.events import tracing
from benchwire.events.event import Event
from benchwire.events.flash import FlashCancelRequested
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.session import SessionClaimed, SessionFailed, SessionRequested, SessionStopped
from benchwire.events.task import TaskCancelled, TaskClaimed, TaskFailed, TaskRequested

log = logging.getLogger(__name__)


class Jobs:
    """Handles deliveries of both queues."""

    def __init__(self, desk: Desk, bench: Workbench, runner: Runner, lab: Lab) -> None:
        self._desk = desk
        self._bench = bench
        self._runner = runner
        self._lab = lab

    async def session(self, delivery: Delivery) -> Answer:
        """Runs a requested session to its end. Raises ``LogUnavailable``."""
        request = delivery.event
        assert isinstance(request, SessionRequested)
        name = request.session_id
        if self._bench.has("session", name):
            return Later()
        with self._bench.at_work("session", name, delivery.seat) as work:
            try:
                taken = await self._desk.session(name, caused_by=delivery.id, asked_at=delivery.sequence)
            except HeldByAnother as held:
                return _held("session", name, held)
            if not isinstance(taken.event, SessionClaimed):
                return None
            claim = self._desk.claim(taken.event, taken.sequence, caused_by=delivery.id)
            work.claimed(taken.sequence)
            end = await self._ended(work, self._runner.run(taken.state, claim, work))
            if isinstance(end, str):
                end = SessionFailed(timestamp=_now(), session_id=name, reason=end, code="agent")
            if end is None and work.verdict is Verdict.STOPPED:
                end = SessionStopped(timestamp=_now(), session_id=name, reason=work.reason)
            return await self._finish(work, claim, end)  # None: it has ended, and written that

    async def task(self, delivery: Delivery) -> Answer:
        """Makes a requested task to its end. Raises ``LogUnavailable``."""
        request = delivery.event
        assert isinstance(request, TaskRequested)
        name = request.task_id
        if self._bench.has("task", name):
            return Later()
        with self._bench.at_work("task", name) as work:
            try:
                taken = await self._desk.task(name, caused_by=delivery.id, asked_at=delivery.sequence)
            except HeldByAnother as held:
                return _held("task", name, held)
            if isinstance(taken.event, TaskCancelled | TaskFailed):
                await self._cancel_left(taken.state, delivery.id)
            if not isinstance(taken.event, TaskClaimed):
                return None
            claim = self._desk.claim(taken.event, taken.sequence, caused_by=delivery.id)
            work.claimed(taken.sequence)
            end = await self._ended(work, self._made(request.kind, taken.state, claim, work))
            if isinstance(end, str):
                end = TaskFailed(timestamp=_now(), task_id=name, reason=end)
            await self._cancel_flashing(work, claim)
            cancelled = TaskCancelled(timestamp=_now(), task_id=name, reason=work.reason)
            return await self._finish(work, claim, end or cancelled)

    def _made(self, kind: str, task: Task, claim: Claim, work: Work) -> Coroutine[Any, Any, Event]:
        if kind == code.CODE:
            return code.run(task, claim, self._lab)
        return pipeline.run(task, claim, work, self._lab)

    async def _ended(self, work: Work, body: Coroutine[Any, Any, Event | None]) -> Event | str | None:
        """The event that ``body`` ends with; a sentence when it failed in a way nobody foresaw; None when it was broken off, or has none."""
        try:
            return await work.run(body)
        except ExceptionGroup as group:
            error = _first(group)
            if isinstance(error, LogUnavailable):
                raise error from group
            if isinstance(error, EventTooLarge):
                return str(error)
            if isinstance(error, ClaimLost):
                work.stop(Verdict.LOST)
                return None
            log.exception("%s: ended by an error of the runner itself", work.name)
            return f"the agent runner failed on it ({type(error).__name__}); its log has the details"

    async def _finish(self, work: Work, claim: Claim, end: Event | None) -> Answer:
        if work.verdict is Verdict.LOST:
            log.warning("%s: somebody else has it now; letting go", work.name)
            return Elsewhere()
        if end is None:
            return None
        if isinstance(end, SessionFailed | TaskFailed):
            tracing.failed(end.reason)
        try:
            await claim.settle(fitting.end(end))
        except ClaimLost:
            log.warning("%s: was ended or taken over by somebody else before its end could be written", work.name)
            return Elsewhere()
        return None

    async def _cancel_flashing(self, work: Work, claim: Claim) -> None:
        if work.verdict is Verdict.STOPPED:
            for job_id, host in work.flash_jobs.items():
                cancel = FlashCancelRequested(
                    timestamp=_now(), host=host, job_id=job_id, reason="its task was cancelled"
                )
                await claim.append(cancel)

    async def _cancel_left(self, task: Task, caused_by: str | None) -> None:
        """The flash jobs of a runner that did not live to see the cancel."""
        for left in task.flashing.values():
            job = await self._lab.job(left.job_id)
            if job is not None and job.state in ("requested", "started"):
                cancel = FlashCancelRequested(
                    timestamp=_now(), host=left.host, job_id=left.job_id, reason="its task has ended"
                )
                await self._lab.log.append(cancel, caused_by=caused_by)


def _held(kind: str, name: str, held: HeldByAnother) -> Later:
    log.info("%s %s: %s", kind, name, held)
    return Later()


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _now() -> datetime:
    return datetime.now(UTC)
