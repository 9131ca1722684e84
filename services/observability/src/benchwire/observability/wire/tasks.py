"""Tasks as clients know them: a node is their module."""

from collections.abc import Sequence
from typing import Any

import msgspec

from benchwire.events.event import Event
from benchwire.events.live import TaskLog
from benchwire.events.task import (
    AssertionResult,
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
    TaskCancelled,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskGuided,
    TaskPlanned,
    TaskRequested,
)
from benchwire.observability.queries import Row, TaskView
from benchwire.observability.session import iso
from benchwire.observability.task import Status

_ENDED = ("success", "failed", "skipped")


class TaskStarted(msgspec.Struct, frozen=True):
    """Answer of ``POST /tasks``."""

    task_id: str
    status: str
    websocket_url: str


def summary(view: TaskView) -> dict[str, Any]:
    """Answer of ``GET /tasks/{id}``."""
    done = sum(node["state"] == "success" for node in view.nodes)
    active = [node for node in view.nodes if node["state"] not in (*_ENDED, "pending")]
    current = max(active, key=lambda node: node["touched_seq"], default=None)
    total = len(view.nodes)
    return {
        "task_id": view.task["task_id"],
        "status": view.task["status"],
        "kind": view.task["kind"],
        "prompt": view.task["prompt"],
        "current_module": current["node_id"] if current else None,
        "iteration": current["iteration"] if current else max((node["iteration"] for node in view.nodes), default=0),
        "modules_complete": done,
        "total_modules": total,
        "progress": done / total if total else float(view.task["status"] == Status.COMPLETED),
        "runner": view.task["runner"],
        "error": view.task["reason"],
        "created_at": view.task["created_at"],
        "modified_at": view.task["modified_at"],
        "modules": [_state(node) for node in view.nodes],
    }


def _state(node: Row) -> dict[str, Any]:
    return {"name": node["node_id"], "board": node["board"], "state": node["state"], "iteration": node["iteration"]}


def results(view: TaskView, iterations: Sequence[Row]) -> dict[str, Any]:
    """Answer of ``GET /tasks/{id}/results``: each node with what its last iteration made, and every iteration before."""
    by_node: dict[str, list[dict[str, Any]]] = {}
    for row in iterations:
        by_node.setdefault(row["node_id"], []).append(_iteration(row))
    return {
        "task_id": view.task["task_id"],
        "status": view.task["status"],
        "error": view.task["reason"],
        "duration_s": view.task["duration_s"],
        "modules": [_module(node, by_node.get(node["node_id"], [])) for node in view.nodes],
    }


def _module(node: Row, iterations: list[dict[str, Any]]) -> dict[str, Any]:
    last = iterations[-1] if iterations else {}
    simulation = last.get("simulation") or {}
    sources = last.get("sources") or {}
    return {
        "name": node["node_id"],
        "code": "\n".join(sources.values()),
        "tests": "\n".join(one["name"] for one in simulation.get("assertions", [])),
        "quality_score": simulation.get("pass_rate", 0.0),
        "board": node["board"],
        "description": node["description"],
        "state": node["state"],
        "error": node["reason"],
        "sources": sources,
        "image": _decoded(node["image"]),
        "elf": _decoded(node["elf"]),
        "memory": last.get("memory"),
        "simulation": simulation or None,
        "deployed": {"host": node["host"], "device": node["device"], "job_id": node["job_id"], "line": node["line"]}
        if node["job_id"]
        else None,
        "iterations": iterations,
    }


def _iteration(row: Row) -> dict[str, Any]:
    generated, compiled, simulated, retried = (
        _decoded(row[name]) for name in ("generated", "compiled", "simulated", "retried")
    )
    told: dict[str, Any] = {"iteration": row["iteration"], "sources": (generated or {}).get("sources", {})}
    if compiled is not None:
        told["compiled"] = compiled["ok"]
        told["diagnostics"] = compiled.get("diagnostics", "")
        sizes = ("flash_bytes", "ram_bytes", "flash_limit_bytes", "ram_limit_bytes")
        told["memory"] = {name: compiled.get(name, 0) for name in sizes}
    if simulated is not None:
        told["simulation"] = _simulation(simulated)
    if retried is not None:
        told["failed_stage"], told["feedback"] = retried["stage"], retried["feedback"]
    return told


def _simulation(simulated: dict[str, Any]) -> dict[str, Any]:
    asserted = msgspec.convert(simulated.get("assertions", []), list[AssertionResult])
    return {
        "ok": simulated["ok"],
        "outcome": simulated["outcome"],
        "output": simulated.get("output", ""),
        "simulator_error": simulated.get("simulator_error", ""),
        "assertions": [msgspec.structs.asdict(one) for one in asserted],
        "pass_rate": pass_rate(asserted, ok=simulated["ok"]),
    }


def _decoded(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def pass_rate(asserted: Sequence[AssertionResult], *, ok: bool) -> float:
    """Which part of the assertions passed, 0 to 1."""
    if not asserted:
        return float(ok)
    return sum(one.passed for one in asserted) / len(asserted)


# Frames of /ws/{task_id}


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
            return [("PLANNING_COMPLETE", {"modules": names, "estimated_iterations": event.estimated_iterations})]
        case TaskGuided():
            return [("GUIDANCE_ACCEPTED", {"guidance": event.guidance, "module": event.node_id})]
        case TaskFinished():
            taken = {"total_time": _spoken(event.duration_s), "duration_s": event.duration_s}
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
        case NodeRetried(stage="simulate" | "assert"):
            return []  # its simulation told it
        case NodeRetried():
            failed = {"test_pass_rate": 0.0, "quality_score": 0.0, "stage": event.stage, "feedback": event.feedback}
            return [("MODULE_ITERATION", {**module, "iteration": event.iteration, **failed})]
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


def _where(event: NodeDeploying | NodeDeployed) -> dict[str, Any]:
    return {"host": event.host, "device": event.device, "job_id": event.job_id}


def _spoken(duration_s: float) -> str:
    minutes, seconds = divmod(duration_s, 60)
    return f"{int(minutes)}m {int(seconds)}s" if minutes else f"{seconds:.1f}s"


def error_frame(task_id: str, detail: str) -> str:
    """What cannot be done with this task, said on its WebSocket."""
    return msgspec.json.encode({"type": "ERROR", "task_id": task_id, "data": {"error": detail}}).decode()


# Lines of /tasks/{id}/logs


def log_lines(event: Event) -> list[str]:
    """``event`` as lines that a person reads with curl: ``[INFO] Planning complete: a, b``."""
    said = _said(event)
    if said is None:
        return []
    level, text = said
    return [f"[{level}] {line}" for line in text.splitlines() or [""]]


def _said(event: Event) -> tuple[str, str] | None:  # noqa: PLR0911 - one line per event
    match event:
        case TaskLog():
            return event.level, event.line if event.node_id is None else f"{event.node_id}: {event.line}"
        case TaskRequested():
            return "INFO", "Task started"
        case TaskClaimed():
            return "INFO", f"{event.runner} took the task"
        case TaskPlanned():
            return "INFO", f"Planning complete: {', '.join(node.node_id for node in event.nodes)}"
        case TaskGuided():
            return "INFO", f"Guidance: {event.guidance}"
        case TaskFinished():
            return "INFO", f"Task complete after {_spoken(event.duration_s)}"
        case TaskFailed():
            return "ERROR", f"Task failed: {event.reason}"
        case TaskCancelled():
            return "WARNING", "Task cancelled"
        case _:
            said = _said_of_node(event)
            return None if said is None else (said[0], f"{getattr(event, 'node_id', '')}: {said[1]}")


def _said_of_node(event: Event) -> tuple[str, str] | None:  # noqa: C901, PLR0911 - one line per event
    match event:
        case NodeStarted():
            return "INFO", f"started, for {event.board}"
        case NodeGenerated():
            return "INFO", f"generated {', '.join(event.sources)} (iteration {event.iteration})"
        case NodeCompiled(ok=True):
            return "INFO", f"compiled: {event.flash_bytes} bytes of flash, {event.ram_bytes} of RAM"
        case NodeCompiled():
            return "WARNING", f"does not compile: {event.diagnostics}"
        case NodeSimulated():
            return "INFO" if event.ok else "WARNING", f"simulated: {event.outcome}"
        case NodeRetried():
            return "WARNING", f"iteration {event.iteration} did not pass ({event.stage})"
        case NodeImageStored():
            return "INFO", f"image of {event.image.size_bytes} bytes stored"
        case NodeDeploying():
            return "INFO", f"flashing {event.device} on {event.host}"
        case NodeDeployed():
            return "INFO", f"{event.device} printed: {event.line}"
        case NodeSucceeded():
            return "INFO", "complete"
        case NodeFailed():
            return "ERROR", f"failed: {event.reason}"
        case _:
            return None
