"""One reading of the log for several who follow it in one process: whoever has caught up is handed what another has read.

He sees what a reading of his own would give him: everything on his filters, once and in order. When he falls too far behind, he reads by
himself until he has caught up again.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing
from functools import lru_cache

from benchwire.events.follow import Batch, Message
from benchwire.events.permissions import covers

_MOST_BYTES = 8 << 20  # that are kept for one who is slower
_AROUND_BYTES = 500  # of a message, beside its body
_MOST_SUBJECTS = 4096

Read = Callable[[int], AsyncGenerator[Batch, None]]


class Relay:
    """What one reader reads, for the others."""

    def __init__(self) -> None:
        self._kept: set[_Kept] = set()

    def hand_on(self, batch: Batch) -> None:
        """Gives ``batch``, the next one that was read, to whoever follows here."""
        for one in self._kept:
            one.add(batch.messages)

    async def follow(
        self, filters: Sequence[str], *, after: int, batch: int, read: Read
    ) -> AsyncGenerator[Batch, None]:
        """Everything on ``filters`` with a sequence above ``after``, then what comes, at most ``batch`` messages at a time.

        ``read`` is a reading of his own that goes on behind a sequence (see ``follow.follow``); what it raises is raised here. ``pending``
        of what was handed on counts only what is kept for him.
        """
        with self._keeping(filters, batch) as kept:
            while True:
                async with aclosing(read(after)) as batches:
                    async for part in batches:
                        after = part.messages[-1].sequence if part.messages else after
                        yield part
                        if kept.goes_on(after):
                            break
                while kept.goes_on(after):
                    if messages := await kept.taken(after):
                        after = messages[-1].sequence
                        yield Batch(messages, kept.count)

    @contextlib.contextmanager
    def _keeping(self, filters: Sequence[str], most: int) -> Generator["_Kept", None, None]:
        kept = _Kept(filters, most)
        self._kept.add(kept)
        try:
            yield kept
        finally:
            self._kept.discard(kept)


class _Kept:
    """What is kept for one who follows, of what was read lately; the oldest goes when it becomes too much."""

    def __init__(self, filters: Sequence[str], most: int) -> None:
        # There are few subjects beside the events on them.
        self._fits = lru_cache(_MOST_SUBJECTS)(lambda subject: any(covers(one, subject) for one in filters))
        self._most = most
        self._messages: deque[Message] = deque()
        self._bytes = 0
        # A sequence: whoever has everything up to there lacks nothing. None before anything came.
        self._lacks: int | None = None
        self._came = asyncio.Event()

    @property
    def count(self) -> int:
        return len(self._messages)

    def goes_on(self, after: int) -> bool:
        """Whether it is all that comes behind ``after``."""
        return self._lacks is not None and after >= self._lacks

    def add(self, messages: Sequence[Message]) -> None:
        for one in messages:
            if self._fits(one.subject):
                if self._lacks is None:
                    self._lacks = one.sequence - 1
                self._messages.append(one)
                self._bytes += _size(one)
                self._came.set()
        while self._bytes > _MOST_BYTES:
            self._lacks = self._oldest().sequence

    async def taken(self, after: int) -> list[Message]:
        """What has come behind ``after``, once something has; nothing when that is no longer all of it."""
        if not self._messages:
            self._came.clear()
            await self._came.wait()
        messages: list[Message] = []
        while self._messages and self.goes_on(after) and len(messages) < self._most:
            if (one := self._oldest()).sequence > after:
                messages.append(one)
        return messages

    def _oldest(self) -> Message:
        one = self._messages.popleft()
        self._bytes -= _size(one)
        return one


def _size(message: Message) -> int:
    return len(message.body) + _AROUND_BYTES
