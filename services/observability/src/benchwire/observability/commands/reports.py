"""What a flasher outside of the lab says of a job of its own, as facts and samples."""

import math
from datetime import datetime

from benchwire.events.flash import FlashReported
from benchwire.events.live import FlashProgress
from benchwire.observability.wire.faces.reports import (
    OfReport,
    ReportCancelled,
    ReportCompleted,
    ReportFailed,
    ReportPaused,
    ReportProgress,
    ReportResumed,
    ReportStarted,
)

MOST_BYTES = 1 << 53  # of a number in JSON that everybody reads alike
_MOST_STAGE_CHARS = 200
_MOST_ERROR_CHARS = 2000
_STATUS: dict[type[OfReport], str] = {
    ReportStarted: "started",
    ReportPaused: "paused",
    ReportResumed: "resumed",
    ReportCompleted: "completed",
    ReportFailed: "failed",
    ReportCancelled: "cancelled",
}
_OF_NOBODY_KNOWS = 10_000  # bytes: so that a percentage shows, with two digits, where nothing else is known
SILENT = "nothing was heard of it for too long"


def report(said: OfReport, host: str, now: datetime) -> FlashReported:
    """The fact in a report, by the flasher of the name ``host``."""
    stage = total_bytes = error = None
    match said:
        case ReportStarted():
            stage, total_bytes = _short(said.stage, _MOST_STAGE_CHARS), _count(said.total_bytes)
        case ReportFailed():
            error = _short(said.error, _MOST_ERROR_CHARS) or "it failed, and did not say why"
        case ReportCancelled():
            error = _short(said.reason, _MOST_ERROR_CHARS)
    return FlashReported(
        timestamp=now, host=host, job_id=said.job_id, device=said.device_id, status=_STATUS[type(said)], stage=stage,
        total_bytes=total_bytes, error=error,
    )  # fmt: skip


def sample(said: ReportProgress, host: str, now: datetime, *, job_bytes: int = 0) -> FlashProgress:
    """How far it is. Where it says no bytes, its percentage stands for that part of ``job_bytes``."""
    done, total = _count(said.bytes_transferred), _count(said.total_bytes)
    if not total and said.progress is not None:
        total = job_bytes or _OF_NOBODY_KNOWS
        done = _count(min(said.progress, 100.0) / 100 * total)
    left_s = said.estimated_time_remaining
    return FlashProgress(
        timestamp=now, host=host, job_id=said.job_id, device=said.device_id, stage=_short(said.stage, _MOST_STAGE_CHARS) or "writing",
        done_bytes=done or 0, total_bytes=total or 0, speed_bytes_per_s=float(_count(said.transfer_speed) or 0),
        remaining_s=float(_count(left_s) or 0) if left_s is not None else None,
    )  # fmt: skip


def silent(host: str, job_id: str, device: str, now: datetime) -> FlashReported:
    """The end of a job of which its flasher says nothing more."""
    return FlashReported(timestamp=now, host=host, job_id=job_id, device=device, status="failed", error=SILENT)


def _count(given: float | None) -> int | None:
    """A number of bytes or seconds, as far as it is one."""
    if given is None or not math.isfinite(given):
        return None
    return int(min(max(given, 0), MOST_BYTES))


def _short(text: str | None, most: int) -> str | None:
    return text[:most] if text is not None else None
