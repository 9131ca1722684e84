"""Sessions, one by one and in pages."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlite_utils import Database

from benchwire.observability.projection.sessions import COLUMNS, of_row
from benchwire.observability.queries.rows import marks
from benchwire.observability.reading import cursor
from benchwire.observability.session import Session

_AFTER_ALL = ("~", 0)  # sorts behind every time there is


class Changed(msgspec.Struct, frozen=True):
    """A session, and where in the log it began and last changed its status or names."""

    session: Session
    created_sequence: int
    changed_sequence: int


class Mark(NamedTuple):
    """What tells whether a session as it was shown is still the same."""

    session_id: str
    modified_at: str
    changed_sequence: int


class Page(msgspec.Struct, frozen=True):
    """Sessions, and how to ask for the next of them."""

    sessions: list[Session]
    cursor: str | None


def session(db: Database, session_id: str) -> Session | None:
    """The session of that id."""
    row = db.conn.execute(f"SELECT {COLUMNS} FROM sessions WHERE session_id = ?", (session_id,)).fetchone()  # noqa: S608
    return of_row(row) if row else None


def sessions(
    db: Database,
    *,
    limit: int | None = None,
    after: str | None = None,
    status: str | None = None,
    agent_name: str | None = None,
    parent_session_id: str | None = None,
    q: str | None = None,
) -> Page:
    """Sessions, newest first; ``q`` is a piece of the id or name, ``after`` the cursor of the page before. Raises ``BadCursor``."""
    created_at, sequence = _AFTER_ALL if after is None else cursor.read(after, tuple[str, int])
    where, values = ["(created_at, created_seq) < (?, ?)"], [created_at, sequence]
    exact = {"status": status, "agent_name": agent_name, "parent_session_id": parent_session_id}
    for column, value in exact.items():
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if q is not None:
        where.append("(instr(lower(session_id), lower(?)) OR instr(lower(coalesce(session_name, '')), lower(?)))")
        values += [q, q]
    # One more than asked for tells whether there is a next page.
    order = f"ORDER BY created_at DESC, created_seq DESC LIMIT {-1 if limit is None else limit + 1}"
    sql = f"SELECT {COLUMNS}, created_seq FROM sessions WHERE {' AND '.join(where)} {order}"  # noqa: S608 - our own column names
    found = db.conn.execute(sql, values).fetchall()
    shown = found if limit is None else found[:limit]
    listed = [of_row(row[:-1]) for row in shown]
    return Page(listed, cursor.made((listed[-1].created_at, shown[-1][-1])) if len(shown) < len(found) else None)


def session_marks(db: Database) -> list[Mark]:
    """All sessions, newest first, by what tells whether they changed."""
    sql = "SELECT session_id, modified_at, changed_seq FROM sessions ORDER BY created_at DESC, created_seq DESC"
    return [Mark(*row) for row in db.conn.execute(sql)]


def _changed(row: tuple[Any, ...]) -> Changed:
    return Changed(of_row(row[:-2]), row[-2], row[-1])


def changed_since(db: Database, sequence: int) -> list[Changed]:
    """Sessions that began, or changed their status or names, after ``sequence``, in the order in which they began."""
    sql = f"SELECT {COLUMNS}, created_seq, changed_seq FROM sessions WHERE changed_seq > ? ORDER BY created_seq"  # noqa: S608
    return [_changed(row) for row in db.conn.execute(sql, (sequence,))]


def deleted_since(db: Database, sequence: int) -> list[tuple[str, int]]:
    """Sessions that were deleted after ``sequence``, and where."""
    sql = "SELECT session_id, seq FROM deleted_sessions WHERE seq > ? ORDER BY seq"
    return db.conn.execute(sql, (sequence,)).fetchall()


def tombstone(db: Database, session_id: str) -> int | None:
    """Where in the log a session that is gone was deleted."""
    row = db.conn.execute("SELECT seq FROM deleted_sessions WHERE session_id = ?", (session_id,)).fetchone()
    return int(row[0]) if row else None


def some_sessions(db: Database, ids: Iterable[str]) -> dict[str, Changed]:
    """The sessions of these ids that are there."""
    wanted = list(ids)
    found = {}
    for start in range(0, len(wanted), 500):
        part = wanted[start : start + 500]
        sql = f"SELECT {COLUMNS}, created_seq, changed_seq FROM sessions WHERE session_id IN ({marks(part)})"  # noqa: S608
        for row in db.conn.execute(sql, part):
            found[row[0]] = _changed(row)
    return found


def names_of(db: Database, ids: Iterable[str]) -> dict[str, str]:
    """What the sessions of these ids that are there are called."""
    return {one: found.session.session_name or one for one, found in some_sessions(db, ids).items()}
