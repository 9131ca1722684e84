"""What this runner works on at the moment, and how it hears that it has to stop."""

import asyncio
import contextlib
from collections.abc import Coroutine, Generator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from benchwire.events.log import Recorded
from benchwire.events.session import (
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionStopped,
    SessionStopRequested,
)
from benchwire.events.task import TaskCancelled, TaskCancelRequested, TaskClaimed, TaskFailed, TaskFinished

Result = TypeVar("Result")


class Verdict(StrEnum):
    """Why work is broken off: somebody asked for it, or it is not ours any more."""

    STOPPED = "stopped"
    LOST = "lost"


class Work:
    """One session or task while this runner has it. ``flash_jobs`` are those it waits for: host by job id."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.verdict: Verdict | None = None
        self.reason: str | None = None
        self.flash_jobs: dict[str, str] = {}
        self._body: asyncio.Task[Any] | None = None
        self._ended = False
        self._claimed_at: int | None = None
        self._early: list[tuple[int, Verdict, str | None]] = []

    def claimed(self, sequence: int) -> None:
        """The claim stands in the log at ``sequence``."""
        self._claimed_at = sequence
        for told in self._early:
            self.told(*told)

    def told(self, sequence: int, verdict: Verdict, reason: str | None = None) -> None:
        """What the log says at ``sequence``. What stands before the claim was weighed when that was decided: it may be of an earlier run."""
        if self._claimed_at is None:
            self._early.append((sequence, verdict, reason))
        elif sequence > self._claimed_at:
            self.stop(verdict, reason)

    def stop(self, verdict: Verdict, reason: str | None = None) -> None:
        """Breaks off what runs, or what would run next. Nothing happens once it has come to its own end."""
        if self.verdict is None and not self._ended:
            self.verdict, self.reason = verdict, reason
            if self._body is not None:
                self._body.cancel()

    async def run(self, body: Coroutine[Any, Any, Result]) -> Result | None:
        """What ``body`` returns; None when a verdict broke it off, after all it held was let go. A cancel of the caller ends it too."""
        if self.verdict is not None:
            body.close()
            return None
        async with asyncio.TaskGroup() as tasks:
            self._body = tasks.create_task(body)
            await asyncio.wait([self._body])
            self._ended = not self._body.cancelled()
        return None if self._body.cancelled() else self._body.result()


class Workbench:
    """All work under way, by kind and id; follows the log to stop what has to stop."""

    def __init__(self) -> None:
        self._at_work: dict[tuple[str, str], Work] = {}

    def has(self, kind: str, name: str) -> bool:
        """Whether that session or task runs here."""
        return (kind, name) in self._at_work

    @contextlib.contextmanager
    def at_work(self, kind: str, name: str) -> Generator[Work, None, None]:
        """The work for the time of the context. Entered before the claim, so that no stop can fall in between."""
        work = self._at_work[(kind, name)] = Work(name)
        try:
            yield work
        finally:
            del self._at_work[(kind, name)]

    def saw(self, events: Sequence[Recorded]) -> None:
        """Takes in what was committed."""
        for one in events:
            match one.event:
                case SessionStopRequested(session_id=name, reason=reason):
                    self._told("session", name, one.sequence, Verdict.STOPPED, reason)
                case TaskCancelRequested(task_id=name, reason=reason):
                    self._told("task", name, one.sequence, Verdict.STOPPED, reason)
                case SessionClaimed() | SessionEnded() | SessionFailed() | SessionStopped() | SessionDeleted():
                    self._told("session", one.event.session_id, one.sequence, Verdict.LOST)
                case TaskClaimed() | TaskFinished() | TaskFailed() | TaskCancelled():
                    self._told("task", one.event.task_id, one.sequence, Verdict.LOST)
                case _:
                    pass

    def _told(self, kind: str, name: str, sequence: int, verdict: Verdict, reason: str | None = None) -> None:
        if (work := self._at_work.get((kind, name))) is not None:
            work.told(sequence, verdict, reason)
