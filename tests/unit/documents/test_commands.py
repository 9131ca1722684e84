from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from benchwire.documents.commands import Change, Received, create, delete, expire, link, unlink, update
from benchwire.documents.document import Document, evolve
from benchwire.documents.errors import BadExpiry, BadLink, BadMetadata, BadTag, DocumentNotFound, LinkNotFound
from benchwire.documents.fields import checked_expiry, checked_tags, parsed_digest, parsed_metadata

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


def test_a_document_expires_when_its_time_is_over_and_not_before() -> None:
    made = evolve(None, create("doc_1", msgspec.structs.replace(RECEIVED, expires_at=LATER.isoformat()), now=NOW))
    assert made is not None
    assert expire(made, now=NOW) is None
    gone = expire(made, now=LATER)
    assert gone is not None
    assert gone.reason == "expired"
    assert expire(document(), now=LATER) is None
    assert expire(None, now=LATER) is None
    kept = update(made, "doc_1", Change(expires_at=None), now=NOW)
    assert kept is not None
    after = evolve(made, kept)
    assert after is not None
    assert expire(after, now=LATER) is None


def test_a_time_to_keep_is_in_utc_and_lies_ahead() -> None:
    assert checked_expiry(None, now=NOW) is None
    assert checked_expiry(datetime(2026, 1, 17, 13, 0), now=NOW) == LATER  # noqa: DTZ001 - without a zone it is UTC
    for over in (NOW, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))):
        with pytest.raises(BadExpiry):
            checked_expiry(over, now=NOW)


def test_the_same_link_is_made_once_and_taken_back_once() -> None:
    made = document()
    event = link(made, "doc_1", "part_of", "artifact:" + "AB" * 32, now=NOW)
    assert event is not None
    assert event.to == "artifact:" + "ab" * 32
    linked = evolve(made, event)
    assert linked is not None
    assert linked.version != made.version
    assert link(linked, "doc_1", "part_of", event.to, now=NOW) is None
    back = evolve(linked, unlink(linked, "doc_1", "part_of", event.to, now=NOW))
    assert back == made
    assert back is not None
    assert back.version == made.version
    with pytest.raises(LinkNotFound):
        unlink(made, "doc_1", "part_of", event.to, now=NOW)
    with pytest.raises(BadLink):
        link(made, "doc_1", "part_of", "doc_1", now=NOW)


@pytest.mark.parametrize(
    "given", ["AB" * 32, "sha-256=:" + "q6ur" * 10 + "q6s=:", "md5=x,SHA-256=" + "q6ur" * 10 + "q6s="]
)
def test_a_digest_is_read_in_each_of_its_spellings(given: str) -> None:
    assert parsed_digest(given) == "ab" * 32
