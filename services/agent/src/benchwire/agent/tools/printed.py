"""What a board printed, and when."""

import codecs
from bisect import bisect_left

import msgspec

FOREVER_S = float("inf")
GRAIN_S = 0.01  # what arrives within one is told apart no further: a board that sends byte by byte would else fill pages with times


class Printed(msgspec.Struct, frozen=True):
    """Text from a board. ``arrivals`` has (characters, seconds) pairs: so many had come so many seconds after the first byte.

    ``lasted_s`` is how long, from the first byte, one has listened by now; for ever, when nothing more can come.
    """

    text: str
    arrivals: tuple[tuple[int, float], ...] = ()
    lasted_s: float = FOREVER_S

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return self.lasted_s == FOREVER_S

    def unified(self) -> "Printed":
        """The same with LF at the end of each line, whatever the board sent (CR LF, CR)."""
        if "\r" not in self.text:
            return self
        arrivals, before, pairs = [], 0, 0
        for end, at_s in self.arrivals:
            pairs += self.text.count("\r\n", max(before - 1, 0), end)
            arrivals.append((end - pairs, at_s))
            before = end
        return Printed(self.text.replace("\r\n", "\n").replace("\r", "\n"), tuple(arrivals), self.lasted_s)

    def at_s(self, end: int) -> float:
        """When the first ``end`` characters were there, in seconds after the first byte."""
        place = bisect_left(self.arrivals, (end, 0.0))
        return self.arrivals[place][1] if place < len(self.arrivals) else 0.0

    def line_at(self, place: int) -> str:
        """The line around a place of a unified text."""
        return self.text[self.text.rfind("\n", 0, place) + 1 :].split("\n", 1)[0]


class Hearing:
    """Takes in what a board prints, up to ``max_bytes``; what is no UTF-8 is replaced, not refused."""

    def __init__(self, max_bytes: int) -> None:
        self.heard_bytes = 0
        self._max_bytes = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pieces: list[str] = []
        self._arrivals: list[tuple[int, float]] = []
        self._characters = 0
        self._began: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether as much was printed as is taken in."""
        return self.heard_bytes >= self._max_bytes

    def hear(self, data: bytes, now: float) -> bytes:
        """Takes in ``data``, which came at ``now`` (seconds of a steady clock), and gives back what of it was taken."""
        taken = data[: self._max_bytes - self.heard_bytes]
        self.heard_bytes += len(taken)
        if taken:
            self._began = now if self._began is None else self._began
            self._add(self._decoder.decode(taken), now - self._began)
        return taken

    def end(self) -> None:
        """Nothing more will come: half of a character that was left is shown as one that is wrong."""
        if self._arrivals:
            self._add(self._decoder.decode(b"", final=True), self._arrivals[-1][1])

    def printed(self, now: float | None = None) -> Printed:
        """All of it; without ``now`` there is nothing more to come."""
        lasted_s = FOREVER_S if now is None else 0.0 if self._began is None else now - self._began
        self._pieces = ["".join(self._pieces)]
        return Printed(self._pieces[0], tuple(self._arrivals), lasted_s)

    def _add(self, text: str, at_s: float) -> None:
        if not text:
            return
        self._pieces.append(text)
        self._characters += len(text)
        if self._arrivals and self._arrivals[-1][1] // GRAIN_S == at_s // GRAIN_S:
            self._arrivals.pop()
        self._arrivals.append((self._characters, at_s))
