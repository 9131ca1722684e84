"""Tasks, their nodes and iterations."""

import msgspec
from sqlite_utils import Database

from benchwire.observability.queries.rows import Row, rows
from benchwire.observability.task import Status, Task


class TaskView(msgspec.Struct, frozen=True):
    """A task with its nodes, in their order."""

    task: Row
    nodes: list[Row]


def task(db: Database, task_id: str) -> TaskView | None:
    """The task of that id, with its nodes."""
    found = rows(db, "SELECT * FROM tasks WHERE task_id = ?", (task_id,))
    if not found:
        return None
    return TaskView(found[0], rows(db, "SELECT * FROM nodes WHERE task_id = ? ORDER BY position, node_id", (task_id,)))


def life_of_task(db: Database, task_id: str) -> Task | None:
    """The task of that id, as far as decisions need it."""
    found = rows(db, "SELECT status, runner, reason, duration_s FROM tasks WHERE task_id = ?", (task_id,))
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
    return rows(db, "SELECT * FROM iterations WHERE task_id = ? ORDER BY node_id, iteration", (task_id,))


def task_events(db: Database, task_id: str) -> list[tuple[int, str]]:
    """What happened in a task: sequence and body, oldest first."""
    return db.conn.execute("SELECT seq, body FROM task_events WHERE task_id = ? ORDER BY seq", (task_id,)).fetchall()


def succeeded(db: Database, task_id: str) -> int:
    """How many nodes of a task passed."""
    sql = "SELECT count(*) FROM nodes WHERE task_id = ? AND state = 'success'"
    return int(db.conn.execute(sql, (task_id,)).fetchone()[0])
