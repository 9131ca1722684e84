"""What a person may write behind the kind of a fault."""

import pytest

from benchwire.deploy.board.app import arguments_of


def test_numbers_in_every_spelling_words_and_yes_or_no_are_told_apart() -> None:
    assert arguments_of(
        ["address=0x10001000", "bit=3", "bytes_per_s=-1", "rate=0.5", "chip=SAMD21-a=b", "on=true"]
    ) == {
        "address": 0x1000_1000,
        "bit": 3,
        "bytes_per_s": -1,
        "rate": 0.5,
        "chip": "SAMD21-a=b",
        "on": True,
    }


@pytest.mark.parametrize("word", ["after_bytes", "=3", "2x=3", "kind=drop", "do=status"])
def test_what_is_no_argument_is_named(word: str) -> None:
    with pytest.raises(ValueError, match=f"'{word}' is no argument of a fault; write KEY=VALUE"):
        arguments_of([word])
