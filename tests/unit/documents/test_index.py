import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlite_utils import Database

from benchwire.documents import queries
from benchwire.documents.projection import TABLES, apply
from benchwire.documents.queries import Wanted
from benchwire.documents.search.index import Index
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.event import Event
from benchwire.events.log import Recorded

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


class Rows:
    """The rows of a log that is given event by event, and the index that is filled from them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "projection.sqlite"
        self.index = Index(folder / "search.sqlite", self._path)
        with closing(sqlite3.connect(self._path)) as conn:
            conn.executescript(TABLES)

    def happened(self, sequence: int, event: Event) -> None:
        with closing(sqlite3.connect(self._path)) as conn, conn:
            apply(Database(conn), Recorded(sequence=sequence, id=str(sequence), event=event, received_at=NOW))

    async def take(self, after: int, text: str) -> None:
        with closing(sqlite3.connect(self._path)) as conn:
            rows = queries.changed_after(Database(conn), after, 10)
        await self.index.put([(row, text) for row in rows])

    async def found(self, text: str) -> list[str]:
        return [one.found.document.id for one in (await self.index.asked(text, Wanted())).hits]

    async def aclose(self) -> None:
        await self.index.close()


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[Rows]:
    async with aclosing(Rows(tmp_path)) as made:
        await made.index.open("log")
        yield made


def created(name: str) -> DocumentCreated:
    return DocumentCreated(
        timestamp=NOW, document_id=name, filename="a.txt", content_type="text/plain", size_bytes=1, digest="d"
    )


async def test_a_document_that_came_again_under_its_id_is_found_however_late_its_deletion_is_heard_of(
    rows: Rows,
) -> None:
    """An upload repeated with its key after a delete has the same id at a new place; removing it by its id alone lost it."""
    rows.happened(1, created("doc_1"))
    await rows.take(0, "marmalade")
    rows.happened(2, DocumentDeleted(timestamp=NOW, document_id="doc_1"))
    rows.happened(3, created("doc_1"))
    await rows.take(1, "marmalade")
    await rows.index.remove([("doc_1", 2)])
    hits = await rows.index.asked("marmalade", Wanted())
    assert [one.found.document.id for one in hits.hits] == ["doc_1"]
    assert hits.total == 1, "the text of the first one is not counted any more"


async def test_a_document_that_was_deleted_is_forgotten(rows: Rows) -> None:
    for sequence, name in enumerate(("doc_1", "doc_2"), 1):
        rows.happened(sequence, created(name))
    await rows.take(0, "marmalade")
    rows.happened(3, DocumentDeleted(timestamp=NOW, document_id="doc_1"))
    await rows.index.remove([("doc_1", 3)])
    assert await rows.found("marmalade") == ["doc_2"]
    await rows.index.keep_only(set())
    assert (await rows.index.asked("marmalade", Wanted())).total == 0
