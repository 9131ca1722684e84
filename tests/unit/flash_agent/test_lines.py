"""Bytes of a serial port to lines."""

from hypothesis import given, settings
from hypothesis import strategies as st

from benchwire.flash_agent.lines import LineSplitter


def test_a_line_comes_when_its_end_comes() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"BO") == []
    assert splitter.has_partial
    assert splitter.feed(b"OT\r") == []
    assert splitter.feed(b"\n\r\nnext") == ["BOOT", ""]
    assert splitter.flush() == "next"
    assert splitter.flush() is None


def test_bytes_that_are_not_utf_8_are_shown_as_what_they_are() -> None:
    assert LineSplitter().feed(b"ok \xff\x80 \xc3\xa4\n") == ["ok \\xff\\x80 ä"]


def test_a_line_without_end_comes_in_pieces() -> None:
    splitter = LineSplitter(max_line_bytes=4)
    assert splitter.feed(b"123456789") == ["1234", "5678"]
    assert splitter.feed(b"\n") == ["9"]
    assert splitter.feed(b"abcdef\n") == ["abcd", "ef"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=12))
def test_how_the_bytes_arrive_makes_no_difference(pieces: list[bytes]) -> None:
    together, apart = LineSplitter(), LineSplitter()
    expected = together.feed(b"".join(pieces))
    assert [line for piece in pieces for line in apart.feed(piece)] == expected
    assert apart.flush() == together.flush()
