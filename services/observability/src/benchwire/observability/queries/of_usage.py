"""What model calls cost, in tokens."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.events.session import Spent
from benchwire.observability.projection.usage import COUNTS, SPENT

_SUMS = ", ".join(f"sum({one})" for one in COUNTS)
# What deleted sessions cost is counted, and no longer told by session.
_KEYS = {
    "session": "CASE WHEN deleted OR session_id = '' THEN NULL ELSE session_id END",
    "task": "CASE task_id WHEN '' THEN NULL ELSE task_id END",
    "model": "model",
    "day": "day",
}
FIRST_DAY, LAST_DAY = "0001-01-01", "9999-12-31"


class Counted(msgspec.Struct, frozen=True):
    """The calls of one ``model`` that have the same ``keys``, in the order in which these were asked for."""

    keys: tuple[str | None, ...]
    model: str
    counts: tuple[int, ...]


def spent(db: Database, session_id: str) -> list[Spent]:
    """What every session of that id had cost, those that were deleted before included."""
    sql = f"SELECT model, day, {_SUMS} FROM usage WHERE session_id = ? GROUP BY model, day ORDER BY model, day"  # noqa: S608
    return [Spent(**dict(zip(SPENT, row, strict=True))) for row in db.conn.execute(sql, (session_id,))]


def usage(
    db: Database,
    by: Sequence[str],
    *,
    session_id: str | None = None,
    task_id: str | None = None,
    model: str | None = None,
    since: str = FIRST_DAY,
    until: str = LAST_DAY,
) -> list[Counted]:
    """Calls by ``by`` (any of ``session``, ``task``, ``model``, ``day``) and by model, from one day to another, both inclusive."""
    where, values = ["day >= ? AND day <= ?"], [since, until]
    if session_id is not None:
        where.append("session_id = ? AND NOT deleted")
        values.append(session_id)
    if task_id is not None:
        where.append("task_id = ?")
        values.append(task_id)
    if model is not None:
        where.append("model = ?")
        values.append(model)
    keys = ", ".join(_KEYS[one] for one in by)
    order = ", ".join(str(number + 1) for number in range(len(by) + 1))
    sql = f"SELECT {keys}, model, {_SUMS} FROM usage WHERE {' AND '.join(where)} GROUP BY {order} ORDER BY {order}"  # noqa: S608 - our own names
    return [_counted(row, len(by)) for row in db.conn.execute(sql, values)]


def _counted(row: tuple[Any, ...], keys: int) -> Counted:
    return Counted(row[:keys], row[keys], row[keys + 1 :])
