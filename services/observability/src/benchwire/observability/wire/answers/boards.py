"""Boards, hosts and flash jobs."""

from typing import Any, Literal

import msgspec


class Lease(msgspec.Struct):
    """Who has a device for itself, until when."""

    lease_id: str
    holder: str
    expires_at: str


class Device(msgspec.Struct, kw_only=True):
    """A board that is plugged in."""

    device_id: str
    host: str
    port: str | None
    board_type: str | None
    chip_name: str | None
    vid: str | None
    pid: str | None
    serial_number: str | None
    driver: str | None
    probe: str | None
    virtual: bool
    labels: Any
    state: Literal["available", "leased", "busy", "offline"]
    job_id: str | None
    lease: Lease | None
    since: str


class Devices(msgspec.Struct):
    """Boards, by host and name."""

    devices: list[Device]


class Host(msgspec.Struct):
    """A host that has, or had, a flash agent."""

    host: str
    version: str
    up: bool
    since: str


class Hosts(msgspec.Struct):
    """Hosts by name."""

    hosts: list[Host]


class Firmware(msgspec.Struct, rename="camel"):
    """What is flashed."""

    artifact_id: str
    name: str
    document_id: str | None


class FlashJob(msgspec.Struct, kw_only=True, rename="camel"):
    """A flash job; times are milliseconds since the epoch, ``duration`` is in seconds."""

    job_id: str
    device_id: str
    host: str
    status: str
    firmware: Firmware
    board_type: str | None
    address: int
    total_bytes: int
    driver: str | None
    attempt: int | None
    task_id: str | None
    node_id: str | None
    session_id: str | None
    requested_at: int | None
    started_at: int | None
    ended_at: int | None
    duration: float | None
    verified_by: str | None
    code: str | None
    error: str | None
    flash_state: str | None


class FlashJobs(msgspec.Struct):
    """Flash jobs, newest first; ``next_before`` is the ``before`` of the next page, null on the last."""

    jobs: list[FlashJob]
    next_before: int | None


class FlashStarted(msgspec.Struct, rename="camel"):
    """A job that was queued."""

    job_id: str
    status: Literal["started"]
    device_id: str
    host: str


class FlashSteered(msgspec.Struct, rename="camel"):
    """How a job is after it was asked for something."""

    job_id: str
    status: str
