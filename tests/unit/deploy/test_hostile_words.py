"""What a board, a model or a client says never drives the operator's terminal."""

import json
from typing import Any

import msgspec
import pytest

from benchwire.deploy import story
from benchwire.deploy.calling import print_json
from benchwire.deploy.doc import lines
from benchwire.deploy.ending import say
from benchwire.deploy.hardware.asked import listed
from benchwire.events.event import Event
from benchwire.events.testing import samples

# A title, a clipboard, C1 codes, new lines, text that runs backwards, an empty line that hides what stands above.
EVIL = "a\x1b]0;title\x07\x1b]52;c;Y2FsYw==\x07\x9b31m\r\nERROR forged\u202e\u2066\x7f\x00\u2028\b"


def evil(value: Any) -> Any:
    match value:
        case str():
            return EVIL
        case list():
            return [evil(one) for one in value]
        case dict():
            return {f"{EVIL}{key}": evil(one) for key, one in value.items()}
        case msgspec.Struct():
            return type(value)(**{name: evil(getattr(value, name)) for name in value.__struct_fields__})
        case _:
            return value


@pytest.mark.parametrize("event", samples.samples(), ids=lambda one: type(one).__name__)
def test_every_sentence_is_one_printable_line(event: Event) -> None:
    assert story.sentence(evil(event)).isprintable()


def test_a_table_of_anything_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    class Row(msgspec.Struct):
        device_id: str
        labels: dict[str, str]

    listed([Row(EVIL, {EVIL: EVIL})], {"device": "device_id", "labels": "labels"}, json=False)
    assert all(line.isprintable() for line in capsys.readouterr().out.split("\n"))


def test_json_of_anything_is_printable_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": EVIL, "plain": "ü → 漢字 🙂"})
    said = capsys.readouterr().out
    assert said.removesuffix("\n").isprintable()
    assert json.loads(said) == {"name": EVIL, "plain": "ü → 漢字 🙂"}


def test_a_reason_that_the_lab_gives_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"benchwire flash: {EVIL}")
    assert all(line.isprintable() for line in capsys.readouterr().err.split("\n"))


def test_documents_are_printable() -> None:
    document = {
        "id": "doc", "created_at": "2026-01-17T12:00:00+00:00", "size_bytes": 1, "filename": EVIL, "tags": ["a"], "snippet": EVIL,
        "metadata": {EVIL: EVIL}, "links": [{"kind": "part_of", "to": EVIL, "filename": EVIL}], "linked_from": [], "content_type": EVIL,
    }  # fmt: skip
    for text in (lines.of_list(document), lines.of_one(document)):
        assert all(line.isprintable() for line in text.split("\n"))
