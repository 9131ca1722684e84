"""What a lab tells of its boards, leases, jobs, tasks and sessions. Fields that a newer lab adds are passed over."""

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


class ModuleState(msgspec.Struct, kw_only=True):
    """How far a node of a task is."""

    name: str
    state: str
    board: str | None = None
    iteration: int = 0


class Task(msgspec.Struct, kw_only=True):
    """How far a task is; ``progress`` is 0 to 1, ``error`` why it ended without what was asked for."""

    task_id: str
    status: str
    kind: str = ""
    prompt: str = ""
    progress: float = 0.0
    iteration: int = 0
    current_module: str | None = None
    modules_complete: int = 0
    total_modules: int = 0
    summary: str = ""
    runner: str | None = None
    error: str | None = None
    created_at: str = ""
    modified_at: str = ""
    modules: list[ModuleState] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ("completed", "failed", "cancelled")


class Module(msgspec.Struct, kw_only=True):
    """What a node's last iteration made. ``image`` (digest, size_bytes, name) is what is flashed; ``simulation`` what it printed and showed."""

    name: str
    state: str
    board: str | None = None
    description: str | None = None
    error: str | None = None
    quality_score: float = 0.0
    sources: dict[str, str] = {}
    measures: dict[str, float] = {}
    report: str = ""
    image: dict[str, Any] | None = None
    memory: dict[str, int] | None = None
    simulation: dict[str, Any] | None = None
    deployed: dict[str, str | None] | None = None
    iterations: list[dict[str, Any]] = []


class TaskResults(msgspec.Struct, kw_only=True):
    """What a task made."""

    task_id: str
    status: str
    kind: str = ""
    error: str | None = None
    duration_s: float | None = None
    summary: str = ""
    modules: list[Module] = []


class LogLine(msgspec.Struct):
    """A line of a task's log; the time is ISO 8601 in UTC."""

    timestamp: str
    line: str


class Session(msgspec.Struct, kw_only=True):
    """A session. ``reason`` and ``code`` tell why it ended, ``approvals`` counts the calls that wait for a person."""

    session_id: str
    status: str
    session_name: str = ""
    created_at: str = ""
    modified_at: str = ""
    agent_name: str | None = None
    parent_session_id: str | None = None
    reason: str | None = None
    code: str | None = None
    approvals: int = 0

    @property
    def is_over(self) -> bool:
        """Whether its agent has ended; a message lets it go on."""
        return self.status not in ("running", "stopping")


class Said(msgspec.Struct, kw_only=True):
    """A message that a session will hear: at its next turn (``queued``), or now, because it had ended and goes on (``resumed``)."""

    session_id: str
    message_id: str
    status: str


class Ending(msgspec.Struct, kw_only=True):
    """What came of ending a task or a session."""

    status: str
    message: str = ""


class Approval(msgspec.Struct, kw_only=True):
    """A call of a tool that a person is asked about; ``state`` is ``waiting``, ``approved``, ``denied``, ``expired`` or ``void``."""

    session_id: str
    tool_use_id: str
    tool_name: str
    state: str
    tool_input: dict[str, Any] = {}
    asked_at: str = ""
    expires_at: str = ""
    decided_at: str | None = None
    by: str | None = None
    reason: str | None = None


class Line(msgspec.Struct, rename="camel"):
    """A line that a board printed; ``timestamp`` in milliseconds since the epoch. ``lost_bytes`` were dropped right before it."""

    line: str
    number: int = 0
    job_id: str | None = None
    timestamp: int = 0
    lost_bytes: int = 0
