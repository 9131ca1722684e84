"""What does not fit into an event is cut, and says so."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.agent import fitting

MIB = 1 << 20


@pytest.mark.parametrize("letter", ["x", "ä", "\x00", "😀", '"'])
def test_a_text_is_cut_to_what_an_event_takes_and_not_to_much_less(letter: str) -> None:
    told = fitting.result(letter * 2 * MIB, {})
    assert isinstance(told, str)
    size = len(msgspec.json.encode(told))
    assert 0.5 * fitting.MAX_RESULT_BYTES < size < MIB
    assert told.endswith(f"of {2 * MIB} characters are shown]")


def test_a_long_input_leaves_less_room_for_the_result() -> None:
    told = fitting.result("x" * MIB, {"content": "y" * 800_000})
    assert len(told) < 101_000


def test_blocks_that_are_too_much_become_their_text_and_a_note() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * MIB}}
    told = fitting.result([{"type": "text", "text": "a chart"}, picture], {})
    assert isinstance(told, str)
    assert told.startswith("a chart\n[1 block(s) that are no text")
    small = [{"type": "text", "text": "a chart"}]
    assert fitting.result(small, {}) == small


@given(st.text())
def test_what_is_well_formed_stays_as_it_is(words: str) -> None:
    value = {words: [words, 1, None, {"inner": words}]}
    assert fitting.well_formed(value) == value


def test_half_of_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert fitting.well_formed({"a \ud83d": ["b \ud83d"]}) == {"a ?": ["b ?"]}
