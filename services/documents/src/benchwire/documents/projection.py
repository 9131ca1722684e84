"""Rows that follow from the log: documents, their tags, how often each tag is used, and what still needs which bytes."""

import json

from sqlite_utils import Database

from benchwire.events import catalog
from benchwire.events.document import DocumentCreated, DocumentDeleted, DocumentUpdated
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.events.task import NodeImageStored

FOLLOWED = (DocumentCreated, DocumentUpdated, DocumentDeleted, NodeImageStored, FlashRequested)
# Those that may make bytes needed that nobody needed before.
CLAIMING = (DocumentCreated, NodeImageStored, FlashRequested)

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
    metadata TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS document_tags (tag TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (tag, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag_counts (name TEXT PRIMARY KEY, documents INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS digests (digest TEXT PRIMARY KEY, documents INTEGER NOT NULL, elsewhere INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS digests_nobody_needs ON digests (digest) WHERE documents = 0 AND elsewhere = 0;
"""


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    match one.event:
        case DocumentCreated() as event:
            _create(db, one.sequence, event)
        case DocumentUpdated() as event:
            _update(db, event)
        case DocumentDeleted() as event:
            _delete(db, event)
        case NodeImageStored() as event:
            _needed_elsewhere(db, event.image)
            _needed_elsewhere(db, event.elf)
        case FlashRequested() as event:
            _needed_elsewhere(db, event.image)


SCHEMA = Schema(filters=catalog.filters_of(FOLLOWED), tables=TABLES, apply=apply)


def _create(db: Database, sequence: int, event: DocumentCreated) -> None:
    at = event.timestamp.isoformat()
    row = (
        sequence, event.document_id, event.filename, event.filename.casefold(), event.content_type, event.size_bytes,
        event.digest, at, at, json.dumps(event.tags), json.dumps(event.metadata),
    )  # fmt: skip
    if db.conn.execute("INSERT OR IGNORE INTO documents VALUES (?,?,?,?,?,?,?,?,?,?,?)", row).rowcount == 0:
        return  # an id is given once
    _tag(db, sequence, event.tags)
    db.conn.execute(
        "INSERT INTO digests VALUES (?, 1, 0) ON CONFLICT DO UPDATE SET documents = documents + 1", (event.digest,)
    )


def _update(db: Database, event: DocumentUpdated) -> None:
    row = db.conn.execute("SELECT sequence, tags FROM documents WHERE id = ?", (event.document_id,)).fetchone()
    if row is None:
        return
    sequence, tags = row
    db.conn.execute("UPDATE documents SET updated_at = ? WHERE sequence = ?", (event.timestamp.isoformat(), sequence))
    if event.metadata is not None:
        metadata = json.dumps(event.metadata)
        db.conn.execute("UPDATE documents SET metadata = ? WHERE sequence = ?", (metadata, sequence))
    if event.tags is not None:
        _untag(db, sequence, json.loads(tags))
        _tag(db, sequence, event.tags)
        db.conn.execute("UPDATE documents SET tags = ? WHERE sequence = ?", (json.dumps(event.tags), sequence))


def _delete(db: Database, event: DocumentDeleted) -> None:
    query = "SELECT sequence, tags, digest FROM documents WHERE id = ?"
    row = db.conn.execute(query, (event.document_id,)).fetchone()
    if row is None:
        return
    sequence, tags, digest = row
    _untag(db, sequence, json.loads(tags))
    db.conn.execute("DELETE FROM documents WHERE sequence = ?", (sequence,))
    db.conn.execute("UPDATE digests SET documents = documents - 1 WHERE digest = ?", (digest,))


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


def _needed_elsewhere(db: Database, artifact: Artifact) -> None:
    """Tasks and flash jobs stay in the lab's history, and what they flashed stays with them."""
    db.conn.execute("INSERT INTO digests VALUES (?, 0, 1) ON CONFLICT DO UPDATE SET elsewhere = 1", (artifact.digest,))
