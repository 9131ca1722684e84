"""Serial ports: what was sent to a board, and what it printed kept whole."""

from benchwire.events.event import Artifact, Event

# As with flash jobs: the door refuses more, and a flash agent that finds more in the log takes the bound for it.
LONGEST_CAPTURE_S = 86_400
LARGEST_CAPTURE_BYTES = 1 << 30


class SerialWritten(Event, frozen=True, kw_only=True, tag="serial_written"):
    """``data`` was sent to the board. ``by`` is the holder of the lease under which that was done, or who asked."""

    host: str
    device: str
    data: bytes
    by: str | None = None


class CaptureRequested(Event, frozen=True, kw_only=True, tag="capture_requested"):
    """Somebody wants everything that the board prints, byte for byte, for ``for_s`` seconds, up to ``max_bytes``, or until a line matches
    the regular expression ``until``. The document that it becomes gets the ``tags``.
    """

    host: str
    capture_id: str
    device: str
    for_s: float
    max_bytes: int
    until: str | None = None
    tags: list[str] = []


class CaptureStopRequested(Event, frozen=True, kw_only=True, tag="capture_stop_requested"):
    """Somebody wants the capture to end now, with what it has."""

    host: str
    capture_id: str


class CaptureFinished(Event, frozen=True, kw_only=True, tag="capture_finished"):
    """The bytes are in the artifact store. ``lost_bytes`` were printed and could not be kept; ``reason`` says why it ended."""

    host: str
    capture_id: str
    device: str
    artifact: Artifact
    lost_bytes: int
    reason: str
    tags: list[str] = []


class CaptureFailed(Event, frozen=True, kw_only=True, tag="capture_failed"):
    """There is nothing to keep, and why."""

    host: str
    capture_id: str
    device: str
    reason: str


SerialEvent = SerialWritten | CaptureRequested | CaptureStopRequested | CaptureFinished | CaptureFailed
