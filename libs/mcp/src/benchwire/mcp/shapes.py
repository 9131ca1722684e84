"""What tools answer. The fields are those of the lab's own answers; long texts are cut, and say so."""

from collections.abc import Iterable
from typing import Any, Self

import msgspec
from pydantic import BaseModel, ConfigDict

SHOWN_CHARS = 16_000
LINE_CHARS = 500
MOST_LINES = 200


class Shape(BaseModel):
    """An answer, made of a record of the client."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def of(cls, record: Any, **more: Any) -> Self:
        """The record as this shape; ``more`` are fields that it has not."""
        told = {name: getattr(record, name) for name in cls.model_fields if hasattr(record, name)}
        return cls.model_validate(msgspec.to_builtins(told) | more)


def cut(text: str, most: int = SHOWN_CHARS) -> str:
    """``text``, or its end: what was printed last tells most."""
    return text if len(text) <= most else f"[{len(text) - most} characters before this are not shown]\n{text[-most:]}"


def newest(lines: Iterable[str]) -> list[str]:
    """The last of them, none too long."""
    return [one[:LINE_CHARS] for one in list(lines)[-MOST_LINES:]]


class LeaseShape(Shape):
    """Who has a board for itself, until when (ISO 8601)."""

    lease_id: str
    holder: str
    state: str = "held"
    device_id: str | None = None
    host: str | None = None
    expires_at: str | None = None


class DeviceShape(Shape):
    """A board: ``state`` is available, leased, busy or offline; ``board_type`` is its profile."""

    device_id: str
    host: str
    state: str
    board_type: str | None = None
    chip_name: str | None = None
    port: str | None = None
    virtual: bool = False
    labels: dict[str, str] = {}
    lease: LeaseShape | None = None
    needs_flash: bool = False


class Devices(Shape):
    """Boards, by host and name; ``more`` counts those that are not shown."""

    devices: list[DeviceShape]
    more: int = 0


class FlashJob(Shape):
    """A flash job: ``status`` is queued, flashing, paused, cancelling, completed, failed or cancelled. Only completed means verified.

    ``printed`` is what the board printed with the new firmware, and ``expected`` whether the expected text was in it (null: none was asked for).
    """

    job_id: str
    device_id: str
    host: str
    status: str
    total_bytes: int = 0
    verified_by: str | None = None
    duration: float | None = None
    code: str | None = None
    error: str | None = None
    flash_state: str | None = None
    expected: bool | None = None
    printed: list[str] = []


class FlashJobs(Shape):
    """Flash jobs, newest first."""

    jobs: list[FlashJob]


class Lines(Shape):
    """Lines that a board printed, oldest first."""

    lines: list[str]


class Answer(Shape):
    """How many bytes were sent, and what came of waiting (``matched`` null: nothing was waited for); ``lines`` were heard meanwhile."""

    written: int = 0
    matched: bool | None = None
    line: str | None = None
    groups: list[str | None] = []
    lines: list[str] = []


class ModuleShape(Shape):
    """How far a node, or a module of code, is."""

    name: str
    state: str
    board: str | None = None
    iteration: int = 0


class TaskShape(Shape):
    """How far a task is: ``status`` is in_progress, cancelling, completed, failed or cancelled; ``progress`` 0 to 1; ``error`` says why."""

    task_id: str
    status: str
    kind: str = ""
    prompt: str = ""
    progress: float = 0.0
    summary: str = ""
    error: str | None = None
    created_at: str = ""
    modified_at: str = ""
    modules: list[ModuleShape] = []


class TaskList(Shape):
    """Tasks, newest first."""

    tasks: list[TaskShape]


class ModuleResult(Shape):
    """What one node's last iteration made. ``image`` (its ``digest`` is an artifact_id that flash_device takes) is a firmware's binary.

    ``quality_score`` is 0 to 1; ``output`` is what the simulated board printed; ``report`` what tests and checks of code said.
    """

    name: str
    state: str
    board: str | None = None
    error: str | None = None
    quality_score: float = 0.0
    iterations: int = 0
    sources: dict[str, str] = {}
    image: dict[str, Any] | None = None
    memory: dict[str, int] | None = None
    assertions: list[dict[str, Any]] = []
    output: str = ""
    report: str = ""
    deployed: dict[str, str | None] | None = None


class TaskResult(Shape):
    """What a task made."""

    task_id: str
    status: str
    error: str | None = None
    summary: str = ""
    duration_s: float | None = None
    modules: list[ModuleResult] = []


class Ended(Shape):
    """What came of ending it."""

    id: str
    status: str
    message: str = ""


class Guided(Shape):
    """The guidance was written down; the next generation heeds it."""

    task_id: str


class SessionShape(Shape):
    """A session: ``status`` is running, stopping, finished, stopped or failed (``reason`` says why).

    ``approvals`` counts calls that wait for a person. ``result`` is what its agent said last, once it has ended.
    """

    session_id: str
    status: str
    session_name: str = ""
    agent_name: str | None = None
    parent_session_id: str | None = None
    created_at: str = ""
    modified_at: str = ""
    reason: str | None = None
    approvals: int = 0
    result: str | None = None


class SessionList(Shape):
    """Sessions, newest first."""

    sessions: list[SessionShape]


class SaidShape(Shape):
    """The message is heard at the next turn (``queued``), or the session had ended and goes on with it (``resumed``)."""

    session_id: str
    message_id: str
    status: str


class ApprovalShape(Shape):
    """A call of a tool that waits, or waited, for a person: ``state`` is waiting, approved, denied, expired or void."""

    session_id: str
    tool_use_id: str
    tool_name: str
    state: str
    tool_input: dict[str, Any] = {}
    asked_at: str = ""
    expires_at: str = ""
    by: str | None = None
    reason: str | None = None


class ApprovalList(Shape):
    """Calls, oldest first."""

    approvals: list[ApprovalShape]


class DocumentShape(Shape):
    """A document of the store; ``checksum`` is the SHA-256 of its bytes. ``snippet`` shows where the searched words stand."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    created_at: str
    checksum: str
    tags: list[str] = []
    description: str | None = None
    snippet: str | None = None


class DocumentList(Shape):
    """Documents that were found, and how many there are in ``total``."""

    documents: list[DocumentShape]
    total: int


class DocumentText(Shape):
    """A part of a text; ``next_offset`` is where it goes on, null at its end."""

    document_id: str
    text: str
    total_chars: int
    next_offset: int | None = None
