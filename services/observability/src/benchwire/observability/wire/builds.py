"""Designs, builds and simulations as clients of the firmware routes know them: a build is a task, and its session id is the task's."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from benchwire.events.asks import BoardAbility, SystemDesigned
from benchwire.events.task import Assertion, NodeSpec, UartLink
from benchwire.observability.errors import Unusable
from benchwire.observability.queries import Row, TaskView
from benchwire.observability.wire.requests import Prompt, StartNode, StartTask
from benchwire.observability.wire.tasks.views import decoded, deployed, tried


class ParseDesign(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/design/parse``; with ``board_id`` all nodes are for that board."""

    prompt: Prompt
    board_id: str | None = None
    answers: list[str] = []


class BuildNode(msgspec.Struct, kw_only=True):
    """A node of a build; without ``board_type`` it is for the build's board."""

    node_id: str
    description: str = ""
    board_type: str | None = None
    assertions: list[Assertion] = []
    sources: dict[str, str] | None = None


class BuildSettings(msgspec.Struct, kw_only=True):
    """How often a node is tried, and for how long each try is simulated."""

    max_iterations: int = 5
    simulation_timeout_seconds: float = 10.0


class StartBuild(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/build/start``. Without nodes a model designs them. Nothing goes onto a board but by ``/api/deploy``."""

    description: str = ""
    board_id: str | None = None
    nodes: list[BuildNode] = []
    links: list[UartLink] = []
    settings: BuildSettings = msgspec.field(default_factory=BuildSettings)


class StartSimulation(msgspec.Struct, kw_only=True):
    """Body of ``POST /api/simulate/start``: a build, by ``session_id`` or ``task_id``, or one node of it."""

    session_id: str | None = None
    task_id: str | None = None
    node_id: str | None = None
    timeout_seconds: float | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``POST /api/build/start`` and ``/api/simulate/start``."""

    session_id: str
    status: str
    websocket_url: str


def task_of(build: StartBuild) -> StartTask:
    """The task that a build is."""
    return StartTask(
        prompt=build.description, kind="firmware", board=build.board_id, links=build.links, deploy=False,
        max_iterations=build.settings.max_iterations, simulation_timeout_s=build.settings.simulation_timeout_seconds,
        nodes=[
            StartNode(node_id=one.node_id, board=one.board_type, description=one.description, assertions=one.assertions, sources=one.sources)
            for one in build.nodes
        ],
    )  # fmt: skip


_CALLED = {
    "prompt": "description", "board": "board_id", "max_iterations": "settings.max_iterations",
    "simulation_timeout_s": "settings.simulation_timeout_seconds",
}  # fmt: skip


def in_words_of_builds(error: Unusable) -> Unusable:
    """What is wrong with the task that a build is, by the names that fields have in a build."""
    field, colon, why = str(error).partition(": ")
    node, dot, name = field.rpartition(".")
    called = f"{node}.board_type" if dot and name == "board" else _CALLED.get(field, field)
    return Unusable(f"{called}{colon}{why}")


def task_again(view: TaskView, iterations: Sequence[Row], asked: StartSimulation) -> StartTask:
    """A task that simulates what another one built: its last sources, with the same assertions, and no model. Raises ``Unusable``."""
    nodes = [node for node in view.nodes if asked.node_id in (None, node["node_id"])]
    if not nodes:
        there = ", ".join(node["node_id"] for node in view.nodes)
        raise Unusable(f"node_id: there is no node {str(asked.node_id)[:60]!r}; there are {there or 'none yet'}")
    sources = {name: _last_sources(each) for name, each in tried(iterations).items()}
    names = {node["node_id"] for node in nodes}
    links = msgspec.convert(decoded(view.task["links"]), list[UartLink])
    timeout_s = asked.timeout_seconds
    return StartTask(
        prompt=view.task["prompt"], kind="firmware", deploy=False, max_iterations=1,
        simulation_timeout_s=view.task["simulation_timeout_s"] if timeout_s is None else timeout_s,
        nodes=[_node_again(node, sources.get(node["node_id"])) for node in nodes],
        links=[one for one in links if {one.a, one.b} <= names],
    )  # fmt: skip


def _last_sources(iterations: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    return next((one["sources"] for one in reversed(iterations) if one["sources"]), None)


def _node_again(node: Row, sources: dict[str, str] | None) -> StartNode:
    spec = msgspec.convert(decoded(node["spec"]), NodeSpec)
    sources = sources or spec.sources
    if not sources:
        raise Unusable(f"node_id: nothing was written for {spec.node_id!r} yet, so there is nothing to simulate")
    return StartNode(
        node_id=spec.node_id,
        board=spec.board,
        description=spec.description,
        assertions=spec.assertions,
        sources=sources,
    )


# What is shown


def design_view(designed: SystemDesigned) -> dict[str, Any]:
    """Answer of ``POST /api/design/parse``: what ``POST /api/build/start`` takes, and what it cost."""
    return {
        "description": designed.summary,
        "nodes": [
            {
                "node_id": node.node_id,
                "description": node.description,
                "board_type": node.board,
                "assertions": [msgspec.structs.asdict(one) for one in node.assertions],
            }
            for node in designed.nodes
        ],
        "links": designed.links,
        "model": designed.model,
        "input_tokens": designed.input_tokens,
        "output_tokens": designed.output_tokens,
        "duration_s": designed.duration_s,
    }


_STATES = {"deploying": "testing", "deployed": "testing"}  # words that these clients do not know


def build_view(view: TaskView, iterations: Sequence[Row], assigned: Mapping[str, Row]) -> dict[str, Any]:
    """Answer of ``GET /api/build/{id}/status``; ``assigned`` are the boards that nodes are for."""
    by_node = tried(iterations)
    return {
        "session_id": view.task["task_id"],
        "status": view.task["status"],
        "description": view.task["prompt"],
        "error": view.task["reason"],
        "duration_seconds": view.task["duration_s"],
        "nodes": [
            _node_view(node, by_node.get(node["node_id"], []), assigned.get(node["node_id"])) for node in view.nodes
        ],
    }


def _node_view(node: Row, iterations: Sequence[dict[str, Any]], assigned: Row | None) -> dict[str, Any]:
    return {
        "node_id": node["node_id"],
        "description": node["description"],
        "board_type": node["board"],
        "state": _STATES.get(node["state"], node["state"]),
        "error": node["reason"],
        "iterations": [_iteration_view(one) for one in iterations],
        "firmware": decoded(node["image"]),
        "assigned_to": None if assigned is None else board_view(assigned),
        "deployed": deployed(node),
    }


def _iteration_view(tried_once: dict[str, Any]) -> dict[str, Any]:
    memory, simulation = tried_once.get("memory") or {}, tried_once.get("simulation") or {}
    return {
        "iteration": tried_once["iteration"],
        "code": "\n".join(tried_once["sources"].values()),
        "sources": tried_once["sources"],
        "compiled": tried_once.get("compiled"),
        "compiler_output": tried_once.get("diagnostics"),
        "flash_used": memory.get("flash_bytes"),
        "flash_limit": memory.get("flash_limit_bytes"),
        "ram_used": memory.get("ram_bytes"),
        "ram_limit": memory.get("ram_limit_bytes"),
        "simulation_outcome": simulation.get("outcome"),
        "simulation_output": simulation.get("output"),
        "simulator_error": simulation.get("simulator_error"),
        "assertion_results": simulation.get("assertions", []),
        "failed_stage": tried_once.get("failed_stage"),
        "feedback": tried_once.get("feedback"),
    }


def board_view(row: Row) -> dict[str, Any]:
    """A board that a node is for."""
    return {"device_id": row["device"], "host": row["host"], "port": row["port"]}


def ability_view(one: BoardAbility) -> dict[str, Any]:
    """A kind of board, and what can be done for it."""
    return {
        "board_id": one.name, "name": one.title, "aliases": one.aliases, "architecture": one.architecture, "can_build": one.can_build,
        "can_simulate": one.can_simulate, "can_flash": one.can_flash, "missing": one.missing,
    }  # fmt: skip
