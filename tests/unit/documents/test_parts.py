from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.documents.errors import RangeNotSatisfiable
from benchwire.documents.parts import Span, cut, has_already, measured, wanted_range

ETAG = '"abc"'


async def pieces(data: bytes, size_bytes: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size_bytes):
        yield data[start : start + size_bytes]


@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    size_bytes=st.integers(1, 9),
    offset=st.integers(0, 70),
    limit=st.none() | st.integers(0, 70),
)
async def test_a_window_is_what_slicing_the_whole_text_gives(
    text: str, size_bytes: int, offset: int, limit: int | None
) -> None:
    data = text.encode()
    window = await measured(pieces(data, size_bytes), "utf-8", offset, limit)
    wanted = text[offset : None if limit is None else offset + limit]
    got = b"".join([part async for part in cut(pieces(data, size_bytes), "utf-8", window.span)])
    assert got.decode() == wanted
    assert window.size_bytes == len(got)
    assert window.total_chars == len(text)
    assert window.span.stop - window.span.start == len(wanted)


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "no-such-thing", "hex", "rot13", "utf-7"])
async def test_bytes_that_are_not_what_their_charset_says_are_no_obstacle(charset: str) -> None:
    data = bytes(range(256)) + b"+2AA-"
    window = await measured(pieces(data, 7), charset, 0, None)
    got = b"".join([part async for part in cut(pieces(data, 7), charset, window.span)])
    assert len(got) == window.size_bytes
    assert len(got.decode()) == window.total_chars


@given(st.text("bytes=0123456789-, ", max_size=20), st.integers(0, 50))
def test_any_range_is_ignored_refused_or_lies_within(header: str, size_bytes: int) -> None:
    try:
        span = wanted_range(header, None, etag=ETAG, size_bytes=size_bytes)
    except RangeNotSatisfiable:
        return
    assert span is None or 0 <= span.start < span.stop <= size_bytes


def test_a_range_of_what_has_changed_is_the_whole() -> None:
    assert wanted_range("bytes=0-0", '"older"', etag=ETAG, size_bytes=9) is None
    assert wanted_range("bytes=0-0", ETAG, etag=ETAG, size_bytes=9) == Span(0, 1)


def test_what_the_client_has_is_recognised() -> None:
    assert has_already('"x", W/"abc"', ETAG)
    assert has_already("*", ETAG)
    assert not has_already('"x"', ETAG)
    assert not has_already(None, ETAG)
