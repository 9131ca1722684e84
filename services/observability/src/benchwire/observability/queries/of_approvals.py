"""Calls of tools that wait, or waited, for a person."""

from sqlite_utils import Database

from benchwire.observability.approval import State
from benchwire.observability.queries.rows import Row, rows


def approval(db: Database, session_id: str, tool_use_id: str) -> Row | None:
    """What was asked about that call."""
    sql = "SELECT * FROM approvals WHERE session_id = ? AND tool_use_id = ?"
    return next(iter(rows(db, sql, (session_id, tool_use_id))), None)


def approvals(
    db: Database, now: str, *, limit: int, session_id: str | None = None, state: State | None = None
) -> list[Row]:
    """The newest of them, in the order in which they were asked; ``now`` tells those that wait from those whose time is up."""
    where, values = ["1"], []
    if session_id is not None:
        where.append("session_id = ?")
        values.append(session_id)
    match state:
        case None:
            pass
        case State.WAITING:
            where.append("state = 'waiting' AND expires_at > ?")
            values.append(now)
        case State.EXPIRED:
            where.append("(state = 'expired' OR state = 'waiting' AND expires_at <= ?)")
            values.append(now)
        case _:
            where.append("state = ?")
            values.append(state)
    sql = f"SELECT * FROM approvals WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT {limit}"  # noqa: S608 - our own words
    return rows(db, sql, values)[::-1]
