"""What a lab tells of its boards, leases and jobs. Fields that a newer lab adds are passed over."""

from typing import Any

import msgspec


class Lease(msgspec.Struct, kw_only=True):
    """``state`` is ``waiting``, ``held`` or ``ended``; times are ISO 8601 in UTC. ``place`` counts from 1 while it waits."""

    lease_id: str
    holder: str
    state: str = "held"
    host: str | None = None
    device_id: str | None = None
    profile: str | None = None
    labels: dict[str, str] = {}
    expires_at: str | None = None
    place: int | None = None
    reason: str | None = None


class Device(msgspec.Struct, kw_only=True):
    """A board that is plugged in; ``state`` is ``available``, ``leased``, ``busy`` or ``offline``."""

    device_id: str
    host: str
    state: str
    board_type: str | None = None
    chip_name: str | None = None
    port: str | None = None
    probe: str | None = None
    serial_number: str | None = None
    driver: str | None = None
    virtual: bool = False
    labels: dict[str, str] = {}
    job_id: str | None = None
    lease: Lease | None = None
    flash_state: str | None = None
    needs_flash: bool = False


class Firmware(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    """What is flashed."""

    artifact_id: str | None = None
    name: str | None = None
    document_id: str | None = None


class Job(msgspec.Struct, kw_only=True, rename="camel"):
    """A flash job; times are milliseconds since the epoch, ``duration`` is in seconds."""

    job_id: str
    device_id: str
    host: str
    status: str
    firmware: Firmware = Firmware()
    total_bytes: int = 0
    driver: str | None = None
    attempt: int | None = None
    requested_at: int | None = None
    ended_at: int | None = None
    duration: float | None = None
    verified_by: str | None = None
    code: str | None = None
    error: str | None = None
    flash_state: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ("completed", "failed", "cancelled")


class Answer(msgspec.Struct, kw_only=True):
    """What came of writing to a board, and of waiting for what it prints: ``matched`` is null when nothing was waited for."""

    written: int = 0
    matched: bool | None = None
    line: str | None = None
    groups: list[str | None] = []
    lines: list[str] = []


Frame = dict[str, Any]
