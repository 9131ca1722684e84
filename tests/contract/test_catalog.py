"""The one table has to be whole: nothing in the log may be without a row, and no row without a golden file."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchwire.events import catalog, codec, reference
from benchwire.events.catalog import CATALOG, Entry
from benchwire.events.event import Event
from benchwire.events.testing.samples import sample

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]

each_entry = pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.tag)


def test_every_event_type_is_in_the_catalog_once() -> None:
    known = [entry.event for entry in CATALOG]
    assert len(known) == len(set(known))
    assert {kind for kind in Event.__subclasses__() if kind.__module__.startswith("benchwire.events.")} == set(known)


def test_tags_and_filters_are_never_shared() -> None:
    assert len({entry.tag for entry in CATALOG}) == len(CATALOG)
    assert len({entry.filter for entry in CATALOG}) == len(CATALOG)


@each_entry
def test_the_subject_is_made_of_fields_and_lies_under_its_stream(entry: Entry) -> None:
    names = {field.name for field in msgspec.structs.fields(entry.event)}
    assert set(entry.fields) <= names
    live = entry.event.__module__ == "benchwire.events.live"
    assert entry.subject.startswith("live." if live else "bench.")
    assert entry.writers
    words = entry.subject.split(".")
    assert not words[-1].startswith("{"), "the event comes last"
    assert catalog.subject_of(sample(entry.event)).count(".") == len(words) - 1


@each_entry
def test_a_class_is_frozen_says_its_own_tag_and_has_a_docstring(entry: Entry) -> None:
    assert entry.event.__struct_config__.frozen
    assert isinstance(entry.event.__struct_config__.tag, str)
    assert entry.event.__doc__


@each_entry
def test_the_golden_file_of_each_version_still_decodes_to_its_sample(entry: Entry) -> None:
    for version in range(1, entry.version + 1):
        body = (GOLDEN / entry.tag / f"v{version}.json").read_bytes()
        headers = {codec.VERSION: str(version)} if version > 1 else None
        event = codec.decode(body, headers)
        assert type(event) is entry.event
        # A field that came later has its default here, and its own value in today's sample.
        written, expected = json.loads(body), msgspec.to_builtins(sample(entry.event))
        assert _as_written(msgspec.to_builtins(event), written) == _as_written(expected, written), entry.tag


def _as_written(value: Any, written: Any) -> Any:
    """``value`` without the fields that were not written, at any depth; one that was written and is gone is missed."""
    if isinstance(written, dict):
        return {name: _as_written(value[name], one) for name, one in written.items()}
    if isinstance(written, list):
        return [_as_written(one, other) for one, other in zip(value, written, strict=True)]
    return value


@each_entry
def test_an_event_survives_its_way_over_the_wire(entry: Entry) -> None:
    event = sample(entry.event)
    assert codec.decode(codec.encode(event), codec.headers(event, codec.new_id())) == event


def test_the_reference_in_the_architecture_is_what_the_catalog_says() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert reference.with_table(text) == text, "run `make docs`"
