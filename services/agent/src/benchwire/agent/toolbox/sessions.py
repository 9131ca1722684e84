"""Child sessions: work that a session gives to another agent, and whose result it gets back."""

import asyncio
import contextlib
import math
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from benchwire.agent.blueprint import why_not
from benchwire.agent.errors import ClaimLost, ToolFailed
from benchwire.agent.sessions.budget import tighter
from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox.inputs import Input, tool
from benchwire.agent.toolbox.place import Place
from benchwire.events.catalog import filter_of, filters_of
from benchwire.events.event import Event, IllegalToken
from benchwire.events.log import LogUnavailable
from benchwire.events.session import (
    Budget,
    MessageSent,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    SessionStopRequested,
)

MAX_DEPTH = 3  # a session that a person started, its children, theirs
MAX_CHILDREN = 20
MAX_TIMEOUT_S = 6 * 3600.0
MAX_RESULT_CHARS = 32 * 1024

_ENDS: tuple[type[Event], ...] = (SessionEnded, SessionFailed, SessionStopped, SessionDeleted)


class StartSession(Input, frozen=True, kw_only=True):
    """Gives a piece of work to another agent, in a session of its own with a directory of its own, waits for its end, and gives back what
    it said last. The other agent knows nothing but the prompt: say all that it needs.
    """

    prompt: Annotated[str, Meta(min_length=1, max_length=200_000)]
    agent_name: Annotated[str | None, Meta(description="the blueprint to use; without one, an agent of the lab")] = None
    name: Annotated[Annotated[str, Meta(max_length=200)] | None, Meta(description="what people see it called")] = None
    max_turns: Annotated[int, Meta(ge=1, le=500)] = 50
    budget: Annotated[Budget | None, Meta(description="what it may spend, beside what this session may")] = None
    timeout_s: Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S, description="after which it is stopped")] = 1800.0


class _Over(msgspec.Struct):
    """How a child ended, and what it said last."""

    text: str = ""
    end: Event | None = None


class Children:
    """The sessions that one session starts; each has an id that follows from the call: made again, the call finds the child."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._started = 0

    async def start(self, asked: StartSession, use_id: str) -> str:
        """The tool start_session."""
        child_id = self._place.named_after(use_id, "session")
        if not await self._is_asked_for(child_id):
            await self._check(asked.agent_name)
            await self._place.claim.append(self._request(asked, child_id), event_id=f"{child_id}-requested")
        try:
            async with self._place.work.parked():
                ended = await self._place.lab.until(lambda: self._over(child_id), within_s=asked.timeout_s)
        except asyncio.CancelledError:
            if self._place.ends:
                await self._stop(
                    child_id, f"the session {self._place.session_id} that it works for no longer waits for it"
                )
            raise
        if ended is None:
            await self._stop(child_id, f"it took longer than {asked.timeout_s:g} s")
            raise ToolFailed(f"the session {child_id} did not end within {asked.timeout_s:g} s, and was stopped")
        return _result(child_id, await self._told(child_id))

    async def _is_asked_for(self, child_id: str) -> bool:
        return await self._place.lab.log.last_sequence(filter_of(SessionRequested, session_id=child_id)) > 0

    async def _over(self, child_id: str) -> bool | None:
        return await self._place.lab.is_over(child_id) or None

    async def _check(self, agent_name: str | None) -> None:
        """Whether such a child may be. Raises ``ToolFailed``."""
        own = self._place.blueprint
        if agent_name is None and own is not None and own.tools is not None:
            raise ToolFailed(
                "an agent that may use only some tools has to name the agent that its child is: agent_name"
            )
        if agent_name is not None and (problem := why_not(await self._place.lab.blueprint(agent_name), agent_name)):
            raise ToolFailed(problem)
        if self._started >= MAX_CHILDREN:
            raise ToolFailed(f"a session starts {MAX_CHILDREN} others at most; do the rest yourself")
        if await self._depth() >= MAX_DEPTH:
            raise ToolFailed(f"sessions start each other {MAX_DEPTH} deep at most; do it yourself")
        self._started += 1

    async def _depth(self) -> int:
        """How many sessions there are from the one that a person started to this one, both counted; no further than matters."""
        depth, parent = 1, self._place.request.parent_session_id
        while parent is not None and depth < MAX_DEPTH:
            depth += 1
            parent = await self._parent_of(parent)
        return depth

    async def _parent_of(self, session_id: str) -> str | None:
        try:
            filter_ = filter_of(SessionRequested, session_id=session_id)
        except IllegalToken:  # somebody else's name for it
            return None
        async with aclosing(self._place.lab.log.read([filter_])) as events:
            async for one in events:
                if isinstance(one.event, SessionRequested):
                    return one.event.parent_session_id
        return None

    def _request(self, asked: StartSession, child_id: str) -> SessionRequested:
        own, request = self._place.blueprint, self._place.request
        budget = tighter(tighter(request.budget, own.budget if own is not None else None), asked.budget)
        ask_before = {*request.ask_before, *(own.ask_before if own is not None else ())}
        return SessionRequested(
            timestamp=datetime.now(UTC), session_id=child_id, session_name=asked.name or f"{request.session_name} / {asked.agent_name or 'child'}",
            prompt=asked.prompt, agent_name=asked.agent_name, project_dir=request.project_dir,
            parent_session_id=request.session_id, parent_session_name=request.session_name,
            max_turns=asked.max_turns, budget=None if budget == Budget() else budget, ask_before=sorted(ask_before),
        )  # fmt: skip

    async def _stop(self, child_id: str, reason: str) -> None:
        with contextlib.suppress(ClaimLost, LogUnavailable):  # whoever has this session now waits for the child
            await self._place.claim.append(
                SessionStopRequested(timestamp=datetime.now(UTC), session_id=child_id, reason=reason)
            )

    async def _told(self, child_id: str) -> _Over:
        told = _Over()
        filters = filters_of((MessageSent, *_ENDS), session_id=child_id)
        async with aclosing(self._place.lab.log.read(filters)) as events:
            async for one in events:
                if isinstance(one.event, MessageSent) and one.event.role == "assistant":
                    told.text = _text(one.event) or told.text
                elif isinstance(one.event, _ENDS):
                    told.end = one.event
        return told


def tools(calls: Calls, children: Children) -> list[Tool]:
    """The one that starts a child."""
    return [tool(calls, "start_session", StartSession, children.start, repeatable=True, timeout_s=math.inf)]


def _result(child_id: str, told: _Over) -> str:
    """What the child came to. Raises ``ToolFailed``."""
    said = told.text if len(told.text) <= MAX_RESULT_CHARS else f"{told.text[:MAX_RESULT_CHARS]}\n[cut]"
    before = f"; it had said: {said}" if said else ""
    match told.end:
        case SessionEnded():
            return f"[session {child_id}]\n{said or '(it said nothing)'}"
        case SessionFailed(reason=reason):
            raise ToolFailed(f"the session {child_id} failed: {reason}{before}")
        case SessionStopped(reason=reason):
            raise ToolFailed(f"the session {child_id} was stopped: {reason or 'no reason was given'}{before}")
        case _:
            raise ToolFailed(f"the session {child_id} was deleted")


def _text(message: MessageSent) -> str:
    return "\n".join(str(block.get("text", "")) for block in message.content if block.get("type") == "text").strip()
