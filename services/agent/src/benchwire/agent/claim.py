"""Taking a piece of work, and holding it: what is written under a claim lands only while nobody has taken the work over."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from benchwire.agent import commands
from benchwire.agent import session as sessions
from benchwire.agent import task as tasks
from benchwire.agent.errors import ClaimLost, HeldByAnother
from benchwire.agent.session import Session
from benchwire.agent.task import Task
from benchwire.events.catalog import filter_of
from benchwire.events.event import Event
from benchwire.events.log import Contended, Decided, Expected, Log
from benchwire.events.presence import Presence
from benchwire.events.session import SessionClaimed
from benchwire.events.task import TaskClaimed

SERVICE = "agent"
APPEND_DEADLINE_S = 30.0  # NATS may be away for a moment; the work need not start over for that

State = TypeVar("State")


class Claim:
    """This runner's hold on one session or task."""

    def __init__(self, log: Log, fence: Expected, *, caused_by: str | None = None) -> None:
        self.log = log
        self._fence = fence
        self._caused_by = caused_by

    async def append(self, event: Event, *, event_id: str | None = None) -> int:
        """Writes ``event``, which may be of another aggregate, and returns its sequence. Raises ``ClaimLost`` and ``LogUnavailable``.

        The server itself compares with the claim's sequence, so that a runner which was cut off cannot write over its successor.
        """
        try:
            return await self.log.append(
                event,
                event_id=event_id,
                caused_by=self._caused_by,
                expected=self._fence,
                deadline_s=APPEND_DEADLINE_S,
            )
        except Contended as error:
            raise ClaimLost(f"{self._fence.filter} was taken over") from error

    async def sample(self, event: Event) -> None:
        """Sends a sample to whoever listens."""
        await self.log.sample(event)


class Desk:
    """Where claims are made: the log, who is there, and this runner's name."""

    def __init__(self, log: Log, presence: Presence, runner: str) -> None:
        self.log = log
        self.presence = presence
        self.runner = runner

    async def session(self, session_id: str, *, caused_by: str | None = None) -> Decided[Session]:
        """Claims the session, or finds out that there is nothing to do. Raises ``HeldByAnother`` while its runner is there."""

        async def decided(gone: frozenset[str]) -> Decided[Session]:
            return await self.log.decide(
                sessions.TYPES,
                Session(),
                sessions.evolve,
                lambda state: commands.claim_session(
                    state, session_id, runner=self.runner, gone=gone, now=datetime.now(UTC)
                ),
                caused_by=caused_by,
                session_id=session_id,
            )

        return await self._unless_held(decided)

    async def task(self, task_id: str, *, caused_by: str | None = None) -> Decided[Task]:
        """As ``session``, for a task."""

        async def decided(gone: frozenset[str]) -> Decided[Task]:
            return await self.log.decide(
                tasks.TYPES,
                Task(),
                tasks.evolve,
                lambda state: commands.claim_task(state, task_id, runner=self.runner, gone=gone, now=datetime.now(UTC)),
                caused_by=caused_by,
                task_id=task_id,
            )

        return await self._unless_held(decided)

    async def end_task(self, taken: TaskClaimed, end: Event, *, caused_by: str | None = None) -> None:
        """Ends a task that is still ours by the claim ``taken``, in one decision: nobody else can have ended it in between.

        Raises ``ClaimLost``, and ``LogUnavailable``.
        """
        decided = await self.log.decide(
            tasks.TYPES,
            Task(),
            tasks.evolve,
            lambda state: end if commands.is_ours(state, taken) else None,
            caused_by=caused_by,
            deadline_s=APPEND_DEADLINE_S,
            task_id=taken.task_id,
        )
        if decided.event is None:
            raise ClaimLost(f"{taken.task_id} has ended, or was taken over")

    async def _unless_held(
        self, decided: Callable[[frozenset[str]], Coroutine[Any, Any, Decided[State]]]
    ) -> Decided[State]:
        gone: frozenset[str] = frozenset()
        while True:
            try:
                return await decided(gone)
            except HeldByAnother as held:
                if await self.presence.is_there(SERVICE, held.runner):
                    raise
                gone |= {held.runner}

    def claim(self, taken: SessionClaimed | TaskClaimed, sequence: int, *, caused_by: str | None = None) -> Claim:
        """The hold that comes with a claim that stands in the log at ``sequence``."""
        ids = {"session_id": taken.session_id} if isinstance(taken, SessionClaimed) else {"task_id": taken.task_id}
        return Claim(self.log, Expected(sequence, filter_of(type(taken), **ids)), caused_by=caused_by)
