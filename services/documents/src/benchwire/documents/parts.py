"""Parts of a document: a range of bytes (RFC 9110, 14), a window of characters, and the question whether the client has it already."""

import codecs
import re
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing

import msgspec

from benchwire.documents.errors import RangeNotSatisfiable

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")

# Python knows codecs that are no charsets ("hex", "rot13"), and some that fail on what is not theirs, whatever they are told ("utf-16").
_CHARSETS = re.compile(
    r"utf-8|(us-)?ascii|latin-?1|iso-8859-([1-9]|1[013-6])|windows-125[0-8]|koi8-[ru]|gbk|gb18030|shift_jis|euc-(jp|kr)"
)


class Span(msgspec.Struct, frozen=True):
    """From ``start`` up to, and without, ``stop``."""

    start: int
    stop: int


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A part in characters: where it is, of how many, and how many bytes of UTF-8 it has."""

    span: Span
    total_chars: int
    size_bytes: int


def etag_of(digest: str) -> str:
    """The entity tag: the same bytes, the same tag."""
    return f'"{digest}"'


def has_already(if_none_match: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names what would be sent."""
    if if_none_match is None:
        return False
    named = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return "*" in named or etag in named


def wanted_range(header: str | None, if_range: str | None, *, etag: str, size_bytes: int) -> Span | None:
    """The bytes that are asked for; None means all. What is not one range of bytes is ignored, as the RFC allows.

    Raises ``RangeNotSatisfiable``.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
        if last and int(last) < start:
            return None
    if start >= size_bytes:
        raise RangeNotSatisfiable(size_bytes)
    return Span(start, stop)


async def measured(pieces: AsyncIterable[bytes], charset: str, offset: int, limit: int | None) -> Window:
    """Where the characters ``offset`` to ``offset + limit`` are, as far as there are any; reads it all and keeps none of it."""
    total, size_bytes = 0, 0
    stop = None if limit is None else offset + limit
    async for text in _decoded(pieces, charset):
        part = text[max(0, offset - total) : None if stop is None else max(0, stop - total)]
        size_bytes += len(_utf8(part))
        total += len(text)
    start = min(offset, total)
    return Window(
        span=Span(start, total if stop is None else min(stop, total)), total_chars=total, size_bytes=size_bytes
    )


async def cut(pieces: AsyncGenerator[bytes, None], charset: str, span: Span) -> AsyncGenerator[bytes, None]:
    """The characters of ``span`` in UTF-8."""
    at = 0
    async with aclosing(pieces):
        async for text in _decoded(pieces, charset):
            part = text[max(0, span.start - at) : max(0, span.stop - at)]
            at += len(text)
            if part:
                yield _utf8(part)
            if at >= span.stop:
                return


async def _decoded(pieces: AsyncIterable[bytes], charset: str) -> AsyncGenerator[str, None]:
    decoder = codecs.getincrementaldecoder(charset if _CHARSETS.fullmatch(charset) else "utf-8")("replace")
    async for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _utf8(text: str) -> bytes:
    return text.encode(errors="replace")  # some charsets can spell half of a character
