"""What has to be known of a session before its events are copied somewhere."""

from collections.abc import Sequence

from sqlite_utils import Database

from benchwire.observability.queries.rows import marks


def applied_ids(db: Database, ids: Sequence[str]) -> set[str]:
    """Those of these event ids that were applied before, whenever that was. At most some hundred at a time."""
    found = db.conn.execute(f"SELECT id FROM seen WHERE id IN ({marks(ids)})", tuple(ids))  # noqa: S608
    return {row[0] for row in found}


def last_event(db: Database, session_id: str) -> int | None:
    """The id of the newest event that a session shows."""
    row = db.conn.execute("SELECT max(seq) FROM events WHERE session_id = ?", (session_id,)).fetchone()
    return row[0]  # type: ignore[no-any-return]


def has_event(db: Database, session_id: str, event_id: int) -> bool:
    """Whether a session shows an event of that id."""
    sql = "SELECT 1 FROM events WHERE seq = ? AND session_id = ?"
    return db.conn.execute(sql, (event_id, session_id)).fetchone() is not None
