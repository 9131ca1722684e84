"""What boards printed and no document shows yet: the bytes of captures that have ended, until their document is made."""

from sqlite_utils import Database

from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.serial import CaptureFinished

EVENTS: tuple[type[Event], ...] = (CaptureFinished, DocumentCreated)

TABLES = """
CREATE TABLE IF NOT EXISTS captured (capture_id TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS captured_bytes ON captured (digest);
"""


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    match one.event:
        case CaptureFinished() as event:
            db.conn.execute("INSERT OR IGNORE INTO captured VALUES (?, ?)", (event.capture_id, event.artifact.digest))
            row = (event.artifact.digest, event.artifact.size_bytes)
            db.conn.execute("INSERT OR IGNORE INTO digests VALUES (?, ?, 0, 0)", row)
        case DocumentCreated() as event:
            db.conn.execute("DELETE FROM captured WHERE capture_id = ?", (event.document_id,))
