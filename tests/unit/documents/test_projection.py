import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from sqlite_utils import Database

from benchwire.documents import queries
from benchwire.documents.commands import Totals
from benchwire.documents.projection import CLAIMING, TABLES, apply
from benchwire.events.catalog import CATALOG
from benchwire.events.document import DocumentCreated, DocumentDeleted, DocumentUpdated
from benchwire.events.event import Artifact, Event
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.testing.samples import sample

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 1, 17, 13, 0, tzinfo=UTC)


@pytest.fixture
def db() -> Iterator[Database]:
    conn = sqlite3.connect(":memory:")
    conn.executescript(TABLES)
    yield Database(conn)
    conn.close()


def given(db: Database, events: Sequence[Event]) -> None:
    for sequence, event in enumerate(events, 1):
        apply(db, Recorded(sequence=sequence, id=str(sequence), event=event, received_at=NOW))


def created(name: str, digest: str = "d", tags: Sequence[str] = ()) -> DocumentCreated:
    return DocumentCreated(
        timestamp=NOW, document_id=name, filename=name, content_type="text/plain", size_bytes=1, digest=digest, tags=list(tags)
    )  # fmt: skip


def deleted(name: str) -> DocumentDeleted:
    return DocumentDeleted(timestamp=LATER, document_id=name)


def test_tags_are_counted_as_documents_come_change_and_go(db: Database) -> None:
    changed = DocumentUpdated(timestamp=LATER, document_id="one", tags=["b", "c"])
    given(db, [created("one", tags=["a", "b"]), created("two", tags=["b"]), changed, deleted("two"), deleted("two")])
    assert queries.tag_counts(db) == [("b", 1), ("c", 1)]
    assert db.conn.execute("SELECT tag, sequence FROM document_tags ORDER BY tag").fetchall() == [("b", 1), ("c", 1)]


def test_an_update_keeps_what_it_does_not_name_and_of_a_document_that_is_gone_does_nothing(db: Database) -> None:
    given(
        db,
        [
            created("one", tags=["a"]),
            DocumentUpdated(timestamp=LATER, document_id="one", metadata={"k": "v"}),
            DocumentUpdated(timestamp=LATER, document_id="nobody", tags=["x"]),
        ],
    )
    found = queries.document(db, "one")
    assert found is not None
    assert (found.tags, found.metadata, found.created_at, found.updated_at) == (["a"], {"k": "v"}, NOW, LATER)
    assert queries.tag_counts(db) == [("a", 1)]


def test_bytes_are_needed_until_the_last_document_is_gone(db: Database) -> None:
    given(db, [created("one"), created("two"), deleted("one")])
    assert queries.needs(db, ["d", "another"]) == [True, None]
    assert queries.holdings(db) == Totals(documents=1, blobs=1, size_bytes=1)
    given(db, [deleted("two")])
    assert not queries.is_needed(db, "d")
    assert queries.needs(db, ["d"]) == [False]
    assert queries.holdings(db) == Totals(documents=0, blobs=0, size_bytes=0)


def test_bytes_that_were_flashed_are_needed_for_ever(db: Database) -> None:
    flashed = sample(FlashRequested, image=Artifact(digest="d", size_bytes=1, name="a.bin"))
    given(db, [created("one"), flashed, deleted("one")])
    assert queries.is_needed(db, "d")


def test_every_event_that_names_bytes_keeps_them() -> None:
    """The sweep frees bytes that no event named; an event that is not followed here would lose its own."""
    naming = {
        entry.event
        for entry in CATALOG
        for field in msgspec.structs.fields(entry.event)
        if field.type is Artifact or field.name == "digest"
    }
    assert naming == set(CLAIMING)


def test_an_id_that_comes_twice_is_one_document(db: Database) -> None:
    given(db, [created("one", tags=["a"]), created("one", tags=["a"])])
    assert queries.documents(db, queries.Wanted()).total == 1
    assert queries.tag_counts(db) == [("a", 1)]
    given(db, [deleted("one")])
    assert queries.needs(db, ["d"]) == [False]


def test_what_is_wanted_is_found_by_all_of_its_words(db: Database) -> None:
    given(db, [created("Ärger.txt", tags=["a"]), created("100%.txt", tags=["a", "b"]), created("x_y", tags=["b"])])

    def names(**wanted: object) -> list[str]:
        return [one.document.filename for one in queries.documents(db, queries.Wanted(**wanted)).documents]  # type: ignore[arg-type]

    assert names() == ["x_y", "100%.txt", "Ärger.txt"]
    assert names(filename="äRG") == ["Ärger.txt"]
    assert names(filename="%") == ["100%.txt"]
    assert names(filename="_") == ["x_y"]
    assert names(tags=("a", "b", "a")) == ["100%.txt"]
