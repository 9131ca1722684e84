"""What has to be known of a session before its events are copied somewhere."""

from collections.abc import Iterable

from sqlite_utils import Database

from benchwire.events.catalog import subject_of
from benchwire.events.event import Event
from benchwire.events.rows import seen, seen_key


def applied_ids(db: Database, events: Iterable[tuple[str, Event]]) -> set[str]:
    """The ids of those of these events that were applied before, whenever that was."""
    keys = {seen_key(event_id, subject_of(event)): event_id for event_id, event in events}
    return {keys[key] for key in seen(db.conn, keys)}


def last_event(db: Database, session_id: str) -> int | None:
    """The id of the newest event that a session shows."""
    row = db.conn.execute("SELECT max(seq) FROM events WHERE session_id = ?", (session_id,)).fetchone()
    return row[0]  # type: ignore[no-any-return]


def has_event(db: Database, session_id: str, event_id: int) -> bool:
    """Whether a session shows an event of that id."""
    sql = "SELECT 1 FROM events WHERE seq = ? AND session_id = ?"
    return db.conn.execute(sql, (event_id, session_id)).fetchone() is not None
