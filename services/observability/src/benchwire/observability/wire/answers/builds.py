"""Designs, builds, simulations, and the kinds of boards."""

from typing import Any, Literal

import msgspec

from benchwire.events.task import Assertion, AssertionResult, UartLink


class BoardKind(msgspec.Struct, kw_only=True):
    """A kind of board; ``missing`` has a sentence for each thing that cannot be done, and for each tool that is not there."""

    board_id: str
    name: str
    aliases: list[str]
    architecture: str
    can_build: bool
    can_simulate: bool
    can_flash: bool
    missing: list[str]


class Boards(msgspec.Struct):
    """Kinds of boards, as ``runner`` can serve them; without one, ``detail`` says what that means."""

    boards: list[BoardKind]
    runner: str | None
    detail: str | None


class DesignNode(msgspec.Struct, kw_only=True):
    """A node that would be built."""

    node_id: str
    description: str
    board_type: str
    assertions: list[Assertion]


class Design(msgspec.Struct, kw_only=True):
    """A system that would be built, as ``POST /api/build/start`` takes it, and what the design cost."""

    description: str
    nodes: list[DesignNode]
    links: list[UartLink]
    model: str | None
    input_tokens: int
    output_tokens: int
    duration_s: float


class BuildIteration(msgspec.Struct, kw_only=True):
    """One try; what it did not come to is null. ``flash_used`` and the like are bytes."""

    iteration: int
    code: str
    sources: dict[str, str]
    compiled: bool | None
    compiler_output: str | None
    flash_used: int | None
    flash_limit: int | None
    ram_used: int | None
    ram_limit: int | None
    simulation_outcome: str | None
    simulation_output: str | None
    simulator_error: str | None
    assertion_results: list[AssertionResult]
    failed_stage: str | None
    feedback: str | None


class BoardOfNode(msgspec.Struct):
    """The board that a node is for; without ``port`` it is not plugged in now."""

    device_id: str
    host: str | None
    port: str | None


class BuildNode(msgspec.Struct, kw_only=True):
    """How far a node is."""

    node_id: str
    description: str
    board_type: str
    state: Literal["pending", "generating", "compiling", "simulating", "testing", "success", "failed", "skipped"]
    error: str | None
    iterations: list[BuildIteration]
    firmware: dict[str, Any] | None
    assigned_to: BoardOfNode | None
    deployed: dict[str, str | None] | None


class BuildStatus(msgspec.Struct, kw_only=True):
    """How far a build, or a simulation, is."""

    session_id: str
    status: str
    description: str
    error: str | None
    duration_seconds: float | None
    nodes: list[BuildNode]


class BuildStopped(msgspec.Struct, kw_only=True):
    """What came of a stop."""

    session_id: str
    status: str
    success: Literal[True]
    message: str


class Assignment(msgspec.Struct, kw_only=True):
    """The board of a node."""

    node_id: str
    device_id: str
    host: str | None
    port: str | None


class Assignments(msgspec.Struct):
    """The boards that a build's nodes are for."""

    session_id: str
    assignments: list[Assignment]
