"""A capture: everything that a board prints for a while, kept byte for byte. Where it stands, folded from its events; and what may happen."""

from datetime import datetime, timedelta

import msgspec

from benchwire.events.event import Artifact, Event
from benchwire.events.patterns import Pattern
from benchwire.events.serial import (
    LARGEST_CAPTURE_BYTES,
    LONGEST_CAPTURE_S,
    CaptureFailed,
    CaptureFinished,
    CaptureRequested,
    CaptureStopRequested,
)
from benchwire.flash_agent.lines import LineSplitter, text_of

TYPES: tuple[type[Event], ...] = (CaptureRequested, CaptureStopRequested, CaptureFinished, CaptureFailed)
STOPPED = "it was stopped on request"
CUT_OFF = "the flash agent ended in the middle of it"
MAX_BUFFER_BYTES = 4 << 20
_LATE_S = 60.0


class Capture(msgspec.Struct, frozen=True):
    """Whether it has ended, and whether somebody wants it to."""

    is_over: bool = False
    stop_asked: bool = False


NEW = Capture()


def bounded(asked: CaptureRequested) -> CaptureRequested:
    """``asked`` with its limits within their bounds, whoever wrote it."""
    return msgspec.structs.replace(
        asked,
        for_s=min(max(asked.for_s, 0.0), LONGEST_CAPTURE_S),
        max_bytes=min(max(asked.max_bytes, 1), LARGEST_CAPTURE_BYTES),
    )


def evolve(state: Capture, event: Event) -> Capture:
    """``state`` after ``event``."""
    match event:
        case CaptureStopRequested():
            return msgspec.structs.replace(state, stop_asked=True)
        case CaptureFinished() | CaptureFailed():
            return msgspec.structs.replace(state, is_over=True)
        case _:
            return state


def finish(
    state: Capture, asked: CaptureRequested, artifact: Artifact, *, lost_bytes: int, reason: str, now: datetime
) -> CaptureFinished | None:
    """The bytes are kept; once."""
    if state.is_over:
        return None
    return CaptureFinished(
        timestamp=now, host=asked.host, capture_id=asked.capture_id, device=asked.device, artifact=artifact,
        lost_bytes=lost_bytes, reason=reason, tags=asked.tags,
    )  # fmt: skip


def fail(state: Capture, asked: CaptureRequested, *, reason: str, now: datetime) -> CaptureFailed | None:
    """There is nothing to keep; once."""
    if state.is_over:
        return None
    return CaptureFailed(
        timestamp=now, host=asked.host, capture_id=asked.capture_id, device=asked.device, reason=reason
    )


def is_too_late(asked: CaptureRequested, received_at: datetime, now: datetime) -> bool:
    """Whether what was to be captured is surely past: nobody was here to take the request."""
    return now - received_at > timedelta(seconds=asked.for_s + _LATE_S)


def name_of(asked: CaptureRequested) -> str:
    """What the file is called."""
    return f"{asked.device}-{asked.timestamp:%Y%m%dT%H%M%SZ}.log"


class Collector:
    """Takes what a board prints until a capture has what it wants; ``reason`` says why it wants no more. Raises ``BadPattern``.

    Bytes wait here to be written, at most ``MAX_BUFFER_BYTES``; what comes when the disk does not keep up is lost, and counted.
    """

    def __init__(self, asked: CaptureRequested) -> None:
        self._until = None if asked.until is None else Pattern(asked.until)
        self._splitter = LineSplitter()
        self._room = asked.max_bytes
        self._max_bytes = asked.max_bytes
        self._buffer = bytearray()
        self.lost_bytes = 0
        self.reason: str | None = None

    def hear(self, data: bytes, lost_bytes: int, at: datetime) -> None:
        """The board printed ``data``, and ``lost_bytes`` right before that nobody could read."""
        if self.reason is not None:
            return
        self.lost_bytes += lost_bytes
        if len(self._buffer) + len(data) > MAX_BUFFER_BYTES:
            self.lost_bytes += len(data)
            return
        self._buffer += data[: self._room]
        self._room -= min(len(data), self._room)
        if self._is_found(data, at):
            self.reason = "a line matched"
        elif not self._room:
            self.reason = f"the limit of {self._max_bytes} bytes was reached"

    def _is_found(self, data: bytes, at: datetime) -> bool:
        """Whether a line matches; one that has no end yet may."""
        if self._until is None:
            return False
        lines = [line.data for line in self._splitter.feed(data, at)]
        return any(self._until.search(text_of(line)) is not None for line in (*lines, self._splitter.partial) if line)

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be written."""
        return len(self._buffer)

    def take(self) -> bytes:
        """What waits to be written."""
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken
