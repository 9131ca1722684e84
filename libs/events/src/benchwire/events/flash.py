"""Flash jobs: putting an image on a board, and knowing what the board holds afterwards.

``flash_state`` says what the flash holds when a job did not complete: ``untouched``, ``partial``, ``complete_unverified``, or
``complete`` (verified, but the board could not be started, or the job was cancelled at that moment).
"""

from benchwire.events.event import Artifact, Event


class FlashRequested(Event, frozen=True, kw_only=True, tag="flash_requested"):
    """Somebody wants ``image`` on a device. The queue of that host's flash agent. ``address`` is where the first byte goes."""

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


FlashEvent = (
    FlashRequested
    | FlashStarted
    | FlashPauseRequested
    | FlashPaused
    | FlashResumeRequested
    | FlashResumed
    | FlashCompleted
    | FlashFailed
    | FlashCancelRequested
    | FlashCancelled
)
