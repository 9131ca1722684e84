"""Decisions about one job: what it is, what happened, what time it is → the fact, or None when there is nothing to say."""

from datetime import datetime

import msgspec

from benchwire.events import flash
from benchwire.flash_agent.errors import TRANSIENT, DeviceGone, DeviceNotAttached, FlashError, LeasedToAnother, TimedOut
from benchwire.flash_agent.job import Job, Status
from benchwire.flash_agent.lease import Held
from benchwire.flash_agent.tools.worker_protocol import FlashState

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What every fact of a job carries."""

    host: str
    job_id: str
    device: str


def refusal(
    held: Held | None, device: str, now: datetime, *, lease_id: str | None, holder: str | None
) -> LeasedToAnother | None:
    """Why somebody with ``lease_id`` may not touch the device; None when they may. Before leases had to be named, a ``holder`` was enough."""
    if held is None or held.expires_at <= now:
        return None
    if held.lease_id == lease_id or (lease_id is None and held.holder == holder):
        return None
    return LeasedToAnother(device, held.holder, held.expires_at)


def start(
    job: Job, of: Names, *, driver: str, total_bytes: int, timeout_s: float | None, now: datetime
) -> flash.FlashStarted | flash.FlashCancelled | flash.FlashFailed | None:
    """The job has its device. One that was cancelled while it waited ends instead, and so does one that has no time left."""
    if job.is_over:
        return None
    if job.cancel_asked:
        return cancel(job, of, flash_state=None, now=now)
    if timeout_s is not None and job.spent(now).total_seconds() >= timeout_s:
        return fail(job, of, TimedOut(timeout_s), flash_state=None, now=now)
    return flash.FlashStarted(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        total_bytes=total_bytes,
        driver=driver,
        attempt=job.attempt + 1,
    )


def time_left_s(job: Job, *, timeout_s: float | None, pause_limit_s: float, now: datetime) -> float | None:
    """For how many seconds the job may go on as it is, holding or at work; None when nobody limits that."""
    if job.paused_at is not None:
        return pause_limit_s - (now - job.paused_at).total_seconds()
    if timeout_s is None or job.started_at is None:
        return None
    return timeout_s - job.spent(now).total_seconds()


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
    job: Job, of: Names, error: FlashError, *, flash_state: FlashState | None, now: datetime
) -> flash.FlashFailed | None:
    """The job ends without what it was for. ``flash_state`` is how the last attempt left the flash; None when there was none."""
    if job.is_over:
        return None
    return flash.FlashFailed(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        code=error.code,
        error=str(error),
        flash_state=_left(job, flash_state),
    )


def retry(
    job: Job, of: Names, error: FlashError, *, flash_state: FlashState | None, retries: int, timeout_s: float | None,
    now: datetime,
) -> flash.FlashRetried | None:  # fmt: skip
    """Another attempt follows the one that broke; None when there is none left, or no time for it, or no sense in it.

    The first waits ``FIRST_RETRY_S``, each one after that twice as long as the one before, up to ``LONGEST_RETRY_S``.
    """
    wait_s = min(FIRST_RETRY_S * 2**job.retried, LONGEST_RETRY_S)
    out_of_time = timeout_s is not None and job.spent(now).total_seconds() + wait_s >= timeout_s
    # A board that is pulled may be plugged in again; one that was not there to begin with is a mistake of whoever asked.
    may_pass = error.code in TRANSIENT | {DeviceGone.code} or (job.attempt > 0 and error.code == DeviceNotAttached.code)
    if job.is_over or job.cancel_asked or job.retried >= retries or out_of_time or not may_pass:
        return None
    return flash.FlashRetried(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        attempt=job.attempt,
        code=error.code,
        error=str(error),
        flash_state=_left(job, flash_state),
        wait_s=wait_s,
    )


def cancel(
    job: Job, of: Names, *, flash_state: FlashState | None, now: datetime, reason: str | None = None
) -> flash.FlashCancelled | None:
    """The job was stopped: on request, or for another ``reason``. ``flash_state`` as for ``fail``."""
    if job.is_over:
        return None
    return flash.FlashCancelled(
        timestamp=now,
        host=of.host,
        job_id=of.job_id,
        device=of.device,
        flash_state=_left(job, flash_state),
        reason=job.cancel_reason if job.cancel_asked else reason,
    )


def cancel_waiting(job: Job, of: Names, *, now: datetime) -> flash.FlashCancelled | None:
    """A job that waits, for its device or its next attempt, ends at once when somebody asked for that; one that is under way is ended by
    whoever runs it.
    """
    if job.status is not Status.QUEUED or not job.cancel_asked:
        return None
    return cancel(job, of, flash_state=None, now=now)


def _left(job: Job, flash_state: FlashState | None) -> str:
    return job.flash_state_at_rest if flash_state is None else job.left(flash_state)


def pause(job: Job, of: Names, *, now: datetime) -> flash.FlashPaused | None:
    """The tool holds."""
    if job.status is not Status.FLASHING:
        return None
    return flash.FlashPaused(timestamp=now, host=of.host, job_id=of.job_id, device=of.device)


def defer_pause(job: Job, of: Names, *, stage: str, until: str, now: datetime) -> flash.FlashPauseDeferred | None:
    """The tool cannot hold yet."""
    if job.status is not Status.FLASHING:
        return None
    return flash.FlashPauseDeferred(
        timestamp=now, host=of.host, job_id=of.job_id, device=of.device, stage=stage, until=until
    )


def resume(job: Job, of: Names, *, now: datetime) -> flash.FlashResumed | None:
    """The tool goes on."""
    if job.status is not Status.PAUSED:
        return None
    return flash.FlashResumed(timestamp=now, host=of.host, job_id=of.job_id, device=of.device)


def throttle(job: Job, of: Names, *, max_bytes_per_s: int | None, now: datetime) -> flash.FlashThrottled | None:
    """The tool keeps to another limit."""
    if job.status not in (Status.FLASHING, Status.PAUSED):
        return None
    return flash.FlashThrottled(
        timestamp=now, host=of.host, job_id=of.job_id, device=of.device, max_bytes_per_s=max_bytes_per_s
    )
