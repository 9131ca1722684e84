"""Calls of tools that wait, or waited, for a person."""

import sqlite3
from datetime import datetime
from typing import Any

import msgspec

from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.session import SessionDeleted, ToolApprovalRequested, ToolDecided
from benchwire.observability import approval
from benchwire.observability.approval import Approval, State, evolve
from benchwire.observability.session import iso

EVENTS: tuple[type[Event], ...] = approval.OF_ITS_LIFE

TABLES = """
CREATE TABLE IF NOT EXISTS approvals (
    session_id TEXT NOT NULL, tool_use_id TEXT NOT NULL, seq INTEGER NOT NULL, tool_name TEXT NOT NULL, tool_input TEXT NOT NULL,
    asked_at TEXT NOT NULL, expires_at TEXT NOT NULL, state TEXT NOT NULL, decided_at TEXT, "by" TEXT, reason TEXT,
    PRIMARY KEY (session_id, tool_use_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS approvals_by_age ON approvals (seq);
CREATE INDEX IF NOT EXISTS approvals_waiting ON approvals (seq) WHERE state = 'waiting';
"""

_ASK = "INSERT OR REPLACE INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)"
_SELECT = (
    'SELECT tool_use_id, asked_at, expires_at, state, decided_at, "by", reason FROM approvals WHERE session_id = ?'
)
_UPDATE = (
    'UPDATE approvals SET state = ?, decided_at = ?, "by" = ?, reason = ? WHERE session_id = ? AND tool_use_id = ?'
)
_COUNT = """
UPDATE sessions SET approvals = (SELECT count(*) FROM approvals WHERE session_id = ?1 AND state = 'waiting') WHERE session_id = ?1
"""


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One event about a call to rows; the session's own row says how many of its calls wait."""
    event: Any = one.event
    match event:
        case ToolApprovalRequested():
            given = msgspec.json.encode(event.tool_input).decode()
            what = (event.session_id, event.tool_use_id, one.sequence, event.tool_name, given)
            db.execute(_ASK, (*what, iso(event.timestamp), iso(event.expires_at), State.WAITING))
        case SessionDeleted():
            db.execute("DELETE FROM approvals WHERE session_id = ?", (event.session_id,))
        case ToolDecided():
            _fold(db, event, f"{_SELECT} AND tool_use_id = ?", (event.session_id, event.tool_use_id))
        case _:
            _fold(db, event, f"{_SELECT} AND state = 'waiting'", (event.session_id,))
    db.execute(_COUNT, (event.session_id,))


def _fold(db: sqlite3.Connection, event: Any, sql: str, values: tuple[str, ...]) -> None:
    for row in db.execute(sql, values).fetchall():
        tool_use_id: str = row[0]
        after = evolve(tool_use_id, _of_row(row[1:]), event)
        assert after is not None
        decided_at = None if after.decided_at is None else iso(after.decided_at)
        what = (after.state, decided_at, after.by, after.reason)
        db.execute(_UPDATE, (*what, event.session_id, tool_use_id))


def _of_row(columns: tuple[Any, ...]) -> Approval:
    """An approval from its columns: when it was asked for, until when, its state, and when it was decided, by whom and why."""
    asked_at, expires_at, state, decided_at, by, reason = columns
    return Approval(
        asked_at=datetime.fromisoformat(asked_at), expires_at=datetime.fromisoformat(expires_at), state=State(state),
        decided_at=None if decided_at is None else datetime.fromisoformat(decided_at), by=by, reason=reason,
    )  # fmt: skip
