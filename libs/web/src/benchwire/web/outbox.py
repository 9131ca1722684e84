"""What one reader is still to be sent: one object a frame, or, for who asked for it, arrays of many.

What is handed out to many is joined once for all of them that take arrays, as a single frame is encoded once for everybody.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple
from weakref import WeakValueDictionary

from benchwire.web.outlet import Text

_WRITE_BYTES = 64 << 10
_ARRAY_BYTES = 256 << 10  # what any client takes: usual limits of a message begin at 1 MiB
_LONG_CHARS = 64 << 10
_LONG: WeakValueDictionary[str, Text] = WeakValueDictionary()


class Item(NamedTuple):
    """A frame: its text, the place in the log of what it tells, what it counts in an outbox, and whether nothing follows it."""

    text: Text
    sequence: int | None
    counted_bytes: int
    is_last: bool = False
    is_array: bool = False


def _shared(frame: str) -> Text:
    """``frame``; one that is long is held once for all who are still to be sent it, as all are that come back together."""
    if len(frame) < _LONG_CHARS:
        return Text(frame)
    text = _LONG.get(frame)
    if text is None:
        text = _LONG[frame] = Text(frame)
    return text


def item(frame: str, sequence: int | None = None, *, last: bool = False) -> Item:
    """``frame``, with its size as what it counts."""
    text = Text(frame)
    return Item(text, sequence, text.size_bytes, last)


def array(items: Sequence[Item]) -> Item:
    """All of ``items``, each an object, in one frame: a JSON array."""
    sequences = [one.sequence for one in items if one.sequence is not None]
    counted_bytes = sum(one.counted_bytes for one in items)
    text = Text(f"[{','.join(one.text.text for one in items)}]")
    return Item(text, max(sequences, default=None), counted_bytes, items[-1].is_last, is_array=True)


class Gathered:
    """What is handed out together, in its order."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    # What follows is made when the first one wants it, after the last item was added.

    @cached_property
    def least(self) -> float:
        """The least sequence of which something is told; infinite without any."""
        return min((one.sequence for one in self.items if one.sequence is not None), default=math.inf)

    @cached_property
    def arrays(self) -> list[Item]:
        """The same in arrays of bounded size."""
        left, arrays = deque(self.items), []
        while left:
            arrays.append(_array_of_first(left))
        return arrays


def _array_of_first(left: deque[Item]) -> Item:
    """Takes from ``left`` what fits into one array, at least one item; up to one that is an array already."""
    first = left.popleft()
    if first.is_array:
        return first
    taken, size = [first], first.text.size_bytes + 2  # with its brackets, and what follows each with a comma
    while left and not left[0].is_array and (size := size + left[0].text.size_bytes + 1) <= _ARRAY_BYTES:
        taken.append(left.popleft())
    return array(taken)


class Listener:
    """One reader and what it is still to be sent; one that ``gathers`` gets arrays.

    It starts held: what is published meanwhile is kept until ``open`` has put the first frames in front of it, so that a snapshot and what
    follows it meet without a gap and without a double.
    """

    def __init__(self, *, limit_bytes: int, gathers: bool = False) -> None:
        self._limit_bytes = limit_bytes
        self._gathers = gathers
        self._outbox: deque[Item] = deque()
        self._outbox_bytes = 0
        self._after = 0
        self._held = True
        self._wake = asyncio.Event()
        self.too_slow = False
        self.sent = 0  # frames

    def put(self, frame: str, sequence: int | None = None, *, last: bool = False) -> None:
        """Sends ``frame`` when its turn comes. One whose ``sequence`` was already covered by ``open`` is left out."""
        self._take([item(frame, sequence, last=last)])

    def hear(self, gathered: Gathered) -> None:
        """The same with several."""
        # What a snapshot may cover is looked at one by one.
        is_whole = self._gathers and not self._held and gathered.least > self._after
        self._take(gathered.arrays if is_whole else gathered.items)

    def _take(self, items: Iterable[Item]) -> None:
        if self.too_slow:
            return
        for one in items:
            if one.sequence is None or one.sequence > self._after:
                self._outbox.append(one)
                self._outbox_bytes += one.counted_bytes
        if self._outbox_bytes > self._limit_bytes:
            self.give_up()
        self._wake.set()

    def open(self, first: Iterable[str] = (), *, after: int = 0) -> None:
        """Puts ``first`` in front, which tell everything up to the sequence ``after``, and lets the rest follow."""
        self._after = after
        kept = [one for one in self._outbox if one.sequence is None or one.sequence > after]
        # The first frames are what was asked for, however much that is; the limit is for what piles up behind them.
        self._outbox = deque([*(Item(_shared(frame), None, 0) for frame in first), *kept])
        self._outbox_bytes = sum(one.counted_bytes for one in kept)
        self._held = False
        self._wake.set()

    def give_up(self) -> None:
        """Drops what was put: the reader is told to come again, and to ask for what it missed."""
        self.too_slow = True
        self._outbox.clear()
        self._outbox_bytes = 0
        self._wake.set()

    async def frames(self, *, idle_s: float | None = None) -> AsyncGenerator[str, None]:
        """What is put, until the last frame or until the reader turns out too slow; an empty one whenever nothing came for ``idle_s``."""
        while not self.too_slow:
            while self._is_ready:
                one = self._next()
                yield one.text.text
                self.sent += 1
                if one.is_last:
                    return
            try:
                async with asyncio.timeout(idle_s):
                    await self._wake.wait()
            except TimeoutError:
                yield ""
            self._wake.clear()

    async def writes(self) -> AsyncGenerator[bytes, None]:
        """What is put, as WebSocket frames, all that is there at once up to a limit, until the reader turns out too slow."""
        while not self.too_slow:
            while self._is_ready:
                taken: list[bytes] = []
                size = 0
                while self._outbox and size < _WRITE_BYTES:
                    taken.append(self._next().text.frame)
                    size += len(taken[-1])
                yield b"".join(taken)
                self.sent += len(taken)
            await self._wake.wait()
            self._wake.clear()

    @property
    def _is_ready(self) -> bool:
        return bool(self._outbox) and not self._held

    def _next(self) -> Item:
        one = _array_of_first(self._outbox) if self._gathers else self._outbox.popleft()
        self._outbox_bytes -= one.counted_bytes
        return one
