"""What a board prints, collected while something else happens."""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from benchwire.client.errors import NoLab, NotHeard
from benchwire.client.patience import AGAIN_S
from benchwire.client.records import Line

OPEN_S = 10.0
SHOWN_LINES = 20
KEPT_LINES = 100_000


class Listener:
    """Listens in a thread of its own for the time of the context. A connection that breaks is made again; what came meanwhile is missing."""

    def __init__(self, address: str, headers: Mapping[str, str]) -> None:
        self._address = address
        self._headers = headers
        self._lines: deque[Line] = deque(maxlen=KEPT_LINES)
        self._count = 0  # of all lines, also of those that are not kept any more
        self._seen = 0  # how many of them expect() has passed over
        self._news = threading.Condition()
        self._closing = threading.Event()
        self._begun = threading.Event()
        self._problem: Exception | None = None  # why it could not begin
        self._socket: ClientConnection | None = None
        self._thread = threading.Thread(target=self._listen, name="serial", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait()
        if self._problem is not None:
            self._thread.join()
            raise NoLab(f"{self._address} cannot be listened to: {self._problem}") from self._problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        if self._socket is not None:
            self._socket.close()
        self._thread.join()

    @property
    def lines(self) -> list[str]:
        """Everything heard so far, or the newest of it when that is very much."""
        with self._news:
            return [one.line for one in self._lines]

    def heard(self, *, timeout_s: float | None = None) -> Iterator[Line]:
        """Each line as it comes, from the first one on; for ever, or until ``timeout_s`` from now."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        at = 0
        while True:
            with self._news:
                while self._count <= at:
                    if end is not None and time.monotonic() >= end:
                        return
                    self._news.wait(AGAIN_S if end is None else min(AGAIN_S, max(0.0, end - time.monotonic())))
                at, line = self._line(at)
            yield line

    def _line(self, at: int) -> tuple[int, Line]:
        """The line number ``at``, or the oldest that is kept; and the number of the one after it."""
        first = self._count - len(self._lines)
        return max(at, first) + 1, self._lines[max(0, at - first)]

    def expect(self, pattern: str | re.Pattern[str], *, timeout_s: float = 10.0) -> re.Match[str]:
        """The first line after the last one that was expected in which ``pattern`` is found. Raises ``NotHeard`` with what was heard."""
        found = self._until(re.compile(pattern).search, timeout_s)
        if found is None:
            text = pattern if isinstance(pattern, str) else pattern.pattern
            raise NotHeard(f"no line with {text!r} came within {timeout_s:g} s; {self._last_words()}")
        return found

    def _until(self, search: Callable[[str], re.Match[str] | None], timeout_s: float) -> re.Match[str] | None:
        end = time.monotonic() + timeout_s
        with self._news:
            while True:
                while self._seen < self._count:
                    self._seen, line = self._line(self._seen)
                    if (found := search(line.line)) is not None:
                        return found
                if (left := end - time.monotonic()) <= 0:
                    return None
                self._news.wait(left)

    def forget(self) -> None:
        """What was heard up to now is not expected any more."""
        with self._news:
            self._seen = self._count

    def _last_words(self) -> str:
        lines = self.lines[-SHOWN_LINES:]
        return "the board printed nothing" if not lines else "the board printed:\n  " + "\n  ".join(lines)

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                self._hear()
            except (WebSocketException, OSError) as error:
                if not self._begun.is_set():
                    self._problem = error
                    self._begun.set()
                    return
            self._closing.wait(AGAIN_S)

    def _hear(self) -> None:
        with connect(self._address, additional_headers=self._headers, proxy=None, open_timeout=OPEN_S) as self._socket:
            self._begun.set()
            if self._closing.is_set():  # nobody would close this one
                return
            for text in self._socket:
                self._told(msgspec.json.decode(text, type=dict[str, Any]))

    def _told(self, frame: dict[str, Any]) -> None:
        if frame.get("type") == "serial_line":
            with self._news:
                self._lines.append(msgspec.convert(frame, Line))
                self._count += 1
                self._news.notify_all()
