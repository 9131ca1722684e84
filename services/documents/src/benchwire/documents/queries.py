"""Questions to the rows."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.documents import relations
from benchwire.documents.commands import Totals
from benchwire.documents.document import Document, Link
from benchwire.documents.relations import Relations

_COLUMNS = "id, filename, content_type, size_bytes, digest, created_at, updated_at, tags, metadata, expires_at, links"
_TRIGRAM = 3


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which documents: the name contains ``filename`` (in any case), and they have all of ``tags``.

    A page begins at ``offset``, and after the place ``before`` (a sequence), which costs the same however deep it is.
    """

    filename: str = ""
    tags: tuple[str, ...] = ()
    limit: int = 100
    offset: int = 0
    before: int | None = None


class Found(msgspec.Struct, frozen=True):
    """A document with everything it is related to."""

    document: Document
    relations: Relations


class Page(msgspec.Struct, frozen=True):
    """Some of the documents that were wanted, newest first, and how many there are in all; the next page comes ``before`` this place."""

    documents: list[Found]
    total: int
    before: int | None = None


class Row(msgspec.Struct, frozen=True):
    """A document, its place among the rows, and the sequence of what changed it last."""

    sequence: int
    changed: int
    document: Document


def document(db: Database, document_id: str) -> Document | None:
    """The document with this id."""
    row = db.conn.execute(f"SELECT {_COLUMNS} FROM documents WHERE id = ?", (document_id,)).fetchone()  # noqa: S608
    return _document(row) if row else None


def row(db: Database, document_id: str) -> Row | None:
    """The document with this id, as of what changed it last."""
    sql = f"SELECT sequence, changed, {_COLUMNS} FROM documents WHERE id = ?"  # noqa: S608 - our own column names
    found = db.conn.execute(sql, (document_id,)).fetchone()
    return Row(found[0], found[1], _document(found[2:])) if found else None


def found(db: Database, document_id: str) -> Found | None:
    """The document with this id, and its relations."""
    one = document(db, document_id)
    return None if one is None else related(db, one)


def related(db: Database, one: Document) -> Found:
    """``one`` with its relations."""
    return Found(one, relations.of_document(db, one.id, one.digest, one.links))


def documents(db: Database, wanted: Wanted) -> Page:
    """A page of documents."""
    counts = counts_of(db, wanted.tags)
    if 0 in counts.values():
        return Page([], 0)
    selection, values = selection_of(wanted, counts)
    total = _total(db, wanted, counts, selection, values)
    after = "" if wanted.before is None else " AND sequence < ?"
    places = db.conn.execute(
        f"{selection}{after} ORDER BY sequence DESC LIMIT ? OFFSET ?",
        (*values, *([] if wanted.before is None else [wanted.before]), wanted.limit, wanted.offset),
    ).fetchall()
    more = len(places) == wanted.limit and wanted.limit > 0
    shown = [related(db, one) for one in at(db, [row[0] for row in places])]
    return Page(shown, total, places[-1][0] if more else None)


def at(db: Database, places: Sequence[int]) -> list[Document]:
    """The documents at these places, in this order; those that are gone are left out."""
    query = f"SELECT {_COLUMNS} FROM documents WHERE sequence = ?"  # noqa: S608
    rows = (db.conn.execute(query, (place,)).fetchone() for place in places)
    return [_document(row) for row in rows if row is not None]


def counts_of(db: Database, tags: Iterable[str]) -> dict[str, int]:
    """How many documents have each of ``tags``, the rarest first."""
    query = "SELECT documents FROM tag_counts WHERE name = ?"
    rows = {tag: db.conn.execute(query, (tag,)).fetchone() for tag in tags}
    counts = {tag: row[0] if row else 0 for tag, row in rows.items()}
    return dict(sorted(counts.items(), key=lambda one: one[1]))


def selection_of(wanted: Wanted, tags: Iterable[str]) -> tuple[str, list[Any]]:
    """SQL for the places of what is wanted, led by the rarest tag, which is the first of ``tags``."""
    named, name_values = _named(wanted.filename)
    tagged = list(tags)
    if not tagged:
        return named or "SELECT sequence FROM documents WHERE 1", name_values
    parts = ["SELECT sequence FROM document_tags AS rarest WHERE tag = ?"]
    parts += ["EXISTS (SELECT 1 FROM document_tags WHERE tag = ? AND sequence = rarest.sequence)"] * (len(tagged) - 1)
    if named:
        parts.append(f"sequence IN ({named})")
    return " AND ".join(parts), [*tagged, *name_values]


def _named(filename: str) -> tuple[str, list[Any]]:
    """SQL for the places of documents whose names contain ``filename``; none when every name does."""
    if not filename:
        return "", []
    folded = filename.casefold()
    if len(folded) < _TRIGRAM or "\0" in folded:  # too short for the index, or nothing its language can say
        return "SELECT sequence FROM documents WHERE instr(folded_filename, ?) > 0", [folded]
    quoted = folded.replace('"', '""')
    return "SELECT rowid AS sequence FROM filenames WHERE filenames MATCH ?", [f'"{quoted}"']


def _total(db: Database, wanted: Wanted, counts: dict[str, int], selection: str, values: list[Any]) -> int:
    """How many are wanted; only where tags and names meet, they are counted one by one."""
    if not wanted.filename and not counts:
        return holdings(db).documents
    if not wanted.filename and len(counts) == 1:
        return next(iter(counts.values()))
    return int(db.conn.execute(f"SELECT count(*) FROM ({selection})", values).fetchone()[0])  # noqa: S608


def holdings(db: Database) -> Totals:
    """What all documents together are."""
    return Totals(*db.conn.execute("SELECT documents, blobs, size_bytes FROM totals").fetchone())


def tag_counts(db: Database) -> list[tuple[str, int]]:
    """Every tag with the number of documents that have it, the most used first, then by name."""
    return db.conn.execute("SELECT name, documents FROM tag_counts ORDER BY documents DESC, name").fetchall()


def changed_after(db: Database, changed: int, limit: int) -> list[Row]:
    """The documents that changed after this sequence, in that order."""
    query = f"SELECT sequence, changed, {_COLUMNS} FROM documents WHERE changed > ? ORDER BY changed LIMIT ?"  # noqa: S608
    return [Row(row[0], row[1], _document(row[2:])) for row in db.conn.execute(query, (changed, limit))]


def unchanged(db: Database, changed: int) -> set[int]:
    """The places of the documents that did not change after this sequence."""
    return {row[0] for row in db.conn.execute("SELECT sequence FROM documents WHERE changed <= ?", (changed,))}


def expiring(db: Database, limit: int) -> list[tuple[str, datetime]]:
    """The documents that are kept for a time only, the first to go first."""
    query = "SELECT id, expires_at FROM documents WHERE expires_at IS NOT NULL ORDER BY expires_at LIMIT ?"
    return [(row[0], datetime.fromisoformat(row[1])) for row in db.conn.execute(query, (limit,))]


def is_known(db: Database, digest: str) -> bool:
    """Whether a document has these bytes already."""
    query = "SELECT 1 FROM digests WHERE digest = ? AND documents > 0"
    return db.conn.execute(query, (digest,)).fetchone() is not None


def is_needed(db: Database, digest: str) -> bool:
    """Whether a document, a task, a flash job or a capture without a document yet has these bytes."""
    return needs(db, [digest])[0] is True


def needs(db: Database, digests: Sequence[str]) -> list[bool | None]:
    """Of each digest, whether anything has it, as for ``is_needed``; None when nothing ever had."""
    query = (
        "SELECT documents > 0 OR elsewhere > 0 OR EXISTS (SELECT 1 FROM captured WHERE captured.digest = digests.digest) "
        "FROM digests WHERE digest = ?"
    )
    rows = (db.conn.execute(query, (digest,)).fetchone() for digest in digests)
    return [None if row is None else bool(row[0]) for row in rows]


def _document(row: Iterable[Any]) -> Document:
    id_, filename, content_type, size_bytes, digest, created_at, updated_at, tags, metadata, expires_at, links = row
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
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        links=[Link(*one) for one in json.loads(links)],
    )
