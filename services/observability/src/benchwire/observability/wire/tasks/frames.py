"""Frames of ``/ws/{task_id}``."""

from typing import Any

import msgspec

from benchwire.events.event import Event
from benchwire.events.task import (
    NodeCompiled,
    NodeDeployed,
    NodeDeploying,
    NodeFailed,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSimulated,
    NodeStarted,
    NodeSucceeded,
    NodeTested,
    TaskCancelled,
    TaskFailed,
    TaskFinished,
    TaskGuided,
    TaskPlanned,
    TaskRequested,
)
from benchwire.observability.session import iso
from benchwire.observability.wire.tasks.views import pass_rate, tests_rate

_TOLD_BEFORE = ("simulate", "assert", "test", "quality")


def frames(event: Event, sequence: int, *, succeeded: int) -> list[str]:
    """What clients are told of ``event``; ``succeeded`` counts the nodes that passed so far."""
    task_id = getattr(event, "task_id", "")
    return [
        msgspec.json.encode(
            {"type": kind, "task_id": task_id, "timestamp": iso(event.timestamp), "seq": sequence, "data": data}
        ).decode()
        for kind, data in _told(event, succeeded)
    ]


def _told(event: Event, succeeded: int) -> list[tuple[str, dict[str, Any]]]:  # noqa: PLR0911 - one line per event
    match event:
        case TaskRequested():
            goal = event.prompt or "; ".join(node.description for node in event.nodes if node.description)
            return [("TASK_STARTED", {"goal": goal, "kind": event.kind, "board": event.board})]
        case TaskPlanned():
            names = [node.node_id for node in event.nodes]
            links = [[link.a, link.b] for link in event.links]
            planned = {"modules": names, "estimated_iterations": event.estimated_iterations}
            return [("PLANNING_COMPLETE", {**planned, "summary": event.summary, "links": links})]
        case TaskGuided():
            return [("GUIDANCE_ACCEPTED", {"guidance": event.guidance, "module": event.node_id})]
        case TaskFinished():
            taken = {"total_time": spoken(event.duration_s), "duration_s": event.duration_s}
            return [("TASK_COMPLETE", {**taken, "modules_generated": succeeded})]
        case TaskFailed():
            return [("TASK_FAILED", {"error": event.reason, "modules_generated": succeeded})]
        case TaskCancelled():
            return [("TASK_CANCELLED", {"reason": event.reason})]
        case _:
            return _told_of_node(event)


def _told_of_node(event: Event) -> list[tuple[str, dict[str, Any]]]:  # noqa: C901, PLR0911 - one line per event
    module = {"module": getattr(event, "node_id", None)}
    match event:
        case NodeStarted():
            return [("MODULE_STARTED", {**module, "board": event.board})]
        case NodeGenerated():
            return [("MODULE_GENERATED", {**module, "iteration": event.iteration, "model": event.model})]
        case NodeCompiled():
            sizes = {"flash_bytes": event.flash_bytes, "ram_bytes": event.ram_bytes}
            return [("MODULE_COMPILED", {**module, "iteration": event.iteration, "ok": event.ok, **sizes})]
        case NodeSimulated():
            return _told_of_simulation(event, module)
        case NodeTested():
            return _told_of_tests(event, module)
        case NodeRetried():
            return _told_of_retry(event, module)
        case NodeImageStored():
            return [("MODULE_IMAGE_STORED", {**module, "digest": event.image.digest, "size": event.image.size_bytes})]
        case NodeDeploying():
            return [("MODULE_DEPLOYING", {**module, **_where(event)})]
        case NodeDeployed():
            return [("MODULE_DEPLOYED", {**module, **_where(event), "line": event.line})]
        case NodeSucceeded():
            return [("MODULE_COMPLETE", {**module, "iterations": event.iterations})]
        case NodeFailed():
            return [("MODULE_FAILED", {**module, "error": event.reason, "iterations": event.iterations})]
        case _:
            return []


def _told_of_simulation(event: NodeSimulated, module: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    rate = pass_rate(event.assertions, ok=event.ok)
    told = {
        **module,
        "iteration": event.iteration,
        "test_pass_rate": rate,
        "quality_score": rate,
        "outcome": event.outcome,
    }
    tests = [one.name for one in event.assertions if one.passed]
    passed = [("TEST_PASSED", {**module, "iteration": event.iteration, "tests": tests})] if event.ok else []
    return [("MODULE_ITERATION", told), *passed]


def _told_of_tests(event: NodeTested, module: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    which = {**module, "iteration": event.iteration}
    counts = {"tests_passed": event.tests_passed, "tests_failed": event.tests_failed}
    told = {
        **which, "test_pass_rate": tests_rate(event), "quality_score": event.quality_score, "outcome": event.outcome,
        "measures": event.measures, **counts,
    }  # fmt: skip
    passed = [("TEST_PASSED", {**which, **counts})] if event.tests_passed and not event.tests_failed else []
    return [("MODULE_ITERATION", told), *passed]


def _told_of_retry(event: NodeRetried, module: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """An iteration that came as far as the simulator, or its tests, was told by these."""
    why = {**module, "iteration": event.iteration, "stage": event.stage, "feedback": event.feedback}
    retried = ("MODULE_RETRIED", why)
    if event.stage in _TOLD_BEFORE:
        return [retried]
    return [("MODULE_ITERATION", {**why, "test_pass_rate": 0.0, "quality_score": 0.0}), retried]


def _where(event: NodeDeploying | NodeDeployed) -> dict[str, Any]:
    return {"host": event.host, "device": event.device, "job_id": event.job_id}


def spoken(duration_s: float) -> str:
    """A time as a person says it."""
    minutes, seconds = divmod(duration_s, 60)
    return f"{int(minutes)}m {int(seconds)}s" if minutes else f"{seconds:.1f}s"


def error_frame(task_id: str, detail: str) -> str:
    """What cannot be done with this task, said on its WebSocket."""
    return msgspec.json.encode({"type": "ERROR", "task_id": task_id, "data": {"error": detail}}).decode()
