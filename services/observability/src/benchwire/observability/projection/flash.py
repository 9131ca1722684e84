"""Flash jobs, from the request to what the board holds afterwards; those of flashers outside of the lab, as they report them."""

import sqlite3
from typing import Any, get_args

from benchwire.events.event import Event
from benchwire.events.flash import (
    FlashCancelled,
    FlashCancelRequested,
    FlashCompleted,
    FlashEvent,
    FlashFailed,
    FlashPaused,
    FlashPauseDeferred,
    FlashReported,
    FlashRequested,
    FlashResumed,
    FlashRetried,
    FlashStarted,
    FlashThrottled,
)
from benchwire.events.log import Recorded
from benchwire.observability.session import iso

EVENTS: tuple[type[Event], ...] = get_args(FlashEvent)

# ``ended_seq`` is where in the log a job ended: the order of the history. ``flash_jobs_learned`` has all that analytics read.
# ``board_flashes`` says what each board holds since its last job that touched it; a mark there stays until the board is flashed again.
TABLES = """
CREATE TABLE IF NOT EXISTS flash_jobs (
    job_id TEXT PRIMARY KEY, host TEXT NOT NULL, device TEXT NOT NULL, status TEXT NOT NULL, profile TEXT, digest TEXT, name TEXT,
    address INTEGER, total_bytes INTEGER NOT NULL, driver TEXT, attempt INTEGER NOT NULL, task_id TEXT, node_id TEXT, session_id TEXT,
    document_id TEXT, requested_at TEXT, started_at TEXT, ended_at TEXT, duration_s REAL, verified_by TEXT, code TEXT, error TEXT,
    flash_state TEXT, partition TEXT, parts INTEGER NOT NULL DEFAULT 0, priority INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0, timeout_s REAL, max_bytes_per_s INTEGER, lease_id TEXT, deferred TEXT,
    outside INTEGER NOT NULL DEFAULT 0, seq INTEGER NOT NULL, ended_seq INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS flash_jobs_by_status ON flash_jobs (status);
CREATE INDEX IF NOT EXISTS flash_jobs_open ON flash_jobs (host, device, seq)
    WHERE status IN ('queued', 'flashing', 'paused', 'cancelling');
CREATE INDEX IF NOT EXISTS flash_jobs_by_age ON flash_jobs (seq);
CREATE INDEX IF NOT EXISTS flash_jobs_by_host ON flash_jobs (host, seq);
CREATE INDEX IF NOT EXISTS flash_jobs_by_device ON flash_jobs (device, seq);
CREATE INDEX IF NOT EXISTS flash_jobs_by_task ON flash_jobs (task_id, seq) WHERE task_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS flash_jobs_ended ON flash_jobs (ended_seq) WHERE ended_seq IS NOT NULL;
CREATE INDEX IF NOT EXISTS flash_jobs_ended_by_device ON flash_jobs (device, ended_seq) WHERE ended_seq IS NOT NULL;
CREATE INDEX IF NOT EXISTS flash_jobs_learned ON flash_jobs (ended_at, status, code, duration_s, total_bytes, profile, host, device, outside)
    WHERE ended_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS board_flashes (
    host TEXT NOT NULL, device TEXT NOT NULL, flash_state TEXT NOT NULL, job_id TEXT NOT NULL, PRIMARY KEY (host, device)
) WITHOUT ROWID;
"""

_REQUEST = """
INSERT OR IGNORE INTO flash_jobs (job_id, host, device, status, profile, digest, name, address, total_bytes, attempt, task_id, node_id,
    session_id, document_id, requested_at, partition, parts, priority, retries, timeout_s, max_bytes_per_s, lease_id, seq)
VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_START = """
INSERT INTO flash_jobs (job_id, host, device, status, total_bytes, driver, attempt, started_at, seq) VALUES (?, ?, ?, 'flashing', ?, ?, ?, ?, ?)
ON CONFLICT (job_id) DO UPDATE SET status = 'flashing', total_bytes = excluded.total_bytes, driver = excluded.driver,
    attempt = excluded.attempt, started_at = excluded.started_at, code = NULL, error = NULL, flash_state = NULL, ended_at = NULL,
    ended_seq = NULL, deferred = NULL
"""
_REPORT = """
INSERT OR IGNORE INTO flash_jobs (job_id, host, device, status, total_bytes, attempt, requested_at, outside, seq)
VALUES (?, ?, ?, 'queued', 0, 0, ?, 1, ?)
"""
_HOLDS = """
INSERT INTO board_flashes VALUES (?, ?, ?, ?)
ON CONFLICT (host, device) DO UPDATE SET flash_state = excluded.flash_state, job_id = excluded.job_id WHERE excluded.flash_state <> 'untouched'
"""
REPORTED = {
    "queued": "queued", "started": "flashing", "paused": "paused", "resumed": "flashing", "completed": "completed",
    "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
_ENDS = ("completed", "failed", "cancelled")


def apply(db: sqlite3.Connection, one: Recorded) -> None:  # noqa: C901 - one line per event
    """One flash event to rows."""
    match one.event:
        case FlashRequested() as asked:
            _request(db, asked, one.sequence)
        case FlashStarted() as begun:
            what = (begun.job_id, begun.host, begun.device, begun.total_bytes, begun.driver, begun.attempt)
            db.execute(_START, (*what, iso(begun.timestamp), one.sequence))
        case FlashPauseDeferred() as later:
            _change(db, later.job_id, deferred=f"{later.stage}, until {later.until}")
        case FlashPaused() as held:
            _change(db, held.job_id, status="paused", deferred=None)
        case FlashResumed() as goes_on:
            _change(db, goes_on.job_id, status="flashing", deferred=None)
        case FlashThrottled() as slower:
            _change(db, slower.job_id, max_bytes_per_s=slower.max_bytes_per_s)
        case FlashCancelRequested() as unwanted:
            _change(db, unwanted.job_id, status="cancelling")
        case FlashRetried() as broke:
            _change(db, broke.job_id, code=broke.code, error=broke.error, flash_state=broke.flash_state, deferred=None)
            _holds(db, broke, broke.flash_state)
        case FlashReported() as told:
            _report(db, told, one.sequence)
        case FlashCompleted() | FlashFailed() | FlashCancelled():
            _end(db, one)
        case _:  # a wish to pause, resume or write slower shows when it is granted
            return


def _request(db: sqlite3.Connection, asked: FlashRequested, sequence: int) -> None:
    image = asked.image
    total_bytes = sum(part.image.size_bytes for part in asked.parts) or image.size_bytes
    what = (asked.profile, image.digest, image.name, asked.address, total_bytes)
    whose = (asked.task_id, asked.node_id, asked.session_id, asked.document_id)
    how = (
        asked.partition,
        len(asked.parts),
        asked.priority,
        asked.retries,
        asked.timeout_s,
        asked.max_bytes_per_s,
        asked.lease_id,
    )
    db.execute(_REQUEST, (asked.job_id, asked.host, asked.device, *what, *whose, iso(asked.timestamp), *how, sequence))


def _end(db: sqlite3.Connection, one: Recorded) -> None:
    event = one.event
    at = {"ended_at": iso(event.timestamp), "ended_seq": one.sequence, "deferred": None}
    match event:
        case FlashCompleted():
            how: dict[str, Any] = {
                "status": "completed", "duration_s": event.duration_s, "verified_by": event.verified_by, "code": None, "error": None,
                "flash_state": "verified",
            }  # fmt: skip
            _set(db, event.job_id, {**at, **how})
            _holds(db, event, "complete")
        case FlashFailed():
            how = {
                "status": "failed",
                "duration_s": None,
                "verified_by": None,
                "code": event.code,
                "error": event.error,
            }
            _set(db, event.job_id, {**at, **how, "flash_state": event.flash_state})
            _holds(db, event, event.flash_state)
        case FlashCancelled():
            how = {"status": "cancelled", "duration_s": None, "verified_by": None, "code": None, "error": event.reason}
            _set(db, event.job_id, {**at, **how, "flash_state": event.flash_state})
            _holds(db, event, event.flash_state)


def _report(db: sqlite3.Connection, told: FlashReported, sequence: int) -> None:
    """A report changes a job that the same flasher has reported, and that has not ended; no job of the lab."""
    at = iso(told.timestamp)
    db.execute(_REPORT, (told.job_id, told.host, told.device, at, sequence))
    ours = "SELECT 1 FROM flash_jobs WHERE job_id = ? AND host = ? AND outside AND ended_at IS NULL"
    status = REPORTED.get(told.status)
    if status is None or db.execute(ours, (told.job_id, told.host)).fetchone() is None:
        return
    news: dict[str, Any] = {"status": status}
    if told.total_bytes is not None:
        news["total_bytes"] = told.total_bytes
    if told.status == "started":
        news |= {"started_at": at, "attempt": 1}
    if status in _ENDS:
        news |= {"ended_at": at, "ended_seq": sequence, "error": told.error}
    _set(db, told.job_id, news)


def _change(db: sqlite3.Connection, job_id: str, **news: Any) -> None:
    """Sets columns of a job that has not ended."""
    _set(db, job_id, news, "AND ended_at IS NULL")


def _set(db: sqlite3.Connection, job_id: str, news: dict[str, Any], where: str = "") -> None:
    columns = ", ".join(f"{name} = ?" for name in news)
    db.execute(f"UPDATE flash_jobs SET {columns} WHERE job_id = ? {where}", (*news.values(), job_id))  # noqa: S608 - our own column names


def _holds(
    db: sqlite3.Connection, event: FlashRetried | FlashCompleted | FlashFailed | FlashCancelled, flash_state: str
) -> None:
    db.execute(_HOLDS, (event.host, event.device, flash_state, event.job_id))
