"""Samples: what is worth seeing while it happens, and nobody needs tomorrow. Not facts."""

from benchwire.events.event import Event


class FlashProgress(Event, frozen=True, kw_only=True, tag="flash_progress"):
    """How far a job is in its ``stage``: ``connecting``, ``erasing``, ``writing``, ``verifying`` or ``resetting``.

    ``done_bytes`` of ``total_bytes`` belong to that stage; ``total_bytes`` is 0 for a stage that cannot be measured. ``attempt`` is that of
    ``flash_started``.
    """

    host: str
    job_id: str
    device: str
    stage: str
    done_bytes: int = 0
    total_bytes: int = 0
    speed_bytes_per_s: float = 0.0
    remaining_s: float | None = None
    attempt: int = 1


class SerialLine(Event, frozen=True, kw_only=True, tag="serial_line"):
    """A line that a board printed, without its line end; bytes that are not UTF-8 are escaped as ``\\xNN``.

    ``number`` counts the lines of this device since its monitor started, also those that were dropped because nobody could take them so
    fast: ``lost_bytes`` of them came right before this line. ``data`` holds the exact bytes when they are not UTF-8. ``job_id`` is the flash job
    after which the board booted what now speaks, when the monitor saw that boot.
    """

    host: str
    device: str
    line: str
    number: int
    job_id: str | None = None
    data: bytes | None = None
    lost_bytes: int = 0


class SessionDelta(Event, frozen=True, kw_only=True, tag="session_delta"):
    """A piece of text as the model speaks it."""

    session_id: str
    text: str


class TaskLog(Event, frozen=True, kw_only=True, tag="task_log"):
    """A line for whoever watches a task; ``level`` is ``INFO``, ``WARNING`` or ``ERROR``."""

    task_id: str
    line: str
    level: str = "INFO"
    node_id: str | None = None


LiveEvent = FlashProgress | SerialLine | SessionDelta | TaskLog
