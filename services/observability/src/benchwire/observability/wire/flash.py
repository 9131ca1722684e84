"""Flash jobs and devices as clients know them: camelCase, milliseconds since the epoch."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from benchwire.events.flash import (
    FlashCancelled,
    FlashCompleted,
    FlashEvent,
    FlashFailed,
    FlashPaused,
    FlashRequested,
    FlashResumed,
    FlashStarted,
)
from benchwire.events.live import FlashProgress, SerialLine
from benchwire.observability.queries import Row

# How far each stage is on the way, where it can't be counted: nothing is on the board before writing, everything after it.
_BEFORE = ("connecting", "erasing")


def milliseconds(moment: datetime) -> int:
    """A time as these frames carry it."""
    return int(moment.timestamp() * 1000)


def fact_frame(event: FlashEvent) -> str | None:
    """What clients are told of a fact; a wish that somebody has yet to grant is none."""
    told = _told(event)
    if told is None:
        return None
    kind, more = told
    return _frame(kind, event, **more)


def _told(event: FlashEvent) -> tuple[str, dict[str, Any]] | None:  # noqa: PLR0911 - one line per event
    match event:
        case FlashRequested():
            return "flash_queued", {"stage": "queued", "totalBytes": event.image.size_bytes}
        case FlashStarted():
            return "flash_started", {"stage": "Initializing", "totalBytes": event.total_bytes}
        case FlashPaused():
            return "flash_paused", {}
        case FlashResumed():
            return "flash_resumed", {}
        case FlashCompleted():
            return "flash_completed", {"totalBytes": event.total_bytes, "duration": event.duration_s}
        case FlashFailed():
            return "flash_failed", {"error": event.error, "code": event.code, "flashState": event.flash_state}
        case FlashCancelled():
            return "flash_cancelled", {"flashState": event.flash_state, "reason": event.reason}
        case _:
            return None


def progress_frame(sample: FlashProgress, total_bytes: int) -> str:
    """How far a job is; ``total_bytes`` is what its image holds."""
    if sample.stage in _BEFORE:
        progress, done = 0.0, 0
    elif sample.stage == "writing":
        total_bytes = sample.total_bytes or total_bytes
        progress, done = (100.0 * sample.done_bytes / total_bytes if total_bytes else 0.0), sample.done_bytes
    else:
        progress, done = 100.0, total_bytes
    return _frame(
        "flash_progress", sample, progress=min(progress, 100.0), stage=sample.stage, bytesTransferred=done, totalBytes=total_bytes,
        transferSpeed=sample.speed_bytes_per_s, estimatedTimeRemaining=sample.remaining_s,
    )  # fmt: skip


def standing_frames(job: Row) -> list[str]:
    """What a client that comes now has to be told of a job that has not ended."""
    now = datetime.now(UTC)
    told = {"jobId": job["job_id"], "deviceId": job["device"], "host": job["host"], "timestamp": milliseconds(now)}
    if job["status"] == "queued" or job["started_at"] is None:
        return [_encoded({"type": "flash_queued", **told, "stage": "queued", "totalBytes": job["total_bytes"]})]
    started = {"type": "flash_started", **told, "stage": "Initializing", "totalBytes": job["total_bytes"]}
    return [_encoded(started)]


def paused_frame(job: Row) -> str:
    """That a job holds."""
    told = {"jobId": job["job_id"], "deviceId": job["device"], "host": job["host"]}
    return _encoded({"type": "flash_paused", **told, "timestamp": milliseconds(datetime.now(UTC))})


def pong(now: datetime) -> str:
    """The answer to a ping."""
    return _encoded({"type": "pong", "timestamp": milliseconds(now)})


def refused_frame(detail: str, now: datetime) -> str:
    """What a client sent and what is not taken from it."""
    return _encoded({"type": "error", "error": detail, "timestamp": milliseconds(now)})


def _frame(kind: str, event: Any, **more: Any) -> str:
    told = {"type": kind, "jobId": event.job_id, "deviceId": event.device, "host": event.host}
    return _encoded({**told, **more, "timestamp": milliseconds(event.timestamp)})


def _encoded(frame: dict[str, Any]) -> str:
    return msgspec.json.encode(frame).decode()


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
    }


def _ms(text: str | None) -> int | None:
    return None if text is None else milliseconds(datetime.fromisoformat(text))


def device_view(row: Row, *, host_is_up: bool | None, now: str) -> dict[str, Any]:
    """A device, as in ``GET /api/devices``. ``host_is_up`` is None while nobody can tell."""
    lease = None
    if row["lease_id"] is not None and row["lease_expires_at"] > now:
        lease = {"lease_id": row["lease_id"], "holder": row["holder"], "expires_at": row["lease_expires_at"]}
    state = "offline" if host_is_up is False else "busy" if row["job_id"] else "leased" if lease else "available"
    return {
        "device_id": row["device"],
        "host": row["host"],
        "port": row["port"],
        "board_type": row["profile"],
        "chip_name": row["chip"],
        "vid": row["vid"],
        "pid": row["pid"],
        "serial_number": row["serial_number"],
        "driver": row["driver"],
        "probe": row["probe"],
        "virtual": bool(row["virtual"]),
        "labels": msgspec.json.decode(row["labels"]),
        "state": state,
        "job_id": row["job_id"],
        "lease": lease,
        "since": row["since"],
    }


def serial_frame(sample: SerialLine) -> str:
    """A line that a board printed."""
    told = {"type": "serial_line", "deviceId": sample.device, "host": sample.host, "line": sample.line}
    place = {"number": sample.number, "jobId": sample.job_id, "timestamp": milliseconds(sample.timestamp)}
    return _encoded({**told, **place})
