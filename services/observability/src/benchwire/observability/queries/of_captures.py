"""Captures of what boards print."""

from sqlite_utils import Database

from benchwire.observability.queries.rows import Row, rows


def capture(db: Database, capture_id: str) -> Row | None:
    """The capture of that id; ``document_id`` is there once its document is."""
    sql = "SELECT c.*, d.document_id FROM captures AS c LEFT JOIN documents AS d ON d.document_id = c.capture_id WHERE c.capture_id = ?"
    found = rows(db, sql, (capture_id,))
    return found[0] if found else None
