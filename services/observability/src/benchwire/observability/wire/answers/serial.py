"""What boards print, what is sent to them, and captures."""

from typing import Literal

import msgspec


class PrintedLine(msgspec.Struct, kw_only=True, rename="camel"):
    """A line that a board printed. ``lostBytes`` were dropped right before it; ``data`` is base64 of bytes that are not UTF-8."""

    line: str
    number: int
    job_id: str | None
    timestamp: int
    lost_bytes: int
    data: str | None


class PrintedLines(msgspec.Struct):
    """The last lines, oldest first."""

    lines: list[PrintedLine]


class SerialWritten(msgspec.Struct, kw_only=True):
    """What was sent, and what came of the wait: ``matched`` is null when there was none. ``lines`` are those heard meanwhile, 1000 at most."""

    ok: Literal[True]
    written: int
    matched: bool | None
    line: str | None
    groups: list[str | None]
    lines: list[str]


class Capture(msgspec.Struct, kw_only=True):
    """A capture. ``document_id`` is there once its document is."""

    capture_id: str
    state: Literal["running", "finished", "failed"]
    host: str
    device_id: str
    for_s: float
    max_bytes: int
    until: str | None
    tags: list[str]
    requested_at: str
    ended_at: str | None
    reason: str | None
    size_bytes: int | None
    lost_bytes: int | None
    artifact_id: str | None
    document_id: str | None


class OneCapture(msgspec.Struct):
    """A capture."""

    capture: Capture
