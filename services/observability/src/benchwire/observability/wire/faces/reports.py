"""Reports of a flasher outside of the lab, which it sends."""

from typing import get_args

import msgspec


class OfReport(msgspec.Struct, kw_only=True, tag_field="type", rename="camel"):
    """What an outside flasher says of a job of its own; its own ``timestamp`` is passed over."""

    job_id: str
    device_id: str


class ReportStarted(OfReport, kw_only=True, tag="flash_started"):
    """It works on a board."""

    stage: str | None = None
    total_bytes: float | None = None


class ReportProgress(OfReport, kw_only=True, tag="flash_progress"):
    """How far it is. The percentage that is shown follows from the bytes; ``progress`` counts where there are none."""

    progress: float | None = None
    stage: str | None = None
    bytes_transferred: float | None = None
    total_bytes: float | None = None
    transfer_speed: float | None = None
    estimated_time_remaining: float | None = None


class ReportPaused(OfReport, kw_only=True, tag="flash_paused"):
    """It holds."""


class ReportResumed(OfReport, kw_only=True, tag="flash_resumed"):
    """It goes on."""


class ReportCompleted(OfReport, kw_only=True, tag="flash_completed"):
    """It is done."""


class ReportFailed(OfReport, kw_only=True, tag="flash_failed"):
    """It failed, and why."""

    error: str | None = None


class ReportCancelled(OfReport, kw_only=True, tag="flash_cancelled"):
    """It was ended."""

    reason: str | None = None


Report = (
    ReportStarted | ReportProgress | ReportPaused | ReportResumed | ReportCompleted | ReportFailed | ReportCancelled
)
REPORTS: tuple[type[OfReport], ...] = get_args(Report)
