"""This runner's view of the log: the boards it can flash, the flash jobs it waits for, the work at hand and what people said about it."""

import msgspec
from sqlite_utils import Database

from benchwire.events.catalog import filters_of
from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceLeased, DeviceReleased
from benchwire.events.event import Event
from benchwire.events.flash import FlashCancelled, FlashCompleted, FlashFailed, FlashRequested, FlashStarted
from benchwire.events.lease import LeaseRequested, LeaseWithdrawn
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.events.session import (
    MessageRequested,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    SessionStopRequested,
    ToolDecided,
)
from benchwire.events.task import (
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskGuided,
    TaskRequested,
)

_TYPES: tuple[type[Event], ...] = (
    DeviceAttached, DeviceDetached, DeviceLeased, DeviceReleased, LeaseRequested, LeaseWithdrawn,
    FlashRequested, FlashStarted, FlashCompleted, FlashFailed, FlashCancelled,
    SessionRequested, SessionClaimed, SessionStopRequested, SessionEnded, SessionFailed, SessionStopped, SessionDeleted,
    MessageRequested, ToolDecided,  # no rows: whoever runs the session hears of them
    TaskRequested, TaskClaimed, TaskGuided, TaskCancelRequested, TaskFinished, TaskFailed, TaskCancelled,
)  # fmt: skip

_TABLES = """
CREATE TABLE devices (
    host TEXT NOT NULL, device TEXT NOT NULL, profile TEXT, attached INTEGER NOT NULL, labels TEXT NOT NULL DEFAULT '{}',
    virtual INTEGER NOT NULL DEFAULT 0, lease_id TEXT, holder TEXT,
    PRIMARY KEY (host, device)
);
CREATE TABLE leases (
    lease_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, holder TEXT NOT NULL, state TEXT NOT NULL,
    host TEXT NOT NULL DEFAULT '', device TEXT NOT NULL DEFAULT ''
);
CREATE INDEX leases_by_holder ON leases (holder, sequence) WHERE state != 'ended';
CREATE TABLE flash_jobs (
    job_id TEXT PRIMARY KEY, host TEXT NOT NULL, device TEXT NOT NULL, digest TEXT NOT NULL, task_id TEXT, node_id TEXT,
    state TEXT NOT NULL, error TEXT
);
CREATE INDEX flash_jobs_under_way ON flash_jobs (host, device) WHERE state IN ('requested', 'started');
CREATE TABLE work (kind TEXT NOT NULL, id TEXT NOT NULL, runner TEXT, attempt INTEGER NOT NULL, open INTEGER NOT NULL, PRIMARY KEY (kind, id));
CREATE TABLE guidance (sequence INTEGER PRIMARY KEY, task_id TEXT NOT NULL, node_id TEXT, guidance TEXT NOT NULL);
CREATE INDEX guidance_by_task ON guidance (task_id, sequence);
"""


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    event = one.event
    match event:
        case DeviceAttached() | DeviceDetached():
            _device(db, event)
        case LeaseRequested() | LeaseWithdrawn() | DeviceLeased() | DeviceReleased():
            _lease(db, one.sequence, event)
        case FlashRequested() | FlashStarted() | FlashCompleted() | FlashFailed() | FlashCancelled():
            _flash(db, event)
        case TaskGuided():
            row = (one.sequence, event.task_id, event.node_id, event.guidance)
            db.conn.execute("INSERT INTO guidance VALUES (?, ?, ?, ?)", row)
        case _:
            _work(db, event)


def _device(db: Database, event: DeviceAttached | DeviceDetached) -> None:
    key = (event.host, event.device)
    match event:
        case DeviceAttached():
            db.conn.execute(
                "INSERT INTO devices (host, device, profile, attached, labels, virtual) VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE"
                " SET profile = excluded.profile, attached = 1, labels = excluded.labels, virtual = excluded.virtual",
                (*key, event.profile, msgspec.json.encode(event.labels).decode(), event.virtual),
            )
        case DeviceDetached():
            db.conn.execute("UPDATE devices SET attached = 0 WHERE host = ? AND device = ?", key)


def _lease(db: Database, sequence: int, event: LeaseRequested | LeaseWithdrawn | DeviceLeased | DeviceReleased) -> None:
    match event:
        case LeaseRequested():
            sql = "INSERT OR IGNORE INTO leases (lease_id, sequence, holder, state) VALUES (?, ?, ?, 'waiting')"
            db.conn.execute(sql, (event.lease_id, sequence, event.holder))
        case LeaseWithdrawn():
            db.conn.execute("UPDATE leases SET state = 'ended' WHERE lease_id = ?", (event.lease_id,))
        case DeviceLeased():
            taken = db.conn.execute(
                "UPDATE devices SET lease_id = ?, holder = ? WHERE host = ? AND device = ? AND coalesce(lease_id, ?) = ?",
                (event.lease_id, event.holder, event.host, event.device, event.lease_id, event.lease_id),
            )
            if taken.rowcount:
                db.conn.execute(
                    "INSERT INTO leases VALUES (?, ?, ?, 'held', ?, ?) ON CONFLICT DO UPDATE"
                    " SET state = 'held', host = excluded.host, device = excluded.device",
                    (event.lease_id, sequence, event.holder, event.host, event.device),
                )
        case DeviceReleased():
            db.conn.execute(
                "UPDATE devices SET lease_id = NULL, holder = NULL WHERE host = ? AND device = ? AND lease_id = ?",
                (event.host, event.device, event.lease_id),
            )
            db.conn.execute("UPDATE leases SET state = 'ended' WHERE lease_id = ?", (event.lease_id,))


def _flash(db: Database, event: FlashRequested | FlashStarted | FlashCompleted | FlashFailed | FlashCancelled) -> None:
    match event:
        case FlashRequested():
            digest = event.image.digest
            row = (event.job_id, event.host, event.device, digest, event.task_id, event.node_id, "requested", None)
            db.conn.execute("INSERT OR IGNORE INTO flash_jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        case FlashStarted():
            _job(db, event.job_id, "started", None)
        case FlashCompleted():
            _job(db, event.job_id, "completed", None)
        case FlashFailed():
            _job(db, event.job_id, "failed", event.error)
        case FlashCancelled():
            _job(db, event.job_id, "cancelled", event.reason)


def _job(db: Database, job_id: str, state: str, error: str | None) -> None:
    db.conn.execute("UPDATE flash_jobs SET state = ?, error = ? WHERE job_id = ?", (state, error, job_id))


def _work(db: Database, event: Event) -> None:
    match event:
        case SessionRequested():
            _asked(db, "session", event.session_id)
        case TaskRequested():
            _asked(db, "task", event.task_id)
        case SessionClaimed():
            _claimed(db, "session", event.session_id, event.runner, event.attempt)
        case TaskClaimed():
            _claimed(db, "task", event.task_id, event.runner, event.attempt)
        case SessionEnded() | SessionFailed() | SessionStopped() | SessionDeleted():
            db.conn.execute("UPDATE work SET open = 0 WHERE kind = 'session' AND id = ?", (event.session_id,))
        case TaskFinished() | TaskFailed() | TaskCancelled():
            db.conn.execute("UPDATE work SET open = 0 WHERE kind = 'task' AND id = ?", (event.task_id,))
        case _:
            pass


def _asked(db: Database, kind: str, name: str) -> None:
    sql = "INSERT INTO work VALUES (?, ?, NULL, 0, 1) ON CONFLICT DO UPDATE SET runner = NULL, open = 1"
    db.conn.execute(sql, (kind, name))


def _claimed(db: Database, kind: str, name: str, runner: str, attempt: int) -> None:
    sql = "UPDATE work SET runner = ?, attempt = ? WHERE kind = ? AND id = ?"
    db.conn.execute(sql, (runner, attempt, kind, name))


SCHEMA = Schema(name="agent", filters=filters_of(_TYPES), tables=_TABLES, apply=apply, version=5)
