"""What model calls cost, in tokens: per session, model and day.

What a deleted session had cost stays. Its own events are purged from the log, so its tombstone says it again.
"""

import sqlite3

import msgspec

from benchwire.events.log import Recorded
from benchwire.events.session import ModelUsed, SessionDeleted, Spent

EVENTS = (ModelUsed, SessionDeleted)

TABLES = """
CREATE TABLE IF NOT EXISTS usage (
    session_id TEXT NOT NULL, deleted INTEGER NOT NULL, model TEXT NOT NULL, day TEXT NOT NULL, calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_creation_input_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL, PRIMARY KEY (session_id, deleted, model, day)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS usage_by_day ON usage (day);
"""

SPENT = tuple(field.name for field in msgspec.structs.fields(Spent))
COUNTS = SPENT[2:]
_ADD = (
    f"INSERT INTO usage (session_id, deleted, {', '.join(SPENT)}) VALUES ({', '.join('?' * (len(SPENT) + 2))}) "  # noqa: S608 - our own names
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{one} = {one} + excluded.{one}' for one in COUNTS)}"
)


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """Counts one model call; or keeps what a deleted session had cost."""
    match one.event:
        case ModelUsed() as event:
            _add(db, event.session_id, spent(event), deleted=False)
        case SessionDeleted() as event:
            db.execute("DELETE FROM usage WHERE session_id = ?", (event.session_id,))
            for part in event.usage:
                _add(db, event.session_id, part, deleted=True)


def spent(event: ModelUsed) -> Spent:
    """One call, counted on the day on which it was made, in UTC."""
    return Spent(
        model=event.model,
        day=event.timestamp.date().isoformat(),
        calls=1,
        input_tokens=event.input_tokens,
        output_tokens=event.output_tokens,
        cache_creation_input_tokens=event.cache_creation_input_tokens,
        cache_read_input_tokens=event.cache_read_input_tokens,
    )


def _add(db: sqlite3.Connection, session_id: str, part: Spent, *, deleted: bool) -> None:
    db.execute(_ADD, (session_id, deleted, *(getattr(part, name) for name in SPENT)))
