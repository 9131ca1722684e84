"""Waiting for what a board prints: a line that matches, from a given point of the samples on, within a time.

A line that has no end yet, such as a prompt, counts once its board has been silent for half a second (see the flash agent's console). A
pattern is looked for in each line by itself; bytes that are not UTF-8 are seen as ``\\xNN``.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from benchwire.events import codec
from benchwire.events.bus import LIVE, Bus
from benchwire.events.catalog import filter_of
from benchwire.events.follow import Message, follow
from benchwire.events.live import SerialLine
from benchwire.events.patterns import Found, Pattern

MOST_LINES = 1000
_TELL_S = 5.0


class Expectation:
    """What is waited for: ``hear`` each line in turn. ``heard`` are the last lines, the one that matched included. Pure."""

    def __init__(self, pattern: Pattern, *, most_lines: int = MOST_LINES) -> None:
        self._pattern = pattern
        self.heard: deque[SerialLine] = deque(maxlen=most_lines)
        self.line: SerialLine | None = None
        self.found: Found | None = None

    def hear(self, line: SerialLine) -> bool:
        """Whether this line, or one before it, is the one; what comes after it is not looked at."""
        if self.line is None:
            self.heard.append(line)
            self.found = self._pattern.search(line.line)
            self.line = line if self.found is not None else None
        return self.line is not None


class Expected(msgspec.Struct, frozen=True):
    """How the wait ended: the ``line`` that matched and the ``groups`` of the match, or None when none did in time; and the last ``lines``.

    ``after`` is the point behind the last of them, from where a next wait may go on.
    """

    line: SerialLine | None
    groups: list[str | None]
    lines: list[SerialLine]
    after: int = 0


async def here(bus: Bus) -> int:
    """The point of the samples where they stand now: what a board prints after this call comes after it. Raises what NATS raises."""
    async with asyncio.timeout(_TELL_S):
        info = await bus.js.stream_info(LIVE)
    return int(info.state.last_seq)


async def expected(bus: Bus, host: str, device: str, pattern: Pattern, *, after: int, within_s: float) -> Expected:
    """Waits for a line of the device that matches and stands behind ``after``, which ``here`` told."""
    expectation = Expectation(pattern)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s), aclosing(lines(bus, host, device, after=after)) as printed:
            async for point, line in printed:
                after = point
                if expectation.hear(line):
                    break
                await asyncio.sleep(0)  # a search may take some milliseconds, and lines may have piled up
    groups = [] if expectation.found is None else expectation.found.groups
    return Expected(expectation.line, groups, list(expectation.heard), after)


async def lines(bus: Bus, host: str, device: str, *, after: int) -> AsyncGenerator[tuple[int, SerialLine], None]:
    """What the device prints, line by line, from a point on, each with the point behind it, for as long as one listens."""
    filters = [filter_of(SerialLine, host=host, device=device)]
    async with aclosing(follow(bus, filters, after=after, stream=LIVE)) as batches:
        async for batch in batches:
            for message in batch.messages:
                if (line := line_of(message)) is not None:
                    yield message.sequence, line


def line_of(message: Message) -> SerialLine | None:
    """The line in a message of the samples; None when it holds something else."""
    try:
        sample = codec.decode(message.body, message.headers, message.subject)
    except codec.Malformed:
        return None
    return sample if isinstance(sample, SerialLine) else None
