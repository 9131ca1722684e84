"""Bodies that are a thing a line: read as they come, and told line by line what did not land."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import NamedTuple

import msgspec

from benchwire.events.event import IllegalToken
from benchwire.events.log import EventTooLarge
from benchwire.observability.errors import Unusable

MOST_ERRORS = 100
# What is wrong with one line, and no trouble of ours.
OF_ONE = (msgspec.MsgspecError, Unusable, IllegalToken, EventTooLarge)


class Line(NamedTuple):
    """One of many: its number, from 1, and what it holds; None when it is too long to be looked at."""

    number: int
    body: bytes | None


class Wrong(msgspec.Struct, frozen=True):
    """A line that did not land, and why."""

    line: int
    detail: str


async def lines(chunks: AsyncIterable[bytes], *, longest_bytes: int) -> AsyncGenerator[list[Line], None]:
    """The lines of a body that comes in ``chunks``, as many at a time as are there; empty ones are counted and left out."""
    number, size = 0, 0
    held: list[bytes] = []

    def finished(part: bytes) -> Line | None:
        body = b"".join([*held, part]) if size + len(part) <= longest_bytes else None
        return Line(number, body) if body is None or body.strip() else None

    async for chunk in chunks:
        *whole, begun = chunk.split(b"\n")
        found = []
        for part in whole:
            number += 1
            found.append(finished(part))
            held.clear()
            size = 0
        size += len(begun)
        if size <= longest_bytes:
            held.append(begun)
        else:
            held.clear()
        if taken := [line for line in found if line is not None]:
            yield taken
    number += 1
    if (last := finished(b"")) is not None:
        yield [last]
