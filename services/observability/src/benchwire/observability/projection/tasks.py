"""Tasks, their nodes, and every iteration of each."""

import sqlite3
from typing import Any, get_args

import msgspec

from benchwire.events import codec
from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.task import (
    NodeAssigned,
    NodeCompiled,
    NodeDeployed,
    NodeDeploying,
    NodeFailed,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSimulated,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    NodeTested,
    TaskCancelled,
    TaskEvent,
    TaskPlanned,
    TaskRequested,
    UartLink,
)
from benchwire.observability.session import iso
from benchwire.observability.task import Status, Task, evolve

EVENTS: tuple[type[Event], ...] = get_args(TaskEvent)

TABLES = """
CREATE TABLE IF NOT EXISTS tasks (
    task_id TEXT PRIMARY KEY, kind TEXT NOT NULL, prompt TEXT NOT NULL, board TEXT, status TEXT NOT NULL, runner TEXT, reason TEXT,
    duration_s REAL, created_at TEXT NOT NULL, modified_at TEXT NOT NULL, seq INTEGER NOT NULL, quality_target REAL NOT NULL,
    simulation_timeout_s REAL NOT NULL, links TEXT NOT NULL, summary TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (
    task_id TEXT NOT NULL, node_id TEXT NOT NULL, position INTEGER NOT NULL, board TEXT NOT NULL, description TEXT NOT NULL,
    spec TEXT NOT NULL,
    state TEXT NOT NULL, iteration INTEGER NOT NULL, image TEXT, elf TEXT, host TEXT, device TEXT, job_id TEXT, line TEXT, reason TEXT,
    touched_seq INTEGER NOT NULL, assigned_host TEXT, assigned_device TEXT, PRIMARY KEY (task_id, node_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS iterations (
    task_id TEXT NOT NULL, node_id TEXT NOT NULL, iteration INTEGER NOT NULL, generated TEXT, compiled TEXT, simulated TEXT, tested TEXT,
    retried TEXT, PRIMARY KEY (task_id, node_id, iteration)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS task_events (seq INTEGER PRIMARY KEY, task_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS task_events_by_task ON task_events (task_id, seq);
"""


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One task event to rows. An event of a task that nobody requested leaves none but itself."""
    event: Any = one.event
    db.execute("INSERT INTO task_events VALUES (?, ?, ?)", (one.sequence, event.task_id, codec.encode(event).decode()))
    if isinstance(event, TaskRequested):
        _request(db, event, one.sequence)
    else:
        _life(db, event, one.sequence)
    if isinstance(event, TaskPlanned):
        _plan(db, event.task_id, event.nodes, one.sequence)
        planned = (_json(event.links), event.summary, event.task_id)
        db.execute("UPDATE tasks SET links = ?, summary = ? WHERE task_id = ?", planned)
    elif hasattr(event, "node_id") and event.node_id is not None:
        _node(db, event, one.sequence)
        _iteration(db, event)


def _request(db: sqlite3.Connection, asked: TaskRequested, sequence: int) -> None:
    at = iso(asked.timestamp)
    row = (
        asked.task_id, asked.kind, asked.prompt, asked.board, Status.IN_PROGRESS, at, at, sequence, asked.quality_target,
        asked.simulation_timeout_s, _json(asked.links), "",
    )  # fmt: skip
    db.execute(
        "INSERT OR IGNORE INTO tasks (task_id, kind, prompt, board, status, created_at, modified_at, seq, quality_target, "
        "simulation_timeout_s, links, summary) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    _plan(db, asked.task_id, asked.nodes, sequence)


def _life(db: sqlite3.Connection, event: Any, sequence: int) -> None:
    row = db.execute(
        "SELECT status, runner, reason, duration_s FROM tasks WHERE task_id = ?", (event.task_id,)
    ).fetchone()
    if row is None:
        return
    before = Task(status=Status(row[0]), runner=row[1], reason=row[2], duration_s=row[3])
    task = evolve(before, event)
    assert task is not None
    db.execute(
        "UPDATE tasks SET status = ?, runner = ?, reason = ?, duration_s = ?, modified_at = max(modified_at, ?) WHERE task_id = ?",
        (task.status, task.runner, task.reason, task.duration_s, iso(event.timestamp), event.task_id),
    )
    if before.is_running and not task.is_running:
        _leave(db, event, task, sequence)


def _leave(db: sqlite3.Connection, event: Any, task: Task, sequence: int) -> None:
    """What a task that has ended did not come to is skipped; what it was at when it failed has failed with it."""
    at_work = "skipped" if isinstance(event, TaskCancelled) else "failed"
    db.execute(
        "UPDATE nodes SET reason = CASE WHEN state = 'pending' THEN reason ELSE coalesce(?, reason) END, "
        "state = CASE WHEN state = 'pending' THEN 'skipped' ELSE ? END, touched_seq = ? "
        "WHERE task_id = ? AND state NOT IN ('success', 'failed', 'skipped')",
        (task.reason, at_work, sequence, event.task_id),
    )


def _plan(db: sqlite3.Connection, task_id: str, nodes: list[NodeSpec], sequence: int) -> None:
    for position, node in enumerate(nodes):
        db.execute(
            "INSERT INTO nodes (task_id, node_id, position, board, description, spec, assigned_host, assigned_device, state, iteration, "
            "touched_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', 0, ?) "
            "ON CONFLICT (task_id, node_id) DO UPDATE SET position = excluded.position, board = excluded.board, "
            "description = excluded.description, spec = excluded.spec",
            (
                task_id, node.node_id, position, node.board, node.description, _json(node), node.host, node.device,
                sequence,
            ),
        )  # fmt: skip


def _node(db: sqlite3.Connection, event: Any, sequence: int) -> None:
    news = _news_of_node(event)
    if news is None:
        return
    if isinstance(event, NodeGenerated) and _is_module(db, event):
        news["state"] = "testing"  # there is nothing to compile: its tests come next
    columns = ", ".join(f"{name} = ?" for name in news)
    db.execute(
        f"UPDATE nodes SET {columns}, touched_seq = ? WHERE task_id = ? AND node_id = ?",  # noqa: S608 - our own column names
        (*news.values(), sequence, event.task_id, event.node_id),
    )


def _is_module(db: sqlite3.Connection, event: NodeGenerated) -> bool:
    sql = "SELECT board FROM nodes WHERE task_id = ? AND node_id = ?"
    return bool(db.execute(sql, (event.task_id, event.node_id)).fetchone() == ("",))


def _news_of_node(event: Event) -> dict[str, Any] | None:  # noqa: C901, PLR0911, PLR0912 - one line per event
    match event:
        case NodeStarted():
            return {"state": "generating", "reason": None}
        case NodeGenerated():
            return {"state": "compiling", "iteration": event.iteration}
        case NodeCompiled():
            return {"state": "simulating" if event.ok else "compiling", "iteration": event.iteration}
        case NodeSimulated():
            return {"state": "testing", "iteration": event.iteration}
        case NodeTested():
            return {"state": "testing", "iteration": event.iteration}
        case NodeRetried():
            return {"state": "generating", "iteration": event.iteration}
        case NodeImageStored():
            return {"image": _json(event.image), "elf": _json(event.elf)}
        case NodeAssigned():
            return {"assigned_host": event.host, "assigned_device": event.device}
        case NodeDeploying():
            return {"state": "deploying", "host": event.host, "device": event.device, "job_id": event.job_id}
        case NodeDeployed():
            return {"state": "deployed", "line": event.line}
        case NodeSucceeded():
            return {"state": "success", "iteration": event.iterations}
        case NodeFailed():
            return {"state": "failed", "reason": event.reason}
        case _:
            return None


_KEPT: dict[type[Event], str] = {
    NodeGenerated: "generated",
    NodeCompiled: "compiled",
    NodeSimulated: "simulated",
    NodeTested: "tested",
    NodeRetried: "retried",
}


def _iteration(db: sqlite3.Connection, event: Any) -> None:
    column = _KEPT.get(type(event))
    if column is None:
        return
    db.execute(
        f"INSERT INTO iterations (task_id, node_id, iteration, {column}) VALUES (?, ?, ?, ?) "  # noqa: S608 - our own column names
        f"ON CONFLICT (task_id, node_id, iteration) DO UPDATE SET {column} = excluded.{column}",
        (event.task_id, event.node_id, event.iteration, codec.encode(event).decode()),
    )


def _json(value: msgspec.Struct | list[UartLink]) -> str:
    return msgspec.json.encode(value).decode()
