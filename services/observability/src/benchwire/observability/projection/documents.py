"""Which bytes a document is, so that firmware can be named by its document."""

import sqlite3

from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.event import Event
from benchwire.events.log import Recorded

EVENTS: tuple[type[Event], ...] = (DocumentCreated, DocumentDeleted)

TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    document_id TEXT PRIMARY KEY, filename TEXT NOT NULL, size_bytes INTEGER NOT NULL, digest TEXT NOT NULL
) WITHOUT ROWID;
"""


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One document event to rows."""
    match one.event:
        case DocumentCreated() as made:
            row = (made.document_id, made.filename, made.size_bytes, made.digest)
            db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", row)
        case DocumentDeleted() as gone:
            db.execute("DELETE FROM documents WHERE document_id = ?", (gone.document_id,))
