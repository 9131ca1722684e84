"""How a reader of sessions is brought to the present: by what it missed, or by how things stand now.

What was missed is told as it was told live: frame by frame, in the order of the log. Only of several changes of one session the last is
told, because rows know how it ended.
"""

from collections.abc import Iterable
from contextlib import aclosing

import msgspec
from sqlite_utils import Database

from benchwire.events.catalog import CATALOG
from benchwire.observability import queries
from benchwire.observability.lab import Lab
from benchwire.observability.reading.listing import Listing
from benchwire.observability.wire import sessions as wire
from benchwire.observability.wire.sessions import Frame
from benchwire.observability.wire.stream import Place

_MOST_REPLAYED = 20_000
_MOST_REPLAYED_BYTES = 64 << 20
_OF_NO_SESSION = [
    f"{root}.>"
    for root in sorted({entry.subject.rsplit(".", entry.subject.count(".") - 1)[0] for entry in CATALOG})
    if root.startswith("bench.") and root != "bench.session"
]


class Replay(msgspec.Struct, frozen=True):
    """The first frames, in the order of the log; they tell everything up to ``sequence``. ``since`` is where they begin, unless that is now."""

    sequence: int
    frames: list[Frame]
    since: Place | None = None


class Stretch(msgspec.Struct, frozen=True):
    """Frames of one session, in the order of the log, which tell everything of it up to ``sequence``.

    ``is_all`` says that nothing more is known; ``is_over``, that the session is gone.
    """

    sequence: int
    frames: list[Frame]
    is_all: bool = True
    is_over: bool = False


async def replayed(lab: Lab, since: Place | None, session_id: str | None) -> Replay:
    """What happened after ``since``, in all of the lab or in one session; how things stand, when that is too much, or nobody asked for it."""

    def first(db: Database) -> Replay:
        missed = None if since is None else _missed(db, since, session_id)
        return missed if missed is not None else Replay(queries.applied(db), [standing(db, lab.listing, session_id)])

    replay = await lab.read(first)
    if replay.since is None or session_id is not None:
        return replay
    facts = await _facts_between(lab, replay.since, replay.sequence)
    if facts is None:
        return await replayed(lab, None, None)
    return msgspec.structs.replace(replay, frames=_in_order([*replay.frames, *facts], replay.since))


async def _facts_between(lab: Lab, since: Place, until: int) -> list[Frame] | None:
    """The facts after ``since`` that belong to no session; None when they are too many to be replayed, or no longer all in the log."""
    if (await lab.log.beginning()).hides(since.sequence):
        return None
    facts: list[Frame] = []
    async with aclosing(lab.log.read(_OF_NO_SESSION, after=since.sequence)) as later:
        async for one in later:
            if one.sequence > until:
                break
            facts.append(wire.fact_frame(one))
            if len(facts) > _MOST_REPLAYED:
                return None
    return facts


def standing(db: Database, listing: Listing, session_id: str | None) -> Frame:
    """How things stand: all sessions, or one."""
    if session_id is None:
        return wire.init_frame(listing.json(db), queries.applied(db))
    one = queries.session(db, session_id)
    return wire.init_frame("" if one is None else wire.session_json(one), queries.applied(db))


def _missed(db: Database, since: Place, session_id: str | None) -> Replay | None:
    """What happened after ``since``; None when it is so much, or so strange, that starting over is better."""
    sequence = queries.applied(db)
    if since.sequence > sequence:
        return None
    shown = queries.few_events_between(
        db, since.sequence, sequence, session_id=session_id, most=_MOST_REPLAYED, most_bytes=_MOST_REPLAYED_BYTES
    )
    if shown is None:
        return None
    changed = queries.changed_since(db, since.sequence - 1)
    gone = queries.deleted_since(db, since.sequence - 1)
    frames = [
        *(wire.event_frame(one) for one in shown),
        *(frame for one in changed if session_id in (None, one.session.session_id) for frame in _of_change(one)),
        *(wire.deleted_frame(one, at) for one, at in gone if session_id in (None, one)),
    ]
    return Replay(sequence, _in_order(frames, since), since)


def stretch(db: Database, session_id: str, since: Place) -> Stretch | None:
    """What happened in one session after ``since``, as far as is told at once; None when there is no such session, and nothing to tell of it."""
    sequence = queries.applied(db)
    found = queries.some_sessions(db, [session_id]).get(session_id)
    deleted = queries.tombstone(db, session_id)
    ended = [] if deleted is None else _in_order([wire.deleted_frame(session_id, deleted)], since)
    if found is None:
        return Stretch(sequence, ended, is_over=True) if ended else None
    window = queries.Window(session_id=session_id, after=since.sequence - 1, before=sequence + 1)
    shown = queries.piece(db, window, queries.Bounds(since.sequence, sequence, more=False))
    until = shown[-1].sequence if queries.is_full(shown) else sequence
    frames = [*ended, *(wire.event_frame(one) for one in shown), *_of_change(found)]
    return Stretch(until, [one for one in _in_order(frames, since) if one.sequence <= until], is_all=until == sequence)


def _of_change(one: queries.Changed) -> list[Frame]:
    created = wire.created_frame(one.session, one.created_sequence)
    if one.changed_sequence == one.created_sequence:
        return [created]
    return [created, wire.updated_frame(one.session, one.changed_sequence)]


def _in_order(frames: Iterable[Frame], since: Place) -> list[Frame]:
    later = [one for one in frames if (one.sequence, one.part) > since]
    return sorted(later, key=lambda one: (one.sequence, one.part))
