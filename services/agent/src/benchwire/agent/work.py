"""What this runner works on at the moment, and how it hears that it has to stop."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from benchwire.events.log import Recorded
from benchwire.events.session import (
    MessageRequested,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionStopped,
    SessionStopRequested,
    ToolDecided,
)
from benchwire.events.task import TaskCancelled, TaskCancelRequested, TaskClaimed, TaskFailed, TaskFinished

Result = TypeVar("Result")


class Verdict(StrEnum):
    """Why work is broken off: somebody asked for it, or it is not ours any more."""

    STOPPED = "stopped"
    LOST = "lost"


class Seat:
    """One of the places of a runner: whoever works has one, and may leave it for a while to somebody else."""

    def __init__(self, room: asyncio.Semaphore) -> None:
        self._room = room
        self._is_taken = True  # whoever made it had waited for the place

    def leave(self) -> None:
        """Gives the place to whoever waits for one; nothing happens when it was left before."""
        if self._is_taken:
            self._is_taken = False
            self._room.release()

    async def take(self) -> None:
        """Waits for a place."""
        if not self._is_taken:
            await self._room.acquire()
            self._is_taken = True


class Work:
    """One session or task while this runner has it.

    ``leaving`` says that it is broken off because this runner comes to an end: whoever goes on with it takes over what it holds.
    ``flash_jobs`` are those it waits for: host by job id. ``letters`` are what people wrote to it since it is here.
    """

    def __init__(self, name: str, seat: Seat | None = None) -> None:
        self.name = name
        self.letters: list[MessageRequested] = []
        self._seat = seat
        self._parked = 0
        self._decisions: list[tuple[int, ToolDecided]] = []
        self._news = asyncio.Event()
        self._missed: tuple[Verdict, str | None] | None = None
        self.verdict: Verdict | None = None
        self.leaving = False
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
        if self._ended:
            self._missed = self._missed or (verdict, reason)
        elif self.verdict is None:
            self.verdict, self.reason = verdict, reason
            if self._body is not None:
                self._body.cancel()

    @contextlib.contextmanager
    def ending(self) -> Generator[None, None, None]:
        """While its own end is written: what is heard meanwhile, of that end too, breaks nothing off."""
        self._ended = True
        yield

    def goes_on(self) -> None:
        """It did not end after all; what was heard meanwhile counts."""
        self._ended = False
        if self._missed is not None:
            self.stop(*self._missed)

    def hears(self, sequence: int, event: MessageRequested | ToolDecided) -> None:
        """What a person said to it, at ``sequence`` of the log."""
        if isinstance(event, MessageRequested):
            self.letters.append(event)
        else:
            self._decisions.append((sequence, event))
        self._news.set()
        self._news = asyncio.Event()

    async def decision(self, use: str, *, after: int | None = None) -> ToolDecided:
        """What is decided about the call ``use``; waited for. ``after`` is where in the log it was asked about, or where the claim stands."""
        since = after if after is not None else self._claimed_at or 0
        while True:
            news = self._news
            for sequence, event in self._decisions:
                if event.tool_use_id == use and sequence > since:
                    return event
            await news.wait()

    @contextlib.asynccontextmanager
    async def parked(self) -> AsyncGenerator[None, None]:
        """While it only waits for a person, or for other work: its place is somebody else's, and it waits for one before it goes on.

        Not when it is broken off: an end needs no place, and a stop waits for nobody.
        """
        if self._seat is None:
            yield
            return
        self._parked += 1
        self._seat.leave()
        try:
            yield
        except asyncio.CancelledError:
            self._parked -= 1
            raise
        except BaseException:
            await self._seated()
            raise
        await self._seated()

    async def _seated(self) -> None:
        self._parked -= 1
        if self._parked == 0 and self._seat is not None:
            await self._seat.take()

    async def run(self, body: Coroutine[Any, Any, Result]) -> Result | None:
        """What ``body`` returns; None when a verdict broke it off, after all it held was let go. A cancel of the caller ends it too."""
        if self.verdict is not None:
            body.close()
            return None
        async with asyncio.TaskGroup() as tasks:
            self._body = tasks.create_task(body)
            try:
                await asyncio.wait([self._body])
            except asyncio.CancelledError:
                self.leaving = True
                raise
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
    def at_work(self, kind: str, name: str, seat: Seat | None = None) -> Generator[Work, None, None]:
        """The work for the time of the context. Entered before the claim, so that no stop can fall in between."""
        work = self._at_work[(kind, name)] = Work(name, seat)
        try:
            yield work
        finally:
            del self._at_work[(kind, name)]

    def saw(self, events: Sequence[Recorded]) -> None:
        """Takes in what was committed."""
        for one in events:
            match one.event:
                case MessageRequested(session_id=name) | ToolDecided(session_id=name):
                    if (work := self._at_work.get(("session", name))) is not None:
                        work.hears(one.sequence, one.event)
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
