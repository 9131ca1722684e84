"""A new session that goes on from the middle of another: made known, filled with the conversation so far, and then asked for a run.

Each of its events has an id that follows from the call, so that a call which is repeated after a crash finishes what is there.
"""

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from msgspec import UNSET

from benchwire.events.catalog import aggregate_of, filter_of, filters_of
from benchwire.events.event import Event, token
from benchwire.events.log import Recorded
from benchwire.events.session import SessionDeleted, SessionRequested, SessionStarted
from benchwire.observability import agents, commands, errors, queries, recipe, session
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.queries import Changed
from benchwire.observability.session import Session
from benchwire.observability.transfer import copies
from benchwire.observability.transfer.copies import Cut
from benchwire.observability.wire.transfer import Fork

replace = msgspec.structs.replace

_MOST_EVENTS = 128  # that are looked up together


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a call comes to. ``started`` is the first event of the fork, ``requested`` its last; ``tombstone`` as in ``copies.copy_id``."""

    asked: Fork
    source: Changed
    cut: Cut
    tombstone: int
    started: SessionStarted
    requested: SessionRequested | None

    def id_of(self, *parts: object) -> str:
        """The id of an event of the fork."""
        return copies.copy_id(self.started.session_id, self.tombstone, *parts)

    @property
    def first_id(self) -> str:
        """The id of the first event: another for each call that asks for something else."""
        wanted = msgspec.json.encode(replace(self.asked, at=self.cut.at, session_id=None)).decode()
        return self.id_of("fork", self.source.session.session_id, self.source.created_sequence, wanted)


async def fork(lab: Lab, source: Changed, asked: Fork) -> tuple[Session, int]:
    """The fork of ``source`` that is ``asked`` for, and how many events of the conversation it has.

    Raises ``SessionExists``, ``Unusable``, ``LogUnavailable``, and ``HistoryGone`` when the log is younger than ``source``.
    """
    await lab.log.check_whole(source.created_sequence, f"session {source.session.session_id!r}")
    session_id = token(asked.session_id or f"fork-{uuid.uuid4().hex[:16]}", "session_id")
    there = await lab.read(lambda db: queries.session(db, session_id))
    plan = await _plan(lab, source, asked, session_id, there)
    if plan.requested is not None and plan.requested.agent_name:
        await agents.check_startable(lab, plan.requested.agent_name)
    if there is None:
        await _start(lab, plan)
    elif not await _has(lab, plan.first_id, plan.started):
        raise errors.SessionExists(session_id)
    copied, sequence = await _copy(lab, plan)
    if plan.requested is not None and not await _has(lab, plan.id_of("request"), plan.requested):
        sequence = await lab.log.append(plan.requested, event_id=plan.id_of("request"), deadline_s=WRITE_DEADLINE_S)
    await lab.shown(sequence)
    made = await lab.read(lambda db: queries.session(db, session_id))
    if made is None:
        raise errors.SessionUnknown(session_id)  # deleted in this very moment
    return made, copied


async def _plan(lab: Lab, source: Changed, asked: Fork, session_id: str, there: Session | None) -> Plan:
    origin = source.session
    at = await _place(lab, origin, asked, there)
    agent_name = origin.agent_name if asked.agent_name is UNSET else asked.agent_name
    name = asked.session_name or f"{origin.session_name or origin.session_id} (fork)"
    now = lab.now()
    started = SessionStarted(
        timestamp=now, session_id=session_id, session_name=name, project_dir=origin.project_dir, agent_name=agent_name,
        registered=True, forked_from_session_id=origin.session_id, forked_from_event_id=at,
    )  # fmt: skip
    requested = None
    if asked.prompt is not None:
        requested = SessionRequested(
            timestamp=now, session_id=session_id, session_name=name, prompt=asked.prompt, agent_name=agent_name,
            project_dir=origin.project_dir, model=asked.model, max_turns=commands.turns(asked.max_turns),
            budget=recipe.checked_budget(asked.budget), ask_before=recipe.checked_tools(asked.ask_before, "ask_before"),
        )  # fmt: skip
    return Plan(
        asked=asked,
        source=source,
        cut=await _cut(lab, source, at),
        tombstone=await lab.log.last_sequence(filter_of(SessionDeleted, session_id=session_id)),
        started=started,
        requested=requested,
    )


async def _place(lab: Lab, origin: Session, asked: Fork, there: Session | None) -> int:
    if asked.at is not None:
        at = asked.at
        if not 0 < at < 1 << 63 or not await lab.read(lambda db: queries.has_event(db, origin.session_id, at)):
            raise errors.Unusable(
                f"at: {at} is no event of session {origin.session_id!r}; GET its events for their ids"
            )
        return at
    if there is not None and there.forked_from_session_id == origin.session_id and there.forked_from_event_id:
        return there.forked_from_event_id  # the same call again, and its session has gone on meanwhile
    last = await lab.read(lambda db: queries.last_event(db, origin.session_id))
    if last is None:
        raise errors.Unusable(f"session {origin.session_id!r} has no events yet, so there is nothing to go on from")
    return last


async def _cut(lab: Lab, source: Changed, at: int) -> Cut:
    cut = Cut(at=at)
    async with aclosing(_conversation(lab, source)) as events:
        async for one in events:
            cut = copies.cut_after(cut, one.sequence, one.event)
            if cut.is_whole:
                return cut
    if cut.open and source.session.is_running:
        raise errors.Unusable(
            f"at: event {at} leaves a tool call without its result, which is still to come; choose an earlier event, or wait"
        )
    return cut


def _conversation(lab: Lab, source: Changed) -> AsyncGenerator[Recorded, None]:
    filters = filters_of(copies.CONVERSATION, session_id=source.session.session_id)
    return lab.log.read(filters, after=source.created_sequence - 1)


async def _start(lab: Lab, plan: Plan) -> None:
    session_id = plan.started.session_id

    def start(found: Session | None) -> Event:
        if found is not None:
            raise errors.SessionExists(session_id)
        return plan.started

    try:
        made = await lab.log.decide(
            session.OF_ITS_LIFE, None, session.evolve, start,
            event_id=plan.first_id, deadline_s=WRITE_DEADLINE_S, session_id=session_id,
        )  # fmt: skip
        await lab.shown(made.sequence)
    except errors.SessionExists:
        await lab.shown(await lab.log.last_sequence(aggregate_of(SessionStarted, session_id=session_id)))
        if not await _has(lab, plan.first_id, plan.started):  # or the same call is made twice at once: both do the same
            raise


async def _copy(lab: Lab, plan: Plan) -> tuple[int, int]:
    """Copies what is in front of the cut; how many events that are, and where the last one that was missing landed."""
    copied, sequence = 0, 0
    waiting: list[tuple[str, Event]] = []
    async with aclosing(_conversation(lab, plan.source)) as events:
        async for one in events:
            if plan.cut.has(one.sequence):
                waiting.append((plan.id_of(one.id), copies.forked(one.event, plan.started.session_id)))
                copied += 1
            if len(waiting) >= _MOST_EVENTS:
                sequence = max(sequence, await _write(lab, waiting))
                waiting = []
            if one.sequence > max(plan.cut.at, *plan.cut.along, 0):
                break
    return copied, max(sequence, await _write(lab, waiting))


async def _write(lab: Lab, waiting: list[tuple[str, Event]]) -> int:
    there = await lab.read(lambda db: queries.applied_ids(db, waiting))
    sequence = 0
    for event_id, event in waiting:
        if event_id not in there:
            sequence = await lab.log.append(event, event_id=event_id, deadline_s=WRITE_DEADLINE_S)
    return sequence


async def _has(lab: Lab, event_id: str, event: Event) -> bool:
    return bool(await lab.read(lambda db: queries.applied_ids(db, [(event_id, event)])))
