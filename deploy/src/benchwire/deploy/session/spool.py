"""What a command has printed and what the lab has not heard yet: in order, bounded, put together to pieces that are worth a message."""

import asyncio
import codecs
import contextlib
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

MOST_CHARS = 32_768  # of one message; as JSON that is below 200 KiB, whatever the characters
LIMIT_CHARS = 32 << 20
GATHERED_S = 0.5


class Said(msgspec.Struct, frozen=True):
    """A piece of output, and when it was printed."""

    at: datetime
    text: str


class _Piece(msgspec.Struct, frozen=True):
    said: Said
    due: float


class Spool:
    """Texts on their way. Whoever puts one in waits while it is full, and so does the command that prints: nothing is lost."""

    def __init__(
        self,
        *,
        limit_chars: int = LIMIT_CHARS,
        gathered_s: float = GATHERED_S,
        on_full: Callable[[], None] = lambda: None,
    ) -> None:
        self._limit_chars = limit_chars
        self._gathered_s = gathered_s
        self._on_full = on_full
        self._pieces: deque[_Piece] = deque()
        self._chars = 0
        self._closed = False
        self._changed = asyncio.Condition()

    async def put(self, text: str) -> None:
        """Adds ``text``, when there is room for it."""
        for start in range(0, len(text), MOST_CHARS):
            await self._put(text[start : start + MOST_CHARS])

    async def _put(self, text: str) -> None:
        async with self._changed:
            if self._chars >= self._limit_chars:
                self._on_full()
                await self._changed.wait_for(lambda: self._chars < self._limit_chars)
            due = asyncio.get_running_loop().time() + self._gathered_s
            self._pieces.append(_Piece(Said(datetime.now(UTC), text), due))
            self._chars += len(text)
            self._changed.notify_all()

    async def close(self) -> None:
        """Nothing more comes; what is there can still be taken."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def take(self) -> Said | None:
        """The oldest text together with what followed it within a moment, at most ``MOST_CHARS``; None when it is closed and empty."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._pieces or self._closed)
            if not self._pieces:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._pieces[0].due):
                    await self._changed.wait_for(lambda: self._chars >= MOST_CHARS or self._closed)
            at, texts, chars = self._pieces[0].said.at, [], 0
            while self._pieces and chars + len(self._pieces[0].said.text) <= MOST_CHARS:
                text = self._pieces.popleft().said.text
                texts.append(text)
                chars += len(text)
            self._chars -= chars
            self._changed.notify_all()
            return Said(at, "".join(texts))


class Decoder:
    """Bytes to text, however they are cut: a character whose bytes come one by one is one character. What is no UTF-8 becomes U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, data: bytes) -> str:
        """The characters that are whole by now; the end is an empty ``data``."""
        return self._decoder.decode(data, final=not data)
