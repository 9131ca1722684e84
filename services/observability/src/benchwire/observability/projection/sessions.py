"""Sessions and what was said in them."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args

import msgspec

from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.session import (
    MessageRequested,
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionDeleted,
    SessionDescribed,
    SessionEvent,
    SessionRequested,
    SessionStarted,
    SessionStopRequested,
    ToolCalled,
    ToolReturned,
)
from benchwire.observability.session import Session, Status, evolve, iso

EVENTS: tuple[type[Event], ...] = get_args(SessionEvent)

# One column per field of Session, then where in the log it began, and last changed its status or names.
TABLES = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY, created_at TEXT NOT NULL, modified_at TEXT NOT NULL, status TEXT NOT NULL, session_name TEXT,
    project_dir TEXT, agent_name TEXT, parent_session_name TEXT,
    parent_session_id TEXT, forked_from_session_id TEXT, forked_from_event_id INTEGER, requested INTEGER NOT NULL, runner TEXT, reason TEXT,
    code TEXT, approvals INTEGER NOT NULL,
    created_seq INTEGER NOT NULL, changed_seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_parent ON sessions (parent_session_id, created_at, created_seq);
CREATE INDEX IF NOT EXISTS sessions_by_parent_name ON sessions (parent_session_name);
CREATE INDEX IF NOT EXISTS sessions_by_name ON sessions (session_name);
CREATE INDEX IF NOT EXISTS sessions_held ON sessions (runner) WHERE runner IS NOT NULL;
CREATE INDEX IF NOT EXISTS sessions_by_age ON sessions (created_at, created_seq);
CREATE INDEX IF NOT EXISTS sessions_by_status ON sessions (status, created_at, created_seq);
CREATE INDEX IF NOT EXISTS sessions_by_agent ON sessions (agent_name, created_at, created_seq);
CREATE INDEX IF NOT EXISTS sessions_by_change ON sessions (changed_seq);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL, event_type TEXT NOT NULL, role TEXT, session_name TEXT, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_session ON events (session_id, seq, event_type);
CREATE TABLE IF NOT EXISTS deleted_sessions (session_id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deleted_sessions_by_age ON deleted_sessions (seq);
"""

FIELDS = tuple(field.name for field in msgspec.structs.fields(Session))
COLUMNS = ", ".join(FIELDS)
_UPSERT = (
    f"INSERT OR REPLACE INTO sessions ({COLUMNS}, created_seq, changed_seq) "  # noqa: S608 - our own column names
    f"VALUES ({', '.join('?' * len(FIELDS))}, ?, ?)"
)
_SELECT = f"SELECT {COLUMNS}, created_seq, changed_seq FROM sessions WHERE session_id = ?"  # noqa: S608

_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
_encoder = msgspec.json.Encoder()

SAID: tuple[type[Event], ...] = (MessageRequested, MessageSent, ToolCalled, ToolReturned, ModelUsed)
# What is no news of a session's status; the first that tells its name is, all the same.
QUIET: tuple[type[Event], ...] = (*SAID, SessionClaimed)
_NOT_SHOWN = (SessionRequested, SessionClaimed, SessionStopRequested, SessionDescribed, SessionDeleted)


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One session event to rows."""
    event: Any = one.event
    if isinstance(event, SessionDeleted):
        _delete(db, event, one.sequence)
        return
    session_id, at = event.session_id, event.timestamp
    if not isinstance(event, SAID) or not _touch(db, session_id, at):
        _fold(db, event, one.sequence)
    if not isinstance(event, _NOT_SHOWN) and not (isinstance(event, SessionStarted) and event.registered):
        db.execute(_INSERT, _shown(event, one.sequence))


def apply_said(db: sqlite3.Connection, said: Sequence[Recorded]) -> None:
    """Rows of events that are all of ``SAID``, as ``apply`` makes them of one after the other: each session is touched once."""
    newest: dict[str, datetime] = {}
    told: list[tuple[Any, int]] = [(one.event, one.sequence) for one in said]
    for event, _ in told:
        at = newest.get(event.session_id)
        if at is None or event.timestamp > at:
            newest[event.session_id] = event.timestamp
    unnamed = {session_id for session_id, at in newest.items() if not _touch(db, session_id, at)}
    for event, sequence in told:
        if event.session_id in unnamed and not _touch(db, event.session_id, event.timestamp):
            _fold(db, event, sequence)
    db.executemany(_INSERT, [_shown(event, sequence) for event, sequence in told])


def of_row(row: tuple[Any, ...]) -> Session:
    """A session from its columns, in the order of ``FIELDS``."""
    values = dict(zip(FIELDS, row, strict=True))
    return Session(**{**values, "status": Status(values["status"]), "requested": bool(values["requested"])})


def _touch(db: sqlite3.Connection, session_id: str, at: datetime) -> bool:
    """The short way for what is said in a session that is known by name; most events go it."""
    done = db.execute(
        "UPDATE sessions SET modified_at = max(modified_at, ?) WHERE session_id = ? AND session_name IS NOT NULL",
        (iso(at), session_id),
    )
    return done.rowcount == 1


def _fold(db: sqlite3.Connection, event: Any, sequence: int) -> None:
    row = db.execute(_SELECT, (event.session_id,)).fetchone()
    before, (created, changed) = (of_row(row[:-2]), row[-2:]) if row else (None, (sequence, sequence))
    after = evolve(before, event)
    assert after is not None
    values = [getattr(after, field) for field in FIELDS]
    is_told = not isinstance(event, QUIET) or (before is not None and after.session_name != before.session_name)
    db.execute(_UPSERT, (*values, created, sequence if is_told else changed))


def _shown(event: Any, sequence: int) -> tuple[Any, ...]:
    tag = event.__struct_config__.tag
    shown = {"event_type": tag, **msgspec.structs.asdict(event)}
    shown.pop("registered", None)
    name = shown.pop("session_name", None)  # put in when it is read: a later hook may be the first to tell it
    return sequence, event.session_id, tag, shown.get("role"), name, _encoder.encode(shown).decode()


def _delete(db: sqlite3.Connection, event: SessionDeleted, sequence: int) -> None:
    db.execute("DELETE FROM sessions WHERE session_id = ?", (event.session_id,))
    db.execute("DELETE FROM events WHERE session_id = ?", (event.session_id,))
    db.execute("INSERT OR REPLACE INTO deleted_sessions VALUES (?, ?)", (event.session_id, sequence))
