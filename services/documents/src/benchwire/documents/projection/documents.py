"""Documents, their tags and links, and how many there are.

``changed`` is the sequence of the last event of a document: whoever follows the rows (the full-text index) goes on from there.
"""

import json

import msgspec
from sqlite_utils import Database

from benchwire.documents.document import TYPES
from benchwire.events.document import (
    DocumentCreated,
    DocumentDeleted,
    DocumentLinked,
    DocumentUnlinked,
    DocumentUpdated,
)
from benchwire.events.log import Recorded

EVENTS = TYPES

TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    filename TEXT NOT NULL,
    folded_filename TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    digest TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    tags TEXT NOT NULL,
    metadata TEXT NOT NULL,
    expires_at TEXT,
    links TEXT NOT NULL,
    changed INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS documents_by_change ON documents (changed);
CREATE INDEX IF NOT EXISTS documents_by_digest ON documents (digest);
CREATE INDEX IF NOT EXISTS documents_that_expire ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE VIRTUAL TABLE IF NOT EXISTS filenames USING fts5(folded, content='', tokenize='trigram case_sensitive 1');
CREATE TABLE IF NOT EXISTS document_tags (tag TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (tag, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag_counts (name TEXT PRIMARY KEY, documents INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_by_count ON tag_counts (documents DESC, name);
CREATE TABLE IF NOT EXISTS document_links (
    target TEXT NOT NULL, kind TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (target, kind, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digests (
    digest TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, documents INTEGER NOT NULL, elsewhere INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (documents INTEGER NOT NULL, blobs INTEGER NOT NULL, size_bytes INTEGER NOT NULL);
INSERT INTO totals SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT * FROM totals);
"""


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    match one.event:
        case DocumentCreated() as event:
            _create(db, one.sequence, event)
        case DocumentUpdated() as event:
            _update(db, one.sequence, event)
        case DocumentLinked() as event:
            _link(db, one.sequence, event)
        case DocumentUnlinked() as event:
            _unlink(db, one.sequence, event)
        case DocumentDeleted() as event:
            _delete(db, event)


def _create(db: Database, sequence: int, event: DocumentCreated) -> None:
    at = event.timestamp.isoformat()
    folded = event.filename.casefold()
    expires_at = None if event.expires_at is None else event.expires_at.isoformat()
    row = (
        sequence, event.document_id, event.filename, folded, event.content_type, event.size_bytes, event.digest, at, at,
        json.dumps(event.tags), json.dumps(event.metadata), expires_at, "[]", sequence,
    )  # fmt: skip
    if db.conn.execute("INSERT OR IGNORE INTO documents VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", row).rowcount == 0:
        return  # an id is given once
    db.conn.execute("INSERT INTO filenames (rowid, folded) VALUES (?, ?)", (sequence, folded))
    _tag(db, sequence, event.tags)
    _count(db, event.digest, event.size_bytes, 1)


def _update(db: Database, at: int, event: DocumentUpdated) -> None:
    row = db.conn.execute("SELECT sequence, tags FROM documents WHERE id = ?", (event.document_id,)).fetchone()
    if row is None:
        return
    sequence, tags = row
    new: dict[str, object] = {"updated_at": event.timestamp.isoformat(), "changed": at}
    if event.metadata is not None:
        new["metadata"] = json.dumps(event.metadata)
    if event.expires_at is not msgspec.UNSET:
        new["expires_at"] = None if event.expires_at is None else event.expires_at.isoformat()
    if event.tags is not None:
        _untag(db, sequence, json.loads(tags))
        _tag(db, sequence, event.tags)
        new["tags"] = json.dumps(event.tags)
    _set(db, sequence, new)


def _link(db: Database, at: int, event: DocumentLinked) -> None:
    row = db.conn.execute("SELECT sequence, links FROM documents WHERE id = ?", (event.document_id,)).fetchone()
    if row is None:
        return
    sequence, links = row
    db.conn.execute("INSERT OR IGNORE INTO document_links VALUES (?, ?, ?)", (event.to, event.kind, sequence))
    link = [event.kind, event.to]
    kept = [one for one in json.loads(links) if one != link]
    _set(db, sequence, {"links": json.dumps([*kept, link]), "changed": at})


def _unlink(db: Database, at: int, event: DocumentUnlinked) -> None:
    row = db.conn.execute("SELECT sequence, links FROM documents WHERE id = ?", (event.document_id,)).fetchone()
    if row is None:
        return
    sequence, links = row
    place = (event.to, event.kind, sequence)
    db.conn.execute("DELETE FROM document_links WHERE target = ? AND kind = ? AND sequence = ?", place)
    kept = [one for one in json.loads(links) if one != [event.kind, event.to]]
    _set(db, sequence, {"links": json.dumps(kept), "changed": at})


def _delete(db: Database, event: DocumentDeleted) -> None:
    query = "SELECT sequence, folded_filename, tags, links, digest, size_bytes FROM documents WHERE id = ?"
    row = db.conn.execute(query, (event.document_id,)).fetchone()
    if row is None:
        return
    sequence, folded, tags, links, digest, size_bytes = row
    _untag(db, sequence, json.loads(tags))
    for kind, target in json.loads(links):
        place = (target, kind, sequence)
        db.conn.execute("DELETE FROM document_links WHERE target = ? AND kind = ? AND sequence = ?", place)
    # An index without content is told what it has to forget.
    db.conn.execute("INSERT INTO filenames (filenames, rowid, folded) VALUES ('delete', ?, ?)", (sequence, folded))
    db.conn.execute("DELETE FROM documents WHERE sequence = ?", (sequence,))
    _count(db, digest, size_bytes, -1)


def _set(db: Database, sequence: int, new: dict[str, object]) -> None:
    columns = ", ".join(f"{name} = ?" for name in new)
    db.conn.execute(f"UPDATE documents SET {columns} WHERE sequence = ?", (*new.values(), sequence))  # noqa: S608


def _count(db: Database, digest: str, size_bytes: int, change: int) -> None:
    """One document more or less; bytes that several have count once."""
    db.conn.execute(
        "INSERT INTO digests VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET documents = documents + ?",
        (digest, size_bytes, change, change),
    )
    now = db.conn.execute("SELECT documents FROM digests WHERE digest = ?", (digest,)).fetchone()[0]
    blobs = change if now == max(0, change) else 0  # the first document that has them, or the last
    db.conn.execute(
        "UPDATE totals SET documents = documents + ?, blobs = blobs + ?, size_bytes = size_bytes + ?",
        (change, blobs, blobs * size_bytes),
    )


def _tag(db: Database, sequence: int, tags: list[str]) -> None:
    for tag in set(tags):
        db.conn.execute("INSERT INTO document_tags VALUES (?, ?)", (tag, sequence))
        db.conn.execute(
            "INSERT INTO tag_counts VALUES (?, 1) ON CONFLICT DO UPDATE SET documents = documents + 1", (tag,)
        )


def _untag(db: Database, sequence: int, tags: list[str]) -> None:
    for tag in set(tags):
        db.conn.execute("DELETE FROM document_tags WHERE tag = ? AND sequence = ?", (tag, sequence))
        db.conn.execute("UPDATE tag_counts SET documents = documents - 1 WHERE name = ?", (tag,))
        db.conn.execute("DELETE FROM tag_counts WHERE name = ? AND documents = 0", (tag,))
