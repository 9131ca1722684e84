"""Rows of the search, made of many events at a time."""

from datetime import UTC, datetime

from sqlite_utils import Database

from benchwire.events import rows
from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.session import MessageSent, SessionDeleted, SessionStarted
from benchwire.observability.projection import search

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def said(session: str, text: str) -> MessageSent:
    return MessageSent(timestamp=AT, session_id=session, role="user", content=[{"type": "text", "text": text}])


EVENTS: list[Event] = [
    SessionStarted(timestamp=AT, session_id="a"),
    said("a", "copper before"),
    said("b", "copper stays"),
    SessionDeleted(timestamp=AT, session_id="a"),
    said("a", "copper behind"),
    SessionDeleted(timestamp=AT, session_id="nobody"),
]


def tables() -> Database:
    db = Database(memory=True)
    for statement in rows.statements(search.SCHEMA.tables):
        db.conn.execute(statement)
    return db


def found(db: Database, word: str) -> list[int]:
    return [row[0] for row in db.conn.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (word,))]


def test_many_events_leave_the_rows_that_they_leave_one_by_one() -> None:
    together, apart = tables(), tables()
    events = [
        Recorded(sequence=10 * number, id=str(number), event=event, received_at=AT)
        for number, event in enumerate(EVENTS, 1)
    ]
    search.apply_all(together, events)
    for one in events:
        search.apply(apart, one)
    for db in (together, apart):
        assert found(db, "copper") == [30, 50]
        assert found(db, "before") == []
        assert found(db, "session_id:b") == [30]
        db.conn.execute("INSERT INTO words (words) VALUES ('integrity-check')")  # raises unless words and texts agree
    listed = "SELECT * FROM texts ORDER BY seq"
    assert together.conn.execute(listed).fetchall() == apart.conn.execute(listed).fetchall()
    together.close()
    apart.close()
