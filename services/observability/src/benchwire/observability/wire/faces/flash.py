"""Frames of flash jobs; times are milliseconds since the epoch."""

import msgspec


class OfJob(msgspec.Struct, kw_only=True, tag_field="type", rename="camel"):
    """A frame about a flash job."""

    job_id: str
    device_id: str
    host: str
    timestamp: int


class FlashQueuedFrame(OfJob, kw_only=True, tag="flash_queued"):
    """The job waits for its device."""

    stage: str
    total_bytes: int


class FlashStartedFrame(OfJob, kw_only=True, tag="flash_started"):
    """The tool works on the board, for the first time or again."""

    stage: str
    total_bytes: int
    attempt: int


class FlashProgressFrame(OfJob, kw_only=True, tag="flash_progress"):
    """How far the job is: ``progress`` in percent, ``transferSpeed`` in bytes a second, ``estimatedTimeRemaining`` in seconds.

    Within one ``attempt`` the percentage never goes back, and it is 100 only once what was written is verified.
    """

    progress: float
    stage: str
    bytes_transferred: int
    total_bytes: int
    transfer_speed: float | None
    estimated_time_remaining: float | None
    attempt: int


class FlashPauseDeferredFrame(OfJob, kw_only=True, tag="flash_pause_deferred"):
    """The job cannot hold in this ``stage``; it will when ``until``: "the first block is written"."""

    stage: str
    until: str


class FlashPausedFrame(OfJob, kw_only=True, tag="flash_paused"):
    """The job holds."""


class FlashResumedFrame(OfJob, kw_only=True, tag="flash_resumed"):
    """The job goes on."""


class FlashThrottledFrame(OfJob, kw_only=True, tag="flash_throttled"):
    """The job writes no faster than that from now on; null is no limit."""

    max_bytes_per_s: int | None


class FlashRetriedFrame(OfJob, kw_only=True, tag="flash_retried"):
    """This ``attempt`` broke, and after ``wait`` seconds another follows, which begins with its own ``flash_started``."""

    attempt: int
    error: str
    code: str
    flash_state: str
    wait: float


class FlashCompletedFrame(OfJob, kw_only=True, tag="flash_completed"):
    """The image is on the board and was verified; ``duration`` in seconds, null when an outside flasher reports it."""

    total_bytes: int
    duration: float | None


class FlashFailedFrame(OfJob, kw_only=True, tag="flash_failed"):
    """The job failed; ``flashState`` says what that left in the flash."""

    error: str
    code: str
    flash_state: str | None


class FlashCancelledFrame(OfJob, kw_only=True, tag="flash_cancelled"):
    """The job was ended on request; ``flashState`` says what that left in the flash."""

    flash_state: str | None
    reason: str | None


class FlashPongFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="pong"):
    """The answer to a ping."""

    timestamp: int


class FlashRefusedFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="error"):
    """What was sent is not taken."""

    error: str
    timestamp: int


OF_JOBS = (
    FlashQueuedFrame, FlashStartedFrame, FlashProgressFrame, FlashPauseDeferredFrame, FlashPausedFrame, FlashResumedFrame,
    FlashThrottledFrame, FlashRetriedFrame, FlashCompletedFrame, FlashFailedFrame, FlashCancelledFrame, FlashPongFrame, FlashRefusedFrame,
)  # fmt: skip
