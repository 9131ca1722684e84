"""What has to be known of a session before its events are copied somewhere."""

from collections.abc import Sequence

import msgspec
from sqlite_utils import Database


def applied_ids(db: Database, ids: Sequence[str]) -> set[str]:
    """Those of these event ids that were applied before, whenever that was. At most some hundred at a time."""
    # What was seen is an id and the subject that it came on, with a space between.
    behind = "SELECT 1 FROM seen WHERE seen.id > given.value || ' ' AND seen.id < given.value || '!'"
    query = f"SELECT given.value FROM json_each(?) AS given WHERE EXISTS ({behind})"  # noqa: S608
    return {row[0] for row in db.conn.execute(query, (msgspec.json.encode(list(ids)).decode(),))}


def last_event(db: Database, session_id: str) -> int | None:
    """The id of the newest event that a session shows."""
    row = db.conn.execute("SELECT max(seq) FROM events WHERE session_id = ?", (session_id,)).fetchone()
    return row[0]  # type: ignore[no-any-return]


def has_event(db: Database, session_id: str, event_id: int) -> bool:
    """Whether a session shows an event of that id."""
    sql = "SELECT 1 FROM events WHERE seq = ? AND session_id = ?"
    return db.conn.execute(sql, (event_id, session_id)).fetchone() is not None
