from datetime import UTC, datetime

import pytest

from benchwire.documents.commands import Change, Received, checked_tags, create, delete, parsed_metadata, update
from benchwire.documents.document import Document, evolve
from benchwire.documents.errors import BadMetadata, BadTag, DocumentNotFound

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 1, 17, 13, 0, tzinfo=UTC)
RECEIVED = Received(
    filename="a.txt", content_type="text/plain", size_bytes=1, digest="0" * 64, tags="a, b", metadata='{"description":"d"}'
)  # fmt: skip


def document() -> Document:
    made = evolve(None, create("doc_1", RECEIVED, now=NOW))
    assert made is not None
    return made


def test_a_change_leaves_what_it_does_not_name() -> None:
    event = update(document(), "doc_1", Change(tags=["c"]), now=LATER)
    assert event is not None
    after = evolve(document(), event)
    assert after is not None
    assert (after.tags, after.metadata) == (["c"], {"description": "d"})
    assert (after.created_at, after.updated_at) == (NOW, LATER)


def test_a_description_stays_when_only_metadata_is_given_and_gives_way_to_a_new_one() -> None:
    event = update(document(), "doc_1", Change(metadata={"k": "v"}), now=LATER)
    assert event is not None
    assert event.metadata == {"k": "v", "description": "d"}
    event = update(document(), "doc_1", Change(metadata={"description": "in here"}), now=LATER)
    assert event is not None
    assert event.metadata == {"description": "in here"}


def test_nothing_given_is_no_event() -> None:
    assert update(document(), "doc_1", Change(), now=LATER) is None


def test_what_is_not_there_can_be_neither_changed_nor_deleted() -> None:
    gone = evolve(document(), delete(document(), "doc_1", now=LATER))
    assert gone is None
    with pytest.raises(DocumentNotFound, match="doc_1"):
        update(gone, "doc_1", Change(tags=[]), now=LATER)
    with pytest.raises(DocumentNotFound, match="doc_1"):
        delete(gone, "doc_1", now=LATER)


@pytest.mark.parametrize("tag", ["a b", "a_b", "ä", "a.b", "x" * 65, "a\nb", "٣"])
def test_a_tag_is_letters_digits_and_hyphens(tag: str) -> None:
    with pytest.raises(BadTag):
        checked_tags([tag])


def test_tags_are_trimmed_and_each_comes_once() -> None:
    assert checked_tags([" b", "a ", "", "b", "A-1"]) == ["b", "a", "A-1"]


def test_too_many_tags_are_refused() -> None:
    with pytest.raises(BadTag, match="100"):
        checked_tags(str(number) for number in range(101))


@pytest.mark.parametrize(
    "text", ["{", "[]", '"a"', '{"a": 1}', '{"a": null}', '{"a": "\\ud800"}', '{"a": "%s"}' % ("x" * 70_000)]
)
def test_metadata_is_an_object_of_strings(text: str) -> None:
    with pytest.raises(BadMetadata):
        parsed_metadata(text)


def test_no_metadata_is_an_empty_object() -> None:
    assert parsed_metadata(" ") == parsed_metadata("{}") == {}
