"""Flash jobs, from the request to what the board holds afterwards."""

import sqlite3
from typing import get_args

from benchwire.events.event import Event
from benchwire.events.flash import (
    FlashCancelled,
    FlashCancelRequested,
    FlashCompleted,
    FlashEvent,
    FlashFailed,
    FlashPaused,
    FlashRequested,
    FlashResumed,
    FlashStarted,
)
from benchwire.events.log import Recorded
from benchwire.observability.session import iso

EVENTS: tuple[type[Event], ...] = get_args(FlashEvent)

TABLES = """
CREATE TABLE IF NOT EXISTS flash_jobs (
    job_id TEXT PRIMARY KEY, host TEXT NOT NULL, device TEXT NOT NULL, status TEXT NOT NULL, profile TEXT, digest TEXT, name TEXT,
    address INTEGER, total_bytes INTEGER NOT NULL, driver TEXT, attempt INTEGER NOT NULL, task_id TEXT, node_id TEXT, session_id TEXT,
    document_id TEXT, requested_at TEXT, started_at TEXT, ended_at TEXT, duration_s REAL, verified_by TEXT, code TEXT, error TEXT,
    flash_state TEXT, seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS flash_jobs_by_status ON flash_jobs (status);
CREATE INDEX IF NOT EXISTS flash_jobs_by_age ON flash_jobs (seq);
"""

_REQUEST = """
INSERT OR IGNORE INTO flash_jobs (job_id, host, device, status, profile, digest, name, address, total_bytes, attempt, task_id, node_id,
    session_id, document_id, requested_at, seq)
VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)
"""
_START = """
INSERT INTO flash_jobs (job_id, host, device, status, total_bytes, driver, attempt, started_at, seq) VALUES (?, ?, ?, 'flashing', ?, ?, ?, ?, ?)
ON CONFLICT (job_id) DO UPDATE SET status = 'flashing', total_bytes = excluded.total_bytes, driver = excluded.driver,
    attempt = excluded.attempt, started_at = excluded.started_at, code = NULL, error = NULL, flash_state = NULL, ended_at = NULL
"""
_END = "status = ?, ended_at = ?, duration_s = ?, verified_by = ?, code = ?, error = ?, flash_state = ?"


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One flash event to rows."""
    match one.event:
        case FlashRequested() as asked:
            _request(db, asked, one.sequence)
        case FlashStarted() as begun:
            row = (
                begun.job_id,
                begun.host,
                begun.device,
                begun.total_bytes,
                begun.driver,
                begun.attempt,
                iso(begun.timestamp),
            )
            db.execute(_START, (*row, one.sequence))
        case FlashPaused() as held:
            _status(db, held.job_id, "paused")
        case FlashResumed() as goes_on:
            _status(db, goes_on.job_id, "flashing")
        case FlashCancelRequested() as unwanted:
            _status(db, unwanted.job_id, "cancelling")
        case FlashCompleted() as done:
            _end(
                db, done, "completed", duration_s=done.duration_s, verified_by=done.verified_by, flash_state="verified"
            )
        case FlashFailed() as failed:
            _end(db, failed, "failed", code=failed.code, error=failed.error, flash_state=failed.flash_state)
        case FlashCancelled() as ended:
            _end(db, ended, "cancelled", error=ended.reason, flash_state=ended.flash_state)
        case _:  # a wish to pause or resume shows when it is granted
            return


def _request(db: sqlite3.Connection, asked: FlashRequested, sequence: int) -> None:
    image = asked.image
    what = (asked.profile, image.digest, image.name, asked.address, image.size_bytes)
    whose = (asked.task_id, asked.node_id, asked.session_id, asked.document_id)
    db.execute(_REQUEST, (asked.job_id, asked.host, asked.device, *what, *whose, iso(asked.timestamp), sequence))


def _status(db: sqlite3.Connection, job_id: str, status: str) -> None:
    db.execute("UPDATE flash_jobs SET status = ? WHERE job_id = ? AND ended_at IS NULL", (status, job_id))


def _end(
    db: sqlite3.Connection,
    event: FlashCompleted | FlashFailed | FlashCancelled,
    status: str,
    *,
    duration_s: float | None = None,
    verified_by: str | None = None,
    code: str | None = None,
    error: str | None = None,
    flash_state: str | None = None,
) -> None:
    values = (status, iso(event.timestamp), duration_s, verified_by, code, error, flash_state, event.job_id)
    db.execute(f"UPDATE flash_jobs SET {_END} WHERE job_id = ?", values)  # noqa: S608 - our own column names
