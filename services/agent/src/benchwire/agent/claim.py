"""Taking a piece of work, and holding it: what is written under a claim lands only while nobody has taken the work over."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Set
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from nats.errors import Error as NatsError

from benchwire.agent import commands
from benchwire.agent import session as sessions
from benchwire.agent import task as tasks
from benchwire.agent.commands import Life
from benchwire.agent.errors import ClaimLost, HeldByAnother
from benchwire.agent.session import Session
from benchwire.agent.task import Task
from benchwire.events import codec, tracing
from benchwire.events.catalog import filter_of, filters_of
from benchwire.events.event import Event
from benchwire.events.log import SILENT, Behind, Contended, Decided, Expected, Log, LogUnavailable
from benchwire.events.presence import Presence
from benchwire.events.session import MessageRequested, SessionClaimed, SessionEnded, ToolDecided
from benchwire.events.task import TaskClaimed

SERVICE = "agent"
APPEND_DEADLINE_S = 30.0  # NATS may be away for a moment; the work need not start over for that
_AGAIN_S = 0.1

State = TypeVar("State")

Taken = SessionClaimed | TaskClaimed


class Claim:
    """This runner's hold on one session or task, by the claim ``taken`` that stands in the log at ``sequence``."""

    def __init__(self, log: Log, taken: Taken, sequence: int, *, caused_by: str | None = None) -> None:
        self.log = log
        self._taken = taken
        self._ids: dict[str, Any] = (
            {"session_id": taken.session_id} if isinstance(taken, SessionClaimed) else {"task_id": taken.task_id}
        )
        self._life = commands.LIFE_OF_SESSION if isinstance(taken, SessionClaimed) else commands.LIFE_OF_TASK
        self._fence = Expected(sequence, filter_of(type(taken), **self._ids))
        self._caused_by = caused_by

    async def append(self, event: Event, *, event_id: str | None = None) -> int:
        """Writes ``event``, which may be of another aggregate, and returns its sequence. Raises ``ClaimLost`` and ``LogUnavailable``.

        The server itself compares with the claim's sequence, so that a runner which was cut off cannot write over its successor. One that
        has not heard of the claim yet refuses, too (see ``Behind``): only what the log says of the claim is believed.
        """
        event_id = event_id or codec.new_id()  # one for all tries: another server may have taken what this one refused
        try:
            async with asyncio.timeout(APPEND_DEADLINE_S):
                while True:
                    with contextlib.suppress(Contended):
                        return await self.log.append(
                            event, event_id=event_id, caused_by=self._caused_by, expected=self._fence,
                            deadline_s=APPEND_DEADLINE_S,
                        )  # fmt: skip
                    with contextlib.suppress(Behind):
                        await self.check()
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError as error:
            raise LogUnavailable(SILENT) from error

    async def settle(self, event: Event) -> None:
        """Writes what begins or ends the work, in one decision: nobody can have ended it, or taken it over, in between.

        A session that was closed while this runner was frozen would else be begun anew by the runner's late start, and never end. Raises
        ``ClaimLost`` and ``LogUnavailable``.
        """
        decided = await self._decided(lambda life: event if life.held else None)
        if decided.event is None:
            raise self._lost()

    async def end(self, event: SessionEnded, *, taken: Set[str]) -> list[MessageRequested]:
        """As ``settle``, unless somebody has something to say to the session that is not among what it has ``taken`` in: returns that.

        Whoever is told that a message waits for a session that runs finds it in the conversation, or the session not ended.
        """
        decided = await self._decided(lambda life: event if life.held and not commands.unread(life, taken) else None)
        if not decided.state.held and decided.event is None:
            raise self._lost()
        return commands.unread(decided.state, taken)

    async def decision(self, event: ToolDecided) -> ToolDecided:
        """What is decided about a call: ``event``, unless somebody was faster, then what they said.

        Written only while the call waits; whoever takes the session over finds it. Raises ``ClaimLost`` and ``LogUnavailable``.
        """
        await self.check()
        decided: Decided[ToolDecided | None] = await self.log.decide(
            commands.APPROVAL,
            initial=None,
            evolve=partial(commands.decision_on, event.tool_use_id),
            decide=lambda known: event if known is None else None,
            caused_by=self._caused_by,
            deadline_s=APPEND_DEADLINE_S,
            **self._ids,
        )
        return decided.state or event

    async def _decided(self, decide: Callable[[Life], Event | None]) -> Decided[Life]:
        return await self.log.decide(
            self._life,
            initial=Life(),
            evolve=partial(commands.lived, self._taken),
            decide=decide,
            caused_by=self._caused_by,
            deadline_s=APPEND_DEADLINE_S,
            at_least=self._fence.sequence,
            **self._ids,
        )

    async def check(self) -> None:
        """Asked before what cannot be taken back. Raises ``ClaimLost`` when the work was ended or taken over, and ``LogUnavailable``.

        ``append`` alone would not notice an end: the server compares with claims, and whoever closed the work made none.
        """
        life, filters = Life(), filters_of(self._life, **self._ids)
        async with aclosing(self.log.read(filters, at_least=self._fence.sequence)) as events:
            async for one in events:
                life = commands.lived(self._taken, life, one.event)
        if not life.held:
            raise self._lost()

    def _lost(self) -> ClaimLost:
        return ClaimLost(f"{self._fence.filter} has ended, or was taken over")

    async def sample(self, event: Event) -> None:
        """Sends a sample to whoever listens."""
        await self.log.sample(event)


class Desk:
    """Where claims are made: the log, who is there, and this runner's name."""

    def __init__(self, log: Log, presence: Presence, runner: str) -> None:
        self.log = log
        self.presence = presence
        self.runner = runner

    async def session(self, session_id: str, *, caused_by: str | None = None, asked_at: int = 0) -> Decided[Session]:
        """Claims the session, which was asked for at the sequence ``asked_at``, or finds out that there is nothing to do.

        Raises ``HeldByAnother`` while its runner is there, and ``LogUnavailable``.
        """

        async def decided(gone: frozenset[str]) -> Decided[Session]:
            return await self.log.decide(
                sessions.TYPES,
                Session(),
                sessions.evolve,
                lambda state: commands.claim_session(
                    state, session_id, runner=self.runner, gone=gone, now=datetime.now(UTC)
                ),
                caused_by=caused_by,
                at_least=asked_at,
                session_id=session_id,
            )

        return await self._unless_held(decided)

    async def task(self, task_id: str, *, caused_by: str | None = None, asked_at: int = 0) -> Decided[Task]:
        """As ``session``, for a task."""

        async def decided(gone: frozenset[str]) -> Decided[Task]:
            return await self.log.decide(
                tasks.TYPES,
                Task(),
                tasks.evolve,
                lambda state: commands.claim_task(state, task_id, runner=self.runner, gone=gone, now=datetime.now(UTC)),
                caused_by=caused_by,
                at_least=asked_at,
                task_id=task_id,
            )

        return await self._unless_held(decided)

    async def _unless_held(
        self, decided: Callable[[frozenset[str]], Coroutine[Any, Any, Decided[State]]]
    ) -> Decided[State]:
        gone: frozenset[str] = frozenset()
        with tracing.span("claim"):
            while True:
                try:
                    return await decided(gone)
                except HeldByAnother as held:
                    if await self._is_there(held.runner):
                        raise
                    gone |= {held.runner}

    async def _is_there(self, runner: str) -> bool:
        try:
            return await self.presence.is_there(SERVICE, runner)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(f"nobody can say now whether {runner} is there") from error

    def claim(self, taken: Taken, sequence: int, *, caused_by: str | None = None) -> Claim:
        """The hold that comes with a claim that stands in the log at ``sequence``."""
        return Claim(self.log, taken, sequence, caused_by=caused_by)
