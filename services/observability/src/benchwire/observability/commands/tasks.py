"""Tasks: begun, guided, cancelled, closed."""

import re
from datetime import datetime

from benchwire.boards import profile
from benchwire.events.event import Event, token
from benchwire.events.task import (
    Assertion,
    NodeSpec,
    TaskCancelled,
    TaskCancelRequested,
    TaskFailed,
    TaskGuided,
    TaskRequested,
)
from benchwire.observability import errors
from benchwire.observability.task import Task
from benchwire.observability.wire.requests import Guide, StartNode, StartTask

MAX_NODES = 64
MAX_ITERATIONS = 20
MAX_SIMULATION_S = 300.0
_KINDS_OF_ASSERTION = ("substring", "regex", "absent")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def start_task(asked: StartTask, task_id: str, now: datetime) -> TaskRequested:
    """A task for the agent runners. Raises ``Unusable`` when it could never be done."""
    kind = asked.kind or ("firmware" if asked.board or asked.nodes else "code")
    if kind == "code":
        raise errors.Unusable("kind: tasks for code are not made here yet; ask for firmware, with a board")
    if kind != "firmware":
        raise errors.Unusable(f"kind: it must be firmware, not {kind[:40]!r}")
    if not 1 <= asked.max_iterations <= MAX_ITERATIONS:
        raise errors.Unusable(f"max_iterations: it must be between 1 and {MAX_ITERATIONS}")
    if not 0 < asked.simulation_timeout_s <= MAX_SIMULATION_S:
        raise errors.Unusable(f"simulation_timeout_s: it must be above 0, and at most {MAX_SIMULATION_S:g}")
    board = _board(asked.board, "board") if asked.board else None
    return TaskRequested(
        timestamp=now, task_id=task_id, kind=kind, prompt=asked.prompt, answers=asked.answers, board=board,
        nodes=_nodes(asked, board), max_iterations=asked.max_iterations, simulation_timeout_s=asked.simulation_timeout_s,
    )  # fmt: skip


def _nodes(asked: StartTask, board: str | None) -> list[NodeSpec]:
    given = asked.nodes or [StartNode(node_id="node-1", description=asked.prompt)]
    if len(given) > MAX_NODES:
        raise errors.Unusable(f"nodes: {len(given)} are more than the {MAX_NODES} that one task takes")
    nodes = [_node(node, asked.prompt, board, f"nodes[{place}]") for place, node in enumerate(given)]
    if len({node.node_id for node in nodes}) < len(nodes):
        raise errors.Unusable("nodes: two have the same node_id")
    return nodes


def _node(node: StartNode, prompt: str, board: str | None, where: str) -> NodeSpec:
    token(node.node_id, f"{where}.node_id")
    name = _board(node.board, f"{where}.board") if node.board else board
    if name is None:
        raise errors.Unusable(
            f"{where}.board: it is missing, and the task names none; there are {', '.join(profile.simulated_names())}"
        )
    if not (node.description or prompt or node.sources):
        raise errors.Unusable(f"{where}.description: say what the firmware does, or hand in its sources")
    for file in node.sources or {}:
        if not _FILE_NAME.fullmatch(file):
            raise errors.Unusable(f"{where}.sources: {file[:60]!r} is not a plain file name")
    for assertion in node.assertions:
        _check(assertion, f"{where}.assertions")
    return NodeSpec(
        node_id=node.node_id, board=name, description=node.description or prompt, assertions=node.assertions, sources=node.sources or None,
        deploy=node.deploy, expect=node.expect,
    )  # fmt: skip


def _board(name: str, where: str) -> str:
    try:
        return profile.load_simulated(name).name
    except (profile.UnknownProfile, profile.NotSimulated) as error:
        raise errors.Unusable(f"{where}: {error}") from None


def _check(assertion: Assertion, where: str) -> None:
    if assertion.kind not in _KINDS_OF_ASSERTION:
        raise errors.Unusable(
            f"{where}: kind must be one of {', '.join(_KINDS_OF_ASSERTION)}, not {assertion.kind[:40]!r}"
        )
    if assertion.kind == "regex":
        try:
            re.compile(assertion.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise errors.Unusable(f"{where}: {assertion.pattern[:60]!r} is not a regular expression: {error}") from None


def cancel_task(task: Task | None, task_id: str, now: datetime) -> Event | None:
    """Its runner is told; one that nobody took is cancelled with that."""
    if task is None:
        raise errors.TaskUnknown(task_id)
    if not task.is_running:
        raise errors.TaskNotRunning(task_id, task.status)
    if task.runner is None:
        return TaskCancelled(timestamp=now, task_id=task_id, reason="cancelled on request")
    if task.status == "cancelling":
        return None
    return TaskCancelRequested(timestamp=now, task_id=task_id)


def close_task(task: Task | None, task_id: str, gone: str, now: datetime) -> Event | None:
    """What the runner ``gone`` held, unless somebody else has it by now."""
    if task is None or not task.is_running or task.runner != gone:
        return None
    return TaskFailed(timestamp=now, task_id=task_id, reason=f"its runner {gone} is gone")


def guide_task(task: Task | None, task_id: str, asked: Guide, now: datetime) -> Event:
    """Guidance for the next generation."""
    if task is None:
        raise errors.TaskUnknown(task_id)
    if not task.is_running:
        raise errors.TaskNotRunning(task_id, task.status)
    return TaskGuided(timestamp=now, task_id=task_id, guidance=asked.guidance, node_id=asked.node_id)
