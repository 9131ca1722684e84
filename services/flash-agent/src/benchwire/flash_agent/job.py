"""A flash job: where it stands, folded from its events."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from benchwire.events import flash
from benchwire.events.event import Event


class Status(StrEnum):
    """Where a job stands."""

    UNKNOWN = "unknown"  # nothing was asked for yet
    QUEUED = "queued"  # waits for its device, or for its next attempt
    FLASHING = "flashing"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OVER = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """``attempt`` counts how often the tool was started: more than once when an attempt broke, or an agent died with it.

    ``retried`` is how many of those were further attempts after one that broke. ``flash_state`` is what the job has left in the flash,
    as far as attempts have ended. ``paused`` is for how long it held, in all, up to ``paused_at``, since when it holds now.
    """

    status: Status = Status.UNKNOWN
    device: str = ""
    attempt: int = 0
    retried: int = 0
    flash_state: str = "untouched"
    started_at: datetime | None = None
    paused_at: datetime | None = None
    paused: timedelta = timedelta()
    cancel_asked: bool = False
    cancel_reason: str | None = None
    pause_asked: bool = False
    max_bytes_per_s: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in OVER

    @property
    def has_begun(self) -> bool:
        """Whether it had its device already: then no other job has it in between."""
        return self.attempt > 0

    @property
    def flash_state_at_rest(self) -> str:
        """What the flash holds as long as no new attempt began: after an attempt of which nobody saw the end, the worst is assumed."""
        return "partial" if self.status in (Status.FLASHING, Status.PAUSED) else self.flash_state

    def left(self, flash_state: str) -> str:
        """What the flash holds after an attempt that left it in ``flash_state``: what it did not touch is as attempts before left it."""
        return self.flash_state if flash_state == "untouched" else flash_state

    def spent(self, now: datetime) -> timedelta:
        """For how long the job has been under way since its first start, without the time that it held."""
        if self.started_at is None:
            return timedelta()
        holding = timedelta() if self.paused_at is None else now - self.paused_at
        return now - self.started_at - self.paused - holding


NEW = Job()


def bounded(asked: flash.FlashRequested) -> flash.FlashRequested:
    """``asked`` with what has bounds within them. The door sees to that; whoever writes to the log himself need not, and no number may
    stop the queue of a host.
    """
    return msgspec.structs.replace(
        asked,
        priority=min(max(asked.priority, -flash.HIGHEST_PRIORITY), flash.HIGHEST_PRIORITY),
        retries=min(max(asked.retries, 0), flash.MOST_RETRIES),
        timeout_s=None if asked.timeout_s is None else min(asked.timeout_s, flash.LONGEST_S),
        max_bytes_per_s=bounded_rate(asked.max_bytes_per_s),
    )


def bounded_rate(max_bytes_per_s: int | None) -> int | None:
    """A limit that a tool can keep; None is none."""
    if max_bytes_per_s is None:
        return None
    return min(max(max_bytes_per_s, flash.LEAST_BYTES_PER_S), flash.MOST_BYTES_PER_S)


def evolve(job: Job, event: Event) -> Job:  # noqa: C901, PLR0911, PLR0912 - one branch per event
    """``job`` after ``event``. After its end nothing changes a job; a second request for it is not a second job."""
    if job.is_over:
        return job
    replace = msgspec.structs.replace
    match event:
        case flash.FlashRequested():
            if job.status is not Status.UNKNOWN:
                return job
            rate = bounded_rate(event.max_bytes_per_s)
            return replace(job, status=Status.QUEUED, device=event.device, max_bytes_per_s=rate)
        case flash.FlashStarted():
            return replace(
                _going_on(job, event.timestamp), attempt=event.attempt, flash_state=job.flash_state_at_rest,
                started_at=job.started_at or event.timestamp,
            )  # fmt: skip
        case flash.FlashRetried():
            return replace(
                _going_on(job, event.timestamp), status=Status.QUEUED, retried=job.retried + 1,
                flash_state=event.flash_state,
            )  # fmt: skip
        case flash.FlashPauseRequested():
            return replace(job, pause_asked=True)
        case flash.FlashPaused():
            return replace(job, status=Status.PAUSED, paused_at=event.timestamp)
        case flash.FlashResumeRequested():
            return replace(job, pause_asked=False)
        case flash.FlashResumed():
            return _going_on(job, event.timestamp)
        case flash.FlashThrottleRequested():
            return replace(job, max_bytes_per_s=bounded_rate(event.max_bytes_per_s))
        case flash.FlashCompleted():
            return replace(job, status=Status.COMPLETED, flash_state="complete")
        case flash.FlashFailed():
            return replace(job, status=Status.FAILED, flash_state=event.flash_state)
        case flash.FlashCancelRequested():
            return replace(job, cancel_asked=True, cancel_reason=event.reason)
        case flash.FlashCancelled():
            return replace(job, status=Status.CANCELLED, flash_state=event.flash_state)
        case _:
            return job


def _going_on(job: Job, now: datetime) -> Job:
    """``job`` flashing; if it held, that is over."""
    held = timedelta() if job.paused_at is None else max(now - job.paused_at, timedelta())
    return msgspec.structs.replace(job, status=Status.FLASHING, paused_at=None, paused=job.paused + held)
