"""Decisions about one job: what it is, what happened, what time it is → the fact, or None when the job is over already."""

from datetime import datetime

import msgspec

from benchwire.events import flash
from benchwire.flash_agent.job import Job, Status


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What every fact of a job carries."""

    host: str
    job_id: str
    device: str


def start(
    job: Job, of: Names, *, driver: str, total_bytes: int, now: datetime
) -> flash.FlashStarted | flash.FlashCancelled | None:
    """The job has its device. One that was cancelled while it waited ends instead."""
    if job.is_over:
        return None
    if job.cancel_asked:
        return cancel(job, of, flash_state=job.flash_state_at_rest, now=now)
    return flash.FlashStarted(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        total_bytes=total_bytes,
        driver=driver,
        attempt=job.attempt + 1,
    )


def complete(
    job: Job, of: Names, *, total_bytes: int, duration_s: float, verified_by: str, now: datetime
) -> flash.FlashCompleted | None:
    """The image is on the board, verified, and the board runs it."""
    if job.is_over:
        return None
    return flash.FlashCompleted(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        total_bytes=total_bytes,
        duration_s=round(duration_s, 3),
        verified_by=verified_by,
    )


def fail(
    job: Job, of: Names, *, code: str, error: str, flash_state: str | None, now: datetime
) -> flash.FlashFailed | None:
    """The job ends without what it was for. Without ``flash_state`` the flash is as earlier attempts left it."""
    if job.is_over:
        return None
    return flash.FlashFailed(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        code=code,
        error=error,
        flash_state=flash_state or job.flash_state_at_rest,
    )


def cancel(job: Job, of: Names, *, flash_state: str, now: datetime) -> flash.FlashCancelled | None:
    """The tool was stopped on request."""
    if job.is_over:
        return None
    return flash.FlashCancelled(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        flash_state=flash_state,
        reason=job.cancel_reason,
    )


def cancel_waiting(job: Job, of: Names, *, now: datetime) -> flash.FlashCancelled | None:
    """A job that waits for its device ends at once when somebody asked for that; one that has it is ended by whoever runs it."""
    if job.status is not Status.QUEUED or not job.cancel_asked:
        return None
    return cancel(job, of, flash_state=job.flash_state_at_rest, now=now)


def pause(job: Job, of: Names, *, now: datetime) -> flash.FlashPaused | None:
    """The tool holds."""
    if job.status is not Status.FLASHING:
        return None
    return flash.FlashPaused(timestamp=now, host=of.host, job_id=of.job_id, device=of.device)


def resume(job: Job, of: Names, *, now: datetime) -> flash.FlashResumed | None:
    """The tool goes on."""
    if job.status is not Status.PAUSED:
        return None
    return flash.FlashResumed(timestamp=now, host=of.host, job_id=of.job_id, device=of.device)
