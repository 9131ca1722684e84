"""From the bytes of a serial port to lines, and what becomes of lines that come faster than they can be sent. Pure; the time is passed in."""

from collections import deque
from datetime import datetime
from typing import NamedTuple

from benchwire.events.live import SerialLine

MAX_LINE_BYTES = 4096
BACKLOG_BYTES = 4 << 20
BACKLOG_LINES = 20_000
_CONTINUES = range(0x80, 0xC0)  # the second to fourth byte of a UTF-8 character
_LONGEST_CHARACTER = 4


class Printed(NamedTuple):
    """The bytes of a line without its end, and when the first of them was read."""

    data: bytes
    at: datetime


class LineSplitter:
    """Collects bytes until a line is whole. A line ends with LF; CRs before it belong to the line end."""

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._partial = b""
        self._began: datetime | None = None

    @property
    def partial(self) -> bytes:
        """What waits for its line end."""
        return self._partial

    def feed(self, data: bytes, at: datetime) -> list[Printed]:
        """The lines that ``data``, which was read ``at`` that time, completes. A line that is too long comes in pieces."""
        began = at if self._began is None else self._began
        *whole, rest = (self._partial + data).split(b"\n")
        lines: list[Printed] = []
        for line in whole:
            ended = line.rstrip(b"\r")
            if len(ended) <= self._max_line_bytes:
                lines.append(Printed(ended, began))
            else:
                lines += [Printed(piece, began) for piece in self._pieces(ended)]
            began = at
        # A CR at the end may belong to a line end that is under way.
        while len(rest) > self._max_line_bytes + rest.endswith(b"\r"):
            piece = self._piece(rest)
            lines.append(Printed(piece, began))
            rest, began = rest[len(piece) :], at
        self._partial, self._began = rest, began if rest else None
        return lines

    def _pieces(self, line: bytes) -> list[bytes]:
        pieces = []
        while line:
            pieces.append(self._piece(line))
            line = line[len(pieces[-1]) :]
        return pieces

    def _piece(self, data: bytes) -> bytes:
        """The first piece of ``data``, cut between two characters where that can be told."""
        if len(data) <= self._max_line_bytes:
            return data
        end = self._max_line_bytes
        for back in range(min(_LONGEST_CHARACTER, end)):
            if data[end - back] not in _CONTINUES:
                return data[: end - back]
        return data[:end]

    def flush(self) -> Printed | None:
        """What waits, as a line of its own; None when nothing does."""
        line, began = self._partial.rstrip(b"\r"), self._began
        self._partial, self._began = b"", None
        return Printed(line, began) if line and began is not None else None


class Waiting(NamedTuple):
    """A line with its place: its number, the job after which the board booted, and how much was lost right before it."""

    printed: Printed
    number: int
    job_id: str | None
    lost_bytes: int

    @property
    def lost_with_it(self) -> int:
        """How many bytes are lost when this line is, too."""
        return self.lost_bytes + len(self.printed.data)


class Backlog:
    """Lines that wait to be sent, at most ``limit_bytes`` of them and ``limit_lines``.

    When there are more, a quarter of them goes, the oldest first: what a board says last, before it falls silent, is worth most. The
    line after the gap tells how many bytes it was, and its number tells how many lines.
    """

    def __init__(self, *, limit_bytes: int = BACKLOG_BYTES, limit_lines: int = BACKLOG_LINES) -> None:
        self._limit_bytes = limit_bytes
        self._limit_lines = limit_lines
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._number = 0
        self._lost_bytes = 0  # right before the next line that comes

    def __len__(self) -> int:
        return len(self._waiting)

    def lose(self, lost_bytes: int) -> None:
        """So many bytes were lost before anybody could read them."""
        self._lost_bytes += lost_bytes

    def put(self, lines: list[Printed], job_id: str | None) -> None:
        """Takes ``lines``, which follow those that were put before."""
        for printed in lines:
            self._number += 1
            self._waiting.append(Waiting(printed, self._number, job_id, self._lost_bytes))
            self._lost_bytes = 0
            self._bytes += len(printed.data)
        if self._bytes > self._limit_bytes or len(self._waiting) > self._limit_lines:
            self._drop()

    def _drop(self) -> None:
        lost_bytes = 0
        while self._bytes > self._limit_bytes * 3 // 4 or len(self._waiting) > self._limit_lines * 3 // 4:
            one = self._waiting.popleft()
            self._bytes -= len(one.printed.data)
            lost_bytes += one.lost_with_it
        if self._waiting:
            first = self._waiting.popleft()
            self._waiting.appendleft(first._replace(lost_bytes=first.lost_bytes + lost_bytes))
        else:
            self._lost_bytes += lost_bytes

    def take(self, most: int) -> list[Waiting]:
        """The oldest lines, to be sent now."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._bytes -= sum(len(one.printed.data) for one in taken)
        return taken

    def put_back(self, lines: list[Waiting]) -> None:
        """These were taken, and could not be sent."""
        self._waiting.extendleft(reversed(lines))
        self._bytes += sum(len(one.printed.data) for one in lines)


def sample_of(one: Waiting, *, host: str, device: str) -> SerialLine:
    """The line as everybody gets it."""
    data = one.printed.data
    try:
        text, exact = data.decode(), None
    except UnicodeDecodeError:
        text, exact = text_of(data), data
    return SerialLine(
        timestamp=one.printed.at, host=host, device=device, line=text, number=one.number, job_id=one.job_id, data=exact,
        lost_bytes=one.lost_bytes,
    )  # fmt: skip


def text_of(line: bytes) -> str:
    """``line`` as text; bytes that are not UTF-8 become ``\\xNN``."""
    return line.decode("utf-8", errors="backslashreplace")
