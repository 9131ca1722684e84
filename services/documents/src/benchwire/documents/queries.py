"""Questions to the rows."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.documents.document import Document

_COLUMNS = "id, filename, content_type, size_bytes, digest, created_at, updated_at, tags, metadata"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which documents: the name contains ``filename`` (in any case), and they have all of ``tags``."""

    filename: str = ""
    tags: tuple[str, ...] = ()
    limit: int = 100
    offset: int = 0


class Page(msgspec.Struct, frozen=True):
    """Some of the documents that were wanted, newest first, and how many there are in all."""

    documents: list[Document]
    total: int


def document(db: Database, document_id: str) -> Document | None:
    """The document with this id."""
    row = db.conn.execute(f"SELECT {_COLUMNS} FROM documents WHERE id = ?", (document_id,)).fetchone()  # noqa: S608
    return _document(row) if row else None


def documents(db: Database, wanted: Wanted) -> Page:
    """A page of documents."""
    where, values = _where(wanted)
    total = db.conn.execute(f"SELECT count(*) FROM documents{where}", values).fetchone()[0]  # noqa: S608
    rows = db.conn.execute(
        f"SELECT {_COLUMNS} FROM documents{where} ORDER BY sequence DESC LIMIT ? OFFSET ?",  # noqa: S608
        (*values, wanted.limit, wanted.offset),
    )
    return Page([_document(row) for row in rows], total)


def tag_counts(db: Database) -> list[tuple[str, int]]:
    """Every tag with the number of documents that have it, the most used first, then by name."""
    return db.conn.execute("SELECT name, documents FROM tag_counts ORDER BY documents DESC, name").fetchall()


def is_needed(db: Database, digest: str) -> bool:
    """Whether a document, a task or a flash job has these bytes."""
    query = "SELECT documents > 0 OR elsewhere > 0 FROM digests WHERE digest = ?"
    row = db.conn.execute(query, (digest,)).fetchone()
    return row is not None and bool(row[0])


def unneeded(db: Database) -> list[str]:
    """The digests that documents had, and nobody has any more."""
    return [row[0] for row in db.conn.execute("SELECT digest FROM digests WHERE documents = 0 AND elsewhere = 0")]


def _where(wanted: Wanted) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if wanted.filename:
        conditions.append("instr(folded_filename, ?) > 0")
        values.append(wanted.filename.casefold())
    for tag in dict.fromkeys(wanted.tags):
        conditions.append("sequence IN (SELECT sequence FROM document_tags WHERE tag = ?)")
        values.append(tag)
    return (" WHERE " + " AND ".join(conditions) if conditions else ""), values


def _document(row: Iterable[Any]) -> Document:
    id_, filename, content_type, size_bytes, digest, created_at, updated_at, tags, metadata = row
    return Document(
        id=id_,
        filename=filename,
        content_type=content_type,
        size_bytes=size_bytes,
        digest=digest,
        created_at=datetime.fromisoformat(created_at),
        updated_at=datetime.fromisoformat(updated_at),
        tags=json.loads(tags),
        metadata=json.loads(metadata),
    )
