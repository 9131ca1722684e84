"""Flash jobs: putting an image on a board, and knowing what the board holds afterwards.

``flash_state`` says what the flash holds when a job did not complete: ``untouched``, ``partial``, ``complete_unverified``, or
``complete`` (verified, but the board could not be started, or the job was cancelled at that moment).
"""

from typing import Literal

import msgspec

from benchwire.events.event import Artifact, Event

ImageFormat = Literal["bin", "hex", "elf", "uf2"]

# The door refuses what is beyond these; a flash agent that finds it in the log all the same takes the bound for it.
HIGHEST_PRIORITY = 10
MOST_RETRIES = 5
LONGEST_S = 86_400.0
LEAST_BYTES_PER_S = 64
MOST_BYTES_PER_S = 1 << 40


class FlashPart(msgspec.Struct, frozen=True, kw_only=True):
    """One of several files of a job, and where its first byte goes."""

    image: Artifact
    address: int


class FlashOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a tool goes about it. ``erase`` is ``needed`` (what the image covers) or ``chip``; the ``flash_`` words are esptool's, ``keep``
    leaves what the image says. Without ``stub``, esptool speaks to the chip's own loader.
    """

    erase: Literal["needed", "chip"] = "needed"
    flash_size: str = "keep"
    flash_mode: str = "keep"
    flash_freq: str = "keep"
    compress: bool = True
    stub: bool = True


class FlashRequested(Event, frozen=True, kw_only=True, tag="flash_requested"):
    """Somebody wants ``image`` on a device. The queue of that host's flash agent. ``address`` is where the first byte goes.

    With ``parts`` those are written, and ``image`` is the first of them. A ``format`` other than ``bin`` says itself where bytes go; without
    one, the content tells. ``partition`` names a place in the board's partition table instead of ``address``. Jobs of a higher ``priority``
    (-10 to 10) go first; ``retries`` is how many further attempts may follow one that broke. ``lease_id`` is the lease under which it is asked.
    """

    host: str
    job_id: str
    device: str
    image: Artifact
    address: int
    profile: str | None = None
    task_id: str | None = None
    node_id: str | None = None
    session_id: str | None = None
    document_id: str | None = None
    parts: list[FlashPart] = []
    format: ImageFormat | None = None
    partition: str | None = None
    options: FlashOptions = FlashOptions()
    priority: int = 0
    retries: int = 0
    timeout_s: float | None = None
    max_bytes_per_s: int | None = None
    lease_id: str | None = None


class FlashStarted(Event, frozen=True, kw_only=True, tag="flash_started"):
    """The job has its device; the tool is started. ``attempt`` counts, because an agent that died may be followed by another try."""

    host: str
    job_id: str
    device: str
    total_bytes: int
    driver: str
    attempt: int = 1


class FlashPauseRequested(Event, frozen=True, kw_only=True, tag="flash_pause_requested"):
    """Somebody wants the job to hold at the next safe place."""

    host: str
    job_id: str


class FlashPauseDeferred(Event, frozen=True, kw_only=True, tag="flash_pause_deferred"):
    """The job cannot hold in this ``stage``; it will when ``until``: "the first block is written"."""

    host: str
    job_id: str
    device: str
    stage: str
    until: str


class FlashPaused(Event, frozen=True, kw_only=True, tag="flash_paused"):
    """The job holds between two blocks; the device stays taken."""

    host: str
    job_id: str
    device: str


class FlashResumeRequested(Event, frozen=True, kw_only=True, tag="flash_resume_requested"):
    """Somebody wants the job to go on."""

    host: str
    job_id: str


class FlashResumed(Event, frozen=True, kw_only=True, tag="flash_resumed"):
    """The job goes on."""

    host: str
    job_id: str
    device: str


class FlashThrottleRequested(Event, frozen=True, kw_only=True, tag="flash_throttle_requested"):
    """Somebody wants the job to write no more than ``max_bytes_per_s``; null lifts the limit."""

    host: str
    job_id: str
    max_bytes_per_s: int | None


class FlashThrottled(Event, frozen=True, kw_only=True, tag="flash_throttled"):
    """The job keeps to ``max_bytes_per_s`` from now on; null is no limit."""

    host: str
    job_id: str
    device: str
    max_bytes_per_s: int | None


class FlashRetried(Event, frozen=True, kw_only=True, tag="flash_retried"):
    """Attempt number ``attempt`` broke, and another follows in ``wait_s`` seconds."""

    host: str
    job_id: str
    device: str
    attempt: int
    code: str
    error: str
    flash_state: str
    wait_s: float


class FlashCompleted(Event, frozen=True, kw_only=True, tag="flash_completed"):
    """The image is on the board, was verified in the way ``verified_by`` says, and the board was reset."""

    host: str
    job_id: str
    device: str
    total_bytes: int
    duration_s: float
    verified_by: str


class FlashFailed(Event, frozen=True, kw_only=True, tag="flash_failed"):
    """The job ended without a verified image: ``code`` for programs, ``error`` for people."""

    host: str
    job_id: str
    device: str
    code: str
    error: str
    flash_state: str


class FlashCancelRequested(Event, frozen=True, kw_only=True, tag="flash_cancel_requested"):
    """Somebody wants the job to end now."""

    host: str
    job_id: str
    reason: str | None = None


class FlashCancelled(Event, frozen=True, kw_only=True, tag="flash_cancelled"):
    """The job was ended on request."""

    host: str
    job_id: str
    device: str
    flash_state: str
    reason: str | None = None


class FlashReported(Event, frozen=True, kw_only=True, tag="flash_reported"):
    """What a flasher outside of the lab says of a job of its own; ``host`` is that flasher's name.

    ``status`` is ``queued``, ``started``, ``paused``, ``resumed``, ``completed``, ``failed`` or ``cancelled``.
    """

    host: str
    job_id: str
    device: str
    status: str
    stage: str | None = None
    total_bytes: int | None = None
    error: str | None = None


FlashEvent = (
    FlashRequested
    | FlashStarted
    | FlashPauseRequested
    | FlashPauseDeferred
    | FlashPaused
    | FlashResumeRequested
    | FlashResumed
    | FlashThrottleRequested
    | FlashThrottled
    | FlashRetried
    | FlashCompleted
    | FlashFailed
    | FlashCancelRequested
    | FlashCancelled
    | FlashReported
)
