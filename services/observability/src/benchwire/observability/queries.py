"""SQL in, typed read models out. Every function takes the database of a reading thread, in one snapshot."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.observability.projection.sessions import COLUMNS, of_row
from benchwire.observability.session import Session
from benchwire.observability.task import Status, Task

ACTIVE_JOBS = ("queued", "flashing", "paused", "cancelling")


class Row(msgspec.Struct, frozen=True):
    """Columns of one row, by name."""

    columns: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """One column."""
        return self.columns[name]


class Shown(msgspec.Struct, frozen=True):
    """An event of a session as it is kept: its JSON without its place in the log and without the session's name."""

    sequence: int
    session_id: str
    session_name: str
    body: str


class Changed(msgspec.Struct, frozen=True):
    """A session, and where in the log it began."""

    session: Session
    created_sequence: int


class Page(msgspec.Struct, frozen=True):
    """Sessions, and how to ask for the next of them."""

    sessions: list[Session]
    cursor: str | None


class TaskView(msgspec.Struct, frozen=True):
    """A task with its nodes, in their order."""

    task: Row
    nodes: list[Row]


def applied(db: Database) -> int:
    """The sequence that the rows of this snapshot tell everything up to."""
    row = db.conn.execute("SELECT sequence FROM applied").fetchone()
    return int(row[0]) if row else 0


def _rows(db: Database, sql: str, values: Sequence[Any] = ()) -> list[Row]:
    cursor = db.conn.execute(sql, tuple(values))
    names = [column[0] for column in cursor.description]
    return [Row(dict(zip(names, row, strict=True))) for row in cursor]


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


# Sessions


def session(db: Database, session_id: str) -> Session | None:
    """The session of that id."""
    row = db.conn.execute(f"SELECT {COLUMNS} FROM sessions WHERE session_id = ?", (session_id,)).fetchone()  # noqa: S608
    return of_row(row) if row else None


def sessions(
    db: Database,
    *,
    limit: int | None = None,
    cursor: str | None = None,
    status: str | None = None,
    agent_name: str | None = None,
    q: str | None = None,
) -> Page:
    """Sessions, newest first; ``q`` is a piece of the id or name, ``cursor`` comes from the page before."""
    where, values = ["1"], []
    for column, value in (("status", status), ("agent_name", agent_name)):
        if value is not None:
            where.append(f"{column} = ?")
            values.append(value)
    if q is not None:
        where.append("(instr(lower(session_id), lower(?)) OR instr(lower(coalesce(session_name, '')), lower(?)))")
        values += [q, q]
    if cursor is not None:
        created_at, _, sequence = cursor.rpartition("~")
        where.append("(created_at, created_seq) < (?, ?)")
        values += [created_at, int(sequence) if sequence.isdecimal() and len(sequence) < 19 else 0]  # type: ignore[list-item]
    order = f"ORDER BY created_at DESC, created_seq DESC LIMIT {-1 if limit is None else limit}"
    sql = f"SELECT {COLUMNS}, created_seq FROM sessions WHERE {' AND '.join(where)} {order}"  # noqa: S608 - our own column names
    rows = db.conn.execute(sql, values).fetchall()
    more = limit is not None and len(rows) == limit
    last = of_row(rows[-1][:-1]) if more else None
    return Page([of_row(row[:-1]) for row in rows], f"{last.created_at}~{rows[-1][-1]}" if last else None)


def changed_since(db: Database, sequence: int) -> list[Changed]:
    """Sessions that something happened in after ``sequence``, in the order in which they began."""
    sql = f"SELECT {COLUMNS}, created_seq FROM sessions WHERE last_seq > ? ORDER BY created_seq"  # noqa: S608
    return [Changed(of_row(row[:-1]), row[-1]) for row in db.conn.execute(sql, (sequence,))]


def deleted_since(db: Database, sequence: int) -> list[str]:
    """Sessions that were deleted after ``sequence``."""
    sql = "SELECT session_id FROM deleted_sessions WHERE seq > ? ORDER BY seq"
    return [row[0] for row in db.conn.execute(sql, (sequence,))]


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
        sql = f"SELECT {COLUMNS}, created_seq FROM sessions WHERE session_id IN ({_marks(part)})"  # noqa: S608
        for row in db.conn.execute(sql, part):
            found[row[0]] = Changed(of_row(row[:-1]), row[-1])
    return found


_EVENTS = """
SELECT e.seq, e.session_id, coalesce(e.session_name, s.session_name, e.session_id), e.body
FROM events AS e LEFT JOIN sessions AS s ON s.session_id = e.session_id
"""


def events_of(
    db: Database, session_id: str, *, after: int = 0, limit: int | None = None, event_type: str | None = None
) -> list[Shown]:
    """What happened in a session, oldest first."""
    only = "" if event_type is None else "AND e.event_type = ?"
    values = [session_id, after, *([] if event_type is None else [event_type])]
    sql = f"{_EVENTS} WHERE e.session_id = ? AND e.seq > ? {only} ORDER BY e.seq LIMIT {-1 if limit is None else limit}"
    return [Shown(*row) for row in db.conn.execute(sql, values)]


def events_between(
    db: Database, first: int, last: int, *, session_id: str | None = None, limit: int | None = None
) -> list[Shown]:
    """What happened in all sessions, or one, from ``first`` to ``last`` inclusive."""
    only = "" if session_id is None else "AND e.session_id = ?"
    values = [first, last, *([] if session_id is None else [session_id])]
    sql = f"{_EVENTS} WHERE e.seq BETWEEN ? AND ? {only} ORDER BY e.seq LIMIT {-1 if limit is None else limit}"
    return [Shown(*row) for row in db.conn.execute(sql, values)]


def count_events(db: Database, session_id: str) -> int:
    """How many events a session shows."""
    return int(db.conn.execute("SELECT count(*) FROM events WHERE session_id = ?", (session_id,)).fetchone()[0])


def last_answer(db: Database, session_id: str) -> str | None:
    """The text of the last message of the assistant that has any."""
    sql = "SELECT body FROM events WHERE session_id = ? AND event_type = 'message' AND role = 'assistant' ORDER BY seq DESC"
    for (body,) in db.conn.execute(sql, (session_id,)):
        blocks = msgspec.json.decode(body)["content"]
        texts = [
            block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)
        ]
        if texts:
            return "\n".join(texts)
    return None


# Tasks


def task(db: Database, task_id: str) -> TaskView | None:
    """The task of that id, with its nodes."""
    found = _rows(db, "SELECT * FROM tasks WHERE task_id = ?", (task_id,))
    if not found:
        return None
    return TaskView(found[0], _rows(db, "SELECT * FROM nodes WHERE task_id = ? ORDER BY position, node_id", (task_id,)))


def life_of_task(db: Database, task_id: str) -> Task | None:
    """The task of that id, as far as decisions need it."""
    found = _rows(db, "SELECT status, runner, reason, duration_s FROM tasks WHERE task_id = ?", (task_id,))
    if not found:
        return None
    row = found[0]
    return Task(status=Status(row["status"]), runner=row["runner"], reason=row["reason"], duration_s=row["duration_s"])


def tasks(db: Database, *, limit: int = 100) -> list[TaskView]:
    """The newest tasks."""
    ids = [row[0] for row in db.conn.execute("SELECT task_id FROM tasks ORDER BY seq DESC LIMIT ?", (limit,))]
    return [view for one in ids if (view := task(db, one)) is not None]


def iterations(db: Database, task_id: str) -> list[Row]:
    """Every iteration of every node of a task."""
    return _rows(db, "SELECT * FROM iterations WHERE task_id = ? ORDER BY node_id, iteration", (task_id,))


def task_events(db: Database, task_id: str) -> list[tuple[int, str]]:
    """What happened in a task: sequence and body, oldest first."""
    return db.conn.execute("SELECT seq, body FROM task_events WHERE task_id = ? ORDER BY seq", (task_id,)).fetchall()


def succeeded(db: Database, task_id: str) -> int:
    """How many nodes of a task passed."""
    sql = "SELECT count(*) FROM nodes WHERE task_id = ? AND state = 'success'"
    return int(db.conn.execute(sql, (task_id,)).fetchone()[0])


# Boards


def devices(db: Database) -> list[Row]:
    """Devices that are attached, with what is being done on them."""
    sql = f"""
        SELECT d.*, h.up, (SELECT j.job_id FROM flash_jobs AS j WHERE j.host = d.host AND j.device = d.device
            AND j.status IN ({_marks(ACTIVE_JOBS)}) ORDER BY j.status = 'queued', j.seq LIMIT 1) AS job_id
        FROM devices AS d LEFT JOIN hosts AS h ON h.host = d.host WHERE d.attached ORDER BY d.host, d.device
    """  # noqa: S608
    return _rows(db, sql, ACTIVE_JOBS)


def hosts(db: Database) -> list[Row]:
    """All hosts that ever had a flash agent."""
    return _rows(db, "SELECT * FROM hosts ORDER BY host")


def leases_of(db: Database, task_id: str) -> list[Row]:
    """Devices that nodes of a task have leased; a lease that has expired is one, too."""
    mark = f"{task_id}/"
    return _rows(db, "SELECT * FROM devices WHERE substr(holder, 1, ?) = ?", (len(mark), mark))


def devices_named(db: Database, device: str, host: str | None) -> list[Row]:
    """Attached devices of that name."""
    return [row for row in devices(db) if row["device"] == device and (host is None or row["host"] == host)]


def document(db: Database, document_id: str) -> Row | None:
    """The document of that id."""
    found = _rows(db, "SELECT * FROM documents WHERE document_id = ?", (document_id,))
    return found[0] if found else None


def jobs(
    db: Database,
    *,
    status: str | None = None,
    host: str | None = None,
    device: str | None = None,
    task_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """Flash jobs, newest first."""
    given = {"status": status, "host": host, "device": device, "task_id": task_id}
    where = ["1", *(f"{column} = ?" for column, value in given.items() if value is not None)]
    values: list[Any] = [value for value in given.values() if value is not None]
    if before is not None:
        where.append("seq < ?")
        values.append(before)
    sql = f"SELECT * FROM flash_jobs WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - our own column names
    return _rows(db, sql, [*values, limit])


def job(db: Database, job_id: str) -> Row | None:
    """The flash job of that id."""
    found = _rows(db, "SELECT * FROM flash_jobs WHERE job_id = ?", (job_id,))
    return found[0] if found else None


def active_jobs(db: Database) -> list[Row]:
    """Flash jobs that have not ended, oldest first."""
    sql = f"SELECT * FROM flash_jobs WHERE status IN ({_marks(ACTIVE_JOBS)}) ORDER BY seq"  # noqa: S608
    return _rows(db, sql, ACTIVE_JOBS)
