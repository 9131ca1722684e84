"""What model calls cost, in tokens: per session or task, model and day.

What a deleted session had cost stays. Its own events are purged from the log, so its tombstone says it again.
"""

import sqlite3

import msgspec

from benchwire.events.log import Recorded
from benchwire.events.session import ModelUsed, SessionDeleted, Spent
from benchwire.events.task import NodeGenerated, TaskPlanned

EVENTS = (ModelUsed, SessionDeleted, TaskPlanned, NodeGenerated)

TABLES = """
CREATE TABLE IF NOT EXISTS usage (
    session_id TEXT NOT NULL, task_id TEXT NOT NULL, deleted INTEGER NOT NULL, model TEXT NOT NULL, day TEXT NOT NULL, calls INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cache_creation_input_tokens INTEGER NOT NULL,
    cache_read_input_tokens INTEGER NOT NULL, PRIMARY KEY (session_id, task_id, deleted, model, day)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS usage_by_day ON usage (day);
CREATE INDEX IF NOT EXISTS usage_by_task ON usage (task_id);
"""

SPENT = tuple(field.name for field in msgspec.structs.fields(Spent))
COUNTS = SPENT[2:]
NOBODY = ""  # no session, or no task, can be called so
_ADD = (
    f"INSERT INTO usage (session_id, task_id, deleted, {', '.join(SPENT)}) VALUES ({', '.join('?' * (len(SPENT) + 3))}) "  # noqa: S608 - our own names
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{one} = {one} + excluded.{one}' for one in COUNTS)}"
)


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """Counts one model call; or keeps what a deleted session had cost."""
    match one.event:
        case ModelUsed() as event:
            _add(db, (event.session_id, NOBODY, False), spent(event))
        case SessionDeleted() as event:
            db.execute("DELETE FROM usage WHERE session_id = ?", (event.session_id,))
            for part in event.usage:
                _add(db, (event.session_id, NOBODY, True), part)
        case TaskPlanned(model=str()) | NodeGenerated(model=str()) as event:
            _add(db, (NOBODY, event.task_id, False), _spent_on(event))


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


def _spent_on(event: TaskPlanned | NodeGenerated) -> Spent:
    """A call for a task; what came out of a cache nobody tells."""
    return Spent(
        model=event.model or "", day=event.timestamp.date().isoformat(), calls=1, input_tokens=event.input_tokens,
        output_tokens=event.output_tokens, cache_creation_input_tokens=0, cache_read_input_tokens=0,
    )  # fmt: skip


def _add(db: sqlite3.Connection, whose: tuple[str, str, bool], part: Spent) -> None:
    """``whose``: the session, the task, and whether the session was deleted."""
    db.execute(_ADD, (*whose, *(getattr(part, name) for name in SPENT)))
