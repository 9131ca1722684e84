"""Captures of what boards print, from the request to their end."""

import sqlite3

import msgspec

from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.serial import CaptureFailed, CaptureFinished, CaptureRequested
from benchwire.observability.capture import FAILED, FINISHED, RUNNING
from benchwire.observability.session import iso

EVENTS: tuple[type[Event], ...] = (CaptureRequested, CaptureFinished, CaptureFailed)

TABLES = """
CREATE TABLE IF NOT EXISTS captures (
    capture_id TEXT PRIMARY KEY, host TEXT NOT NULL, device TEXT NOT NULL, state TEXT NOT NULL, for_s REAL NOT NULL, max_bytes INTEGER NOT NULL,
    until TEXT, tags TEXT NOT NULL, requested_at TEXT NOT NULL, ended_at TEXT, digest TEXT, size_bytes INTEGER, lost_bytes INTEGER, reason TEXT
) WITHOUT ROWID;
"""

_REQUEST = """
INSERT OR IGNORE INTO captures (capture_id, host, device, state, for_s, max_bytes, until, tags, requested_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_END = f"""
UPDATE captures SET state = ?, ended_at = ?, reason = ?, digest = ?, size_bytes = ?, lost_bytes = ? WHERE capture_id = ? AND state = '{RUNNING}'
"""  # noqa: S608 - our own word


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One event of a capture to rows."""
    match one.event:
        case CaptureRequested() as asked:
            tags = msgspec.json.encode(asked.tags).decode()
            what = (asked.for_s, asked.max_bytes, asked.until, tags, iso(asked.timestamp))
            db.execute(_REQUEST, (asked.capture_id, asked.host, asked.device, RUNNING, *what))
        case CaptureFinished() as done:
            kept = (done.artifact.digest, done.artifact.size_bytes, done.lost_bytes)
            db.execute(_END, (FINISHED, iso(done.timestamp), done.reason, *kept, done.capture_id))
        case CaptureFailed() as failed:
            db.execute(_END, (FAILED, iso(failed.timestamp), failed.reason, None, None, None, failed.capture_id))
