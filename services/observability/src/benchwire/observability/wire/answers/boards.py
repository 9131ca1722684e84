"""Boards, hosts and flash jobs."""

from typing import Literal

import msgspec


class DeviceLease(msgspec.Struct):
    """Who has a device for itself, until when."""

    lease_id: str
    holder: str
    expires_at: str


class Handling(msgspec.Struct):
    """The last hand on a board's reset line or supply."""

    do: str
    by: str | None
    at: str


class Device(msgspec.Struct, kw_only=True):
    """A board that is plugged in.

    ``flash_state`` is what its last flash job left there, null when the lab has never flashed it; ``needs_flash`` marks one that a job
    left half done, until it is flashed again. ``problem`` is why the chip did not say what it is, or why that does not fit.
    """

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
    labels: dict[str, str]
    state: Literal["available", "leased", "busy", "offline"]
    job_id: str | None
    lease: DeviceLease | None
    since: str
    flash_state: str | None
    needs_flash: bool
    flash_bytes: int | None
    problem: str | None
    identified_at: str | None
    handled: Handling | None


class OneDevice(msgspec.Struct):
    """A board."""

    device: Device


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
    """A flash job; times are milliseconds since the epoch, ``duration`` and ``timeout`` are in seconds.

    ``pauseDeferred`` says when a pause that was asked for will come true; ``outside`` that a flasher outside of the lab reports the job.
    """

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
    partition: str | None
    parts: int
    priority: int
    retries: int
    timeout: float | None
    max_bytes_per_s: int | None
    lease_id: str | None
    pause_deferred: str | None
    outside: bool


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


class FlashHistory(msgspec.Struct):
    """Jobs that have ended, the last to end first; ``next_before`` is the ``before`` of the next page, null on the last."""

    history: list[FlashJob]
    next_before: int | None


class Percentiles(msgspec.Struct):
    """The value that so many percent do not exceed."""

    p50: float
    p90: float
    p99: float


class Learned(msgspec.Struct, kw_only=True):
    """What came of jobs: ``success_rate`` is the share of those that were not cancelled that completed; ``errors`` counts by code."""

    key: str | None
    jobs: int
    completed: int
    failed: int
    cancelled: int
    success_rate: float | None
    duration_s: Percentiles | None
    speed_bytes_per_s: Percentiles | None
    errors: dict[str, int]


class FlashAnalytics(msgspec.Struct, kw_only=True):
    """What the jobs that ended from ``since`` to ``until`` tell. ``is_all`` says that these are all of them, and not only the newest."""

    by: Literal["board", "host", "device"]
    since: str
    until: str
    is_all: bool
    total: Learned
    groups: list[Learned]


class Lease(msgspec.Struct, kw_only=True):
    """A lease, or the request for one. ``place`` is that in the queue (1 is next), null unless it waits."""

    lease_id: str
    holder: str
    state: Literal["waiting", "held", "ended"]
    host: str | None
    device_id: str | None
    profile: str | None
    labels: dict[str, str]
    requested_at: str
    expires_at: str | None
    wait_until: str | None
    place: int | None
    reason: str | None


class OneLease(msgspec.Struct):
    """A lease."""

    lease: Lease


class Leases(msgspec.Struct):
    """Leases, newest first."""

    leases: list[Lease]


class Asked(msgspec.Struct):
    """It was done by the board's host."""

    ok: Literal[True]
    device_id: str
    host: str


class IdentifiedChip(msgspec.Struct, kw_only=True):
    """What the chip said of itself, or the ``problem``."""

    device_id: str
    host: str
    chip: str | None
    profile: str | None
    problem: str | None


class Operation(msgspec.Struct, kw_only=True):
    """One node's image on its way to a board, or the ``error`` that keeps it."""

    node_id: str
    job_id: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="jobId")
    device_id: str | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="deviceId")
    host: str | msgspec.UnsetType = msgspec.UNSET
    status: str
    error: str | msgspec.UnsetType = msgspec.UNSET


class Operations(msgspec.Struct):
    """What was begun, node by node."""

    operations: list[Operation]


class Deployed(msgspec.Struct, kw_only=True, rename="camel"):
    """What was begun for one node."""

    job_id: str
    status: Literal["started"]
    device_id: str
    host: str
    operations: list[Operation]
