"""Rows of many events at once are those of one event after the other."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionDeleted,
    SessionDescribed,
    SessionEnded,
    SessionStarted,
    ToolApprovalRequested,
    ToolCalled,
    ToolDecided,
    ToolReturned,
)
from benchwire.observability.projection import SCHEMA, apply, apply_all

AT = datetime(2026, 1, 17, tzinfo=UTC)


def events(session_id: str, at: datetime, name: str | None) -> list[Event]:
    """One of each kind that matters to the rows of a session."""
    said: dict[str, Any] = {"timestamp": at, "session_id": session_id}
    return [
        MessageSent(**said, role="user", content=[], session_name=name),
        ToolCalled(**said, tool_name="bash", session_name=name),
        ToolReturned(**said, tool_name="bash", tool_output="ok", session_name=name),
        ModelUsed(**said, model="m", input_tokens=3, output_tokens=4),
        SessionStarted(**said, session_name=name),
        SessionDescribed(**said, session_name=name or "renamed"),
        ToolApprovalRequested(**said, tool_use_id="t", tool_name="bash", expires_at=at),
        ToolDecided(**said, tool_use_id="t", approved=True),
        SessionEnded(**said),
        SessionDeleted(**said),
    ]


one_event = st.builds(
    lambda session_id, seconds, name, kind: events(session_id, AT + timedelta(seconds=seconds), name)[kind],
    st.sampled_from(["a", "b", "c"]),
    st.integers(0, 20),
    st.sampled_from([None, "first", "second"]),
    # Mostly what is only said, so that there are runs of it.
    st.sampled_from([0, 0, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9]),
)


def rows(db: Database) -> dict[str, list[tuple[object, ...]]]:
    tables = [name for (name,) in db.conn.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: sorted(db.conn.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in tables}


def empty() -> Database:
    db = Database(sqlite3.connect(":memory:", isolation_level=None))
    db.conn.executescript(SCHEMA.tables)
    return db


@settings(max_examples=60, deadline=None)
@given(st.lists(one_event, max_size=30), st.integers(1, 9))
def test_rows_are_the_same_however_many_events_come_at_a_time(told: list[Event], at_a_time: int) -> None:
    recorded = [Recorded(number, f"id-{number}", event, AT) for number, event in enumerate(told, 1)]
    by_one, together = empty(), empty()
    for one in recorded:
        apply(by_one, one)
    for start in range(0, len(recorded), at_a_time):
        apply_all(together, recorded[start : start + at_a_time])
    assert rows(together) == rows(by_one)
    by_one.close()
    together.close()
