"""Tasks."""

from typing import Any, Literal

import msgspec


class ModuleState(msgspec.Struct):
    """How far a node of a task is."""

    name: str
    board: str | None
    state: str
    iteration: int


class TaskSummary(msgspec.Struct, kw_only=True):
    """How far a task is; ``progress`` is 0 to 1."""

    task_id: str
    status: str
    kind: str
    prompt: str
    current_module: str | None
    iteration: int
    modules_complete: int
    total_modules: int
    quality_target: float
    summary: str
    progress: float
    runner: str | None
    error: str | None
    created_at: str
    modified_at: str
    modules: list[ModuleState]


class Tasks(msgspec.Struct):
    """Tasks, newest first."""

    tasks: list[TaskSummary]


class Module(msgspec.Struct, kw_only=True):
    """What a node's last iteration made, and every iteration before.

    Of a module of code ``quality_score`` is the sum of ``measures`` times ``weights``, and ``report`` what the tools said; of firmware it is the
    part of the assertions that passed.
    """

    name: str
    code: str
    tests: str
    quality_score: float
    board: str | None
    description: str | None
    state: str
    error: str | None
    sources: dict[str, str]
    measures: dict[str, float]
    weights: dict[str, float]
    report: str
    depends_on: list[str]
    image: dict[str, Any] | None
    elf: dict[str, Any] | None
    memory: dict[str, int] | None
    simulation: dict[str, Any] | None
    deployed: dict[str, str | None] | None
    iterations: list[dict[str, Any]]


class TaskResults(msgspec.Struct, kw_only=True):
    """What a task made."""

    task_id: str
    status: str
    kind: str
    error: str | None
    duration_s: float | None
    summary: str
    links: list[dict[str, str]]
    modules: list[Module]


class LogLine(msgspec.Struct):
    """A line of a task's log."""

    timestamp: str
    line: str


class TaskLogs(msgspec.Struct):
    """What was logged until now."""

    task_id: str
    logs: list[LogLine]


class TaskCancelled(msgspec.Struct):
    """What came of a cancel."""

    task_id: str
    status: str
    success: Literal[True]
    message: str


class GuidanceAccepted(msgspec.Struct):
    """Guidance was written down."""

    task_id: str
    status: Literal["accepted"]
    success: Literal[True]
