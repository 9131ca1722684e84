"""A flash job: where it stands, folded from its events."""

from datetime import datetime
from enum import StrEnum

import msgspec

from benchwire.events import flash
from benchwire.events.event import Event


class Status(StrEnum):
    """Where a job stands."""

    UNKNOWN = "unknown"  # nothing was asked for yet
    QUEUED = "queued"
    FLASHING = "flashing"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """``attempt`` counts how often the job got its device: more than once when an agent died with it."""

    status: Status = Status.UNKNOWN
    device: str = ""
    attempt: int = 0
    started_at: datetime | None = None
    cancel_asked: bool = False
    cancel_reason: str | None = None
    pause_asked: bool = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in OVER

    @property
    def flash_state_at_rest(self) -> str:
        """What the flash holds as long as no new attempt began: after an attempt of which nobody saw the end, the worst is assumed."""
        return "partial" if self.attempt else "untouched"


NEW = Job()


def evolve(job: Job, event: Event) -> Job:  # noqa: C901, PLR0911 - one branch per event
    """``job`` after ``event``. After its end nothing changes a job; a second request for it is not a second job."""
    if job.is_over:
        return job
    replace = msgspec.structs.replace
    match event:
        case flash.FlashRequested():
            return job if job.status is not Status.UNKNOWN else replace(job, status=Status.QUEUED, device=event.device)
        case flash.FlashStarted():
            return replace(job, status=Status.FLASHING, attempt=event.attempt, started_at=event.timestamp)
        case flash.FlashPauseRequested():
            return replace(job, pause_asked=True)
        case flash.FlashPaused():
            return replace(job, status=Status.PAUSED)
        case flash.FlashResumeRequested():
            return replace(job, pause_asked=False)
        case flash.FlashResumed():
            return replace(job, status=Status.FLASHING)
        case flash.FlashCompleted():
            return replace(job, status=Status.COMPLETED)
        case flash.FlashFailed():
            return replace(job, status=Status.FAILED)
        case flash.FlashCancelRequested():
            return replace(job, cancel_asked=True, cancel_reason=event.reason)
        case flash.FlashCancelled():
            return replace(job, status=Status.CANCELLED)
        case _:
            return job
