"""How documents, bytes and things of the lab hang together: what somebody said, and what follows from the log.

What follows is found by digest: an image was built of the sources of the same iteration, and boards were flashed with it. Of each sort the
newest are told, ``MOST`` at most.
"""

from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.documents.document import Link
from benchwire.documents.things import ARTIFACT, DEVICE, DOCUMENT, FLASH, SESSION, TASK, Thing, parsed, written

MOST = 50


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is worth knowing of a relation.

    ``derived`` is one that follows from the log, and cannot be taken back. ``gone`` is one to a document that was deleted. ``at`` is when a
    flash job ended, or was requested.
    """

    filename: str | None = None
    gone: bool = False
    derived: bool = False
    role: str | None = None
    task_id: str | None = None
    node_id: str | None = None
    iteration: int | None = None
    device: str | None = None
    status: str | None = None
    at: str | None = None


class Relation(Facts, frozen=True, kw_only=True):
    """One relation, seen from one end: its ``kind``, and what is at the ``other`` end."""

    kind: str
    other: str


class Relations(msgspec.Struct, frozen=True):
    """Those that lead away from something, and those that lead to it."""

    links: list[Relation]
    linked_from: list[Relation]


def of_document(db: Database, document_id: str, digest: str, links: list[Link]) -> Relations:
    """Of a document: what is said of it and what follows from its bytes."""
    follows = _of_bytes(db, digest)
    return Relations(
        [*(_stated(db, one) for one in links), *follows.links],
        [*_stated_from(db, document_id), *follows.linked_from],
    )


def of_thing(db: Database, thing: Thing) -> Relations:
    """Of anything that is no document."""
    said = _stated_from(db, written(thing))
    match thing.kind:
        case "artifact":
            follows = _of_bytes(db, thing.name)
        case "task":
            follows = Relations([], _of_task(db, thing.name))
        case "flash":
            follows = Relations(_of_flash(db, thing.name), [])
        case "device":
            host, _, device = thing.name.partition("/")
            follows = Relations([], _flashes(db, "flashed_on", "host = ? AND device = ?", host, device))
        case "session":
            follows = Relations([], _flashes(db, "part_of", "session_id = ?", thing.name))
        case _:
            follows = Relations([], [])
    return Relations(follows.links, [*said, *follows.linked_from])


def documents_with(db: Database, digest: str) -> list[str]:
    """The ids of the documents that have these bytes, the newest first."""
    query = "SELECT id FROM documents WHERE digest = ? ORDER BY sequence DESC LIMIT ?"
    return [row[0] for row in db.conn.execute(query, (digest, MOST))]


def _stated(db: Database, link: Link) -> Relation:
    if parsed(link.to).kind != DOCUMENT:
        return Relation(kind=link.kind, other=link.to)
    row = db.conn.execute("SELECT filename FROM documents WHERE id = ?", (link.to,)).fetchone()
    return Relation(kind=link.kind, other=link.to, filename=row[0] if row else None, gone=row is None)


def _stated_from(db: Database, target: str) -> list[Relation]:
    query = (
        "SELECT l.kind, d.id, d.filename FROM document_links AS l JOIN documents AS d USING (sequence)"
        " WHERE l.target = ? ORDER BY l.sequence DESC LIMIT ?"
    )
    rows = db.conn.execute(query, (target, MOST))
    return [Relation(kind=kind, other=other, filename=filename) for kind, other, filename in rows]


def _of_bytes(db: Database, digest: str) -> Relations:
    images = _rows(db, "SELECT task_id, node_id, iteration, role FROM images WHERE digest = ?", digest)
    sources = _rows(db, "SELECT task_id, node_id, iteration, filename FROM sources WHERE digest = ?", digest)
    links = [
        Relation(kind="derived_from", other=f"{TASK}:{task}", derived=True, role=role, node_id=node, iteration=iteration)
        for task, node, iteration, role in images
    ]  # fmt: skip
    links += [
        Relation(kind="part_of", other=f"{TASK}:{task}", derived=True, filename=name, node_id=node, iteration=iteration)
        for task, node, iteration, name in sources
    ]  # fmt: skip
    for task, node, iteration in dict.fromkeys(row[:3] for row in images):
        links += _sources(db, task, node, iteration)
    linked_from = _flashes(db, "flashed", "digest = ?", digest)
    for task, node, iteration in dict.fromkeys(row[:3] for row in sources):
        linked_from += _images(db, task, node, iteration)
    return Relations(links, linked_from)


def _of_task(db: Database, task_id: str) -> list[Relation]:
    tried = [
        *_rows(db, "SELECT task_id, node_id, iteration FROM images WHERE task_id = ?", task_id),
        *_rows(db, "SELECT task_id, node_id, iteration FROM sources WHERE task_id = ?", task_id),
    ]
    found: list[Relation] = []
    for task, node, iteration in dict.fromkeys(tried):
        found += [*_images(db, task, node, iteration), *_sources(db, task, node, iteration, "part_of")]
    return [*found, *_flashes(db, "part_of", "task_id = ?", task_id)]


def _of_flash(db: Database, job_id: str) -> list[Relation]:
    query = "SELECT digest, name, host, device, status, coalesce(ended_at, requested_at), task_id, node_id, session_id FROM flashes WHERE job_id = ?"
    row = db.conn.execute(query, (job_id,)).fetchone()
    if row is None:
        return []
    digest, name, host, device, status, at, task, node, session = row
    found = [
        Relation(kind="flashed", other=_name_of(db, digest), filename=name, derived=True, status=status, at=at),
        Relation(kind="flashed_on", other=f"{DEVICE}:{host}/{device}", derived=True, status=status, at=at),
    ]
    if task is not None:
        found.append(Relation(kind="part_of", other=f"{TASK}:{task}", derived=True, node_id=node))
    if session is not None:
        found.append(Relation(kind="part_of", other=f"{SESSION}:{session}", derived=True))
    return found


def _sources(db: Database, task: str, node: str, iteration: int, kind: str = "derived_from") -> list[Relation]:
    where = "SELECT digest, filename FROM sources WHERE task_id = ? AND node_id = ? AND iteration = ?"
    return [
        Relation(
            kind=kind, other=_name_of(db, digest), filename=filename, derived=True, task_id=task, node_id=node, iteration=iteration
        )
        for digest, filename in _rows(db, where, task, node, iteration)
    ]  # fmt: skip


def _images(db: Database, task: str, node: str, iteration: int) -> list[Relation]:
    where = "SELECT digest, name, role FROM images WHERE task_id = ? AND node_id = ? AND iteration = ?"
    return [
        Relation(
            kind="derived_from", other=_name_of(db, digest), filename=name, derived=True, role=role,
            task_id=task, node_id=node, iteration=iteration,
        )
        for digest, name, role in _rows(db, where, task, node, iteration)
    ]  # fmt: skip


def _flashes(db: Database, kind: str, where: str, *values: str) -> list[Relation]:
    query = f"SELECT job_id, host, device, status, coalesce(ended_at, requested_at), name, task_id FROM flashes WHERE {where}"  # noqa: S608
    return [
        Relation(
            kind=kind, other=f"{FLASH}:{job}", filename=name, derived=True, device=f"{host}/{device}", status=status, at=at,
            task_id=task,
        )
        for job, host, device, status, at, name, task in _rows(db, query, *values)
    ]  # fmt: skip


def _rows(db: Database, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The newest that ``query`` finds."""
    return db.conn.execute(f"{query} ORDER BY sequence DESC LIMIT {MOST}", values).fetchall()


def _name_of(db: Database, digest: str) -> str:
    """The newest document with these bytes, or the bytes themselves."""
    found = documents_with(db, digest)
    return found[0] if found else f"{ARTIFACT}:{digest}"
