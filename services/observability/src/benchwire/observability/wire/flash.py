"""Flash jobs as clients know them: camelCase, milliseconds since the epoch."""

from datetime import UTC, datetime
from typing import Any

from benchwire.events.flash import (
    FlashCancelled,
    FlashCompleted,
    FlashEvent,
    FlashFailed,
    FlashPaused,
    FlashPauseDeferred,
    FlashReported,
    FlashRequested,
    FlashResumed,
    FlashRetried,
    FlashStarted,
    FlashThrottled,
)
from benchwire.events.live import FlashProgress
from benchwire.observability.queries import Learned, Row
from benchwire.observability.wire.frames import encoded, milliseconds

# Nothing is on the board before writing. All is there when it is verified, and that counts only once the tool has said so.
_BEFORE = ("connecting", "erasing", "queued")
_VERIFYING = "verifying"
_VERIFIED = "resetting"
_NEARLY = 99.9


def fact_frame(event: FlashEvent) -> str | None:
    """What clients are told of a fact; a wish that somebody has yet to grant is none."""
    told = _told(event)
    if told is None:
        return None
    kind, more = told
    return _frame(kind, event, **more)


def _told(event: FlashEvent) -> tuple[str, dict[str, Any]] | None:  # noqa: C901, PLR0911 - one line per event
    match event:
        case FlashRequested():
            total_bytes = sum(part.image.size_bytes for part in event.parts) or event.image.size_bytes
            return "flash_queued", {"stage": "queued", "totalBytes": total_bytes}
        case FlashStarted():
            return "flash_started", {"stage": "Initializing", "totalBytes": event.total_bytes, "attempt": event.attempt}
        case FlashPauseDeferred():
            return "flash_pause_deferred", {"stage": event.stage, "until": event.until}
        case FlashPaused():
            return "flash_paused", {}
        case FlashResumed():
            return "flash_resumed", {}
        case FlashThrottled():
            return "flash_throttled", {"maxBytesPerS": event.max_bytes_per_s}
        case FlashRetried():
            broke = {
                "attempt": event.attempt,
                "error": event.error,
                "code": event.code,
                "flashState": event.flash_state,
            }
            return "flash_retried", {**broke, "wait": event.wait_s}
        case FlashCompleted():
            return "flash_completed", {"totalBytes": event.total_bytes, "duration": event.duration_s}
        case FlashFailed():
            return "flash_failed", {"error": event.error, "code": event.code, "flashState": event.flash_state}
        case FlashCancelled():
            return "flash_cancelled", {"flashState": event.flash_state, "reason": event.reason}
        case FlashReported():
            return _reported(event)
        case _:
            return None


def _reported(event: FlashReported) -> tuple[str, dict[str, Any]] | None:
    """A job of an outside flasher goes through the same frames; nobody here knows how long it took, or what it left in the flash."""
    size = {"totalBytes": event.total_bytes or 0}
    told: dict[str, dict[str, Any]] = {
        "queued": {"stage": event.stage or "queued", **size},
        "started": {"stage": event.stage or "Initializing", **size, "attempt": 1},
        "paused": {},
        "resumed": {},
        "completed": {**size, "duration": None},
        "failed": {"error": event.error or "it failed", "code": "reported", "flashState": None},
        "cancelled": {"flashState": None, "reason": event.error},
    }
    return (f"flash_{event.status}", told[event.status]) if event.status in told else None


def percent(sample: FlashProgress, total_bytes: int) -> float:
    """How far a job is, from 0 to 100: the bytes that are written of those that will be; ``total_bytes`` is what its image holds.

    100 only once what was written is verified. A stage that this service does not know, of an outside flasher, counts as writing.
    """
    if sample.stage in _BEFORE:
        return 0.0
    if sample.stage == _VERIFYING:
        return _NEARLY
    if sample.stage == _VERIFIED:
        return 100.0
    whole = sample.total_bytes or total_bytes
    return min(max(100.0 * sample.done_bytes / whole, 0.0), _NEARLY) if whole else 0.0


def progress_frame(sample: FlashProgress, total_bytes: int, progress: float) -> str:
    """How far a job is; ``total_bytes`` is what its image holds, ``progress`` what ``percent`` said of it, now or before."""
    done = total_bytes
    if sample.stage in _BEFORE:
        done = 0
    elif sample.stage not in (_VERIFYING, _VERIFIED):
        total_bytes = sample.total_bytes or total_bytes
        done = sample.done_bytes
    return _frame(
        "flash_progress", sample, progress=progress, stage=sample.stage, bytesTransferred=done, totalBytes=total_bytes,
        transferSpeed=sample.speed_bytes_per_s, estimatedTimeRemaining=sample.remaining_s, attempt=sample.attempt,
    )  # fmt: skip


def standing_frames(job: Row) -> list[str]:
    """What a client that comes now has to be told of a job that has not ended."""
    if job["status"] == "queued" or job["started_at"] is None:
        return [_standing("flash_queued", job, stage="queued", totalBytes=job["total_bytes"])]
    more = {"stage": "Initializing", "totalBytes": job["total_bytes"], "attempt": job["attempt"]}
    return [_standing("flash_started", job, **more)]


def paused_frame(job: Row) -> str:
    """That a job holds."""
    return _standing("flash_paused", job)


def _standing(kind: str, job: Row, **more: Any) -> str:
    told = {"type": kind, "jobId": job["job_id"], "deviceId": job["device"], "host": job["host"]}
    return encoded({**told, "timestamp": milliseconds(datetime.now(UTC)), **more})


def _frame(kind: str, event: Any, **more: Any) -> str:
    told = {"type": kind, "jobId": event.job_id, "deviceId": event.device, "host": event.host}
    return encoded({**told, **more, "timestamp": milliseconds(event.timestamp)})


def job_view(job: Row) -> dict[str, Any]:
    """A flash job, as in ``GET /api/flash/jobs``."""
    return {
        "jobId": job["job_id"],
        "deviceId": job["device"],
        "host": job["host"],
        "status": job["status"],
        "firmware": {"artifactId": job["digest"], "name": job["name"], "documentId": job["document_id"]},
        "boardType": job["profile"],
        "address": job["address"],
        "totalBytes": job["total_bytes"],
        "driver": job["driver"],
        "attempt": job["attempt"],
        "taskId": job["task_id"],
        "nodeId": job["node_id"],
        "sessionId": job["session_id"],
        "requestedAt": _ms(job["requested_at"]),
        "startedAt": _ms(job["started_at"]),
        "endedAt": _ms(job["ended_at"]),
        "duration": job["duration_s"],
        "verifiedBy": job["verified_by"],
        "code": job["code"],
        "error": job["error"],
        "flashState": job["flash_state"],
        "partition": job["partition"],
        "parts": job["parts"],
        "priority": job["priority"],
        "retries": job["retries"],
        "timeout": job["timeout_s"],
        "maxBytesPerS": job["max_bytes_per_s"],
        "leaseId": job["lease_id"],
        "pauseDeferred": job["deferred"],
        "outside": bool(job["outside"]),
    }


def learned_view(one: Learned) -> dict[str, Any]:
    """What came of many jobs, as in ``GET /api/flash/analytics``."""
    return {
        "key": one.key,
        "jobs": one.jobs,
        "completed": one.completed,
        "failed": one.failed,
        "cancelled": one.cancelled,
        "success_rate": one.success_rate,
        "duration_s": _percentiles(one.duration_s),
        "speed_bytes_per_s": _percentiles(one.speed_bytes_per_s),
        "errors": one.errors,
    }


def _percentiles(found: dict[int, float]) -> dict[str, float] | None:
    return {f"p{percent}": value for percent, value in found.items()} or None


def _ms(text: str | None) -> int | None:
    return None if text is None else milliseconds(datetime.fromisoformat(text))
