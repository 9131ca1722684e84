"""This host's rows: its devices, its flash jobs, when it was up."""

import msgspec
from sqlite_utils import Database

from benchwire.events import device, flash, host
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.flash_agent import job

TABLES = """
CREATE TABLE devices (device TEXT PRIMARY KEY, attached INTEGER NOT NULL, changed_at TEXT NOT NULL, fact BLOB NOT NULL);
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, device TEXT NOT NULL, status TEXT NOT NULL, attempt INTEGER NOT NULL,
    digest TEXT NOT NULL, size_bytes INTEGER NOT NULL, requested_at TEXT NOT NULL, ended_at TEXT, outcome TEXT, state BLOB NOT NULL
);
CREATE INDEX jobs_by_status ON jobs (status, sequence);
CREATE TABLE runs (sequence INTEGER PRIMARY KEY, version TEXT NOT NULL, started_at TEXT NOT NULL, stopped_at TEXT, reason TEXT);
"""


def schema(name: str) -> Schema:
    """What the flash agent of the host ``name`` keeps."""
    filters = [f"bench.device.{name}.>", f"bench.flash.{name}.>", f"bench.host.{name}.>"]
    return Schema(filters=filters, tables=TABLES, apply=apply)


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    match one.event:
        case device.DeviceAttached() as event:
            row = (event.device, 1, event.timestamp.isoformat(), msgspec.json.encode(event))
            db.conn.execute("INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?)", row)
        case device.DeviceDetached() as event:
            change = (event.timestamp.isoformat(), event.device)
            db.conn.execute("UPDATE devices SET attached = 0, changed_at = ? WHERE device = ?", change)
        case host.HostStarted() as event:
            run = (one.sequence, event.version, event.timestamp.isoformat())
            db.conn.execute("INSERT INTO runs (sequence, version, started_at) VALUES (?, ?, ?)", run)
        case host.HostStopped() as event:
            end = (event.timestamp.isoformat(), event.reason)
            db.conn.execute(
                "UPDATE runs SET stopped_at = ?, reason = ? WHERE sequence = (SELECT max(sequence) FROM runs)", end
            )
        case flash.FlashRequested() as event:
            _requested(db, one.sequence, event)
        case _:
            _moved(db, one)


def _requested(db: Database, sequence: int, event: flash.FlashRequested) -> None:
    state = job.evolve(job.NEW, event)
    row = (
        event.job_id, sequence, event.device, state.status, state.attempt, event.image.digest, event.image.size_bytes,
        event.timestamp.isoformat(), msgspec.json.encode(state),
    )  # fmt: skip
    db.conn.execute(
        "INSERT OR IGNORE INTO jobs (job_id, sequence, device, status, attempt, digest, size_bytes, requested_at, state) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )


def _moved(db: Database, one: Recorded) -> None:
    job_id = getattr(one.event, "job_id", None)
    row = db.conn.execute("SELECT state FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    if row is None:
        return
    before = msgspec.json.decode(row[0], type=job.Job)
    after = job.evolve(before, one.event)
    if after == before:
        return
    db.conn.execute(
        "UPDATE jobs SET status = ?, attempt = ?, state = ? WHERE job_id = ?",
        (after.status, after.attempt, msgspec.json.encode(after), job_id),
    )
    if after.is_over:
        end = (one.event.timestamp.isoformat(), outcome_of(one.event), job_id)
        db.conn.execute("UPDATE jobs SET ended_at = ?, outcome = ? WHERE job_id = ?", end)


def outcome_of(event: object) -> str:
    """How a job ended, in a few words."""
    match event:
        case flash.FlashCompleted():
            return f"verified by {event.verified_by}"
        case flash.FlashFailed():
            return f"{event.code}: {event.error}"
        case flash.FlashCancelled():
            return event.reason or "cancelled"
        case _:
            return ""
