"""How far tasks are, and what they made."""

from collections.abc import Sequence
from typing import Any

import msgspec

from benchwire.events.task import AssertionResult, NodeTested
from benchwire.observability.queries import Row, TaskView
from benchwire.observability.task import Status, Task

_ENDED = ("success", "failed", "skipped")
_SIZES = ("flash_bytes", "ram_bytes", "flash_limit_bytes", "ram_limit_bytes")


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
        "quality_target": view.task["quality_target"],
        "summary": view.task["summary"],
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
    by_node = tried(iterations)
    return {
        "task_id": view.task["task_id"],
        "status": view.task["status"],
        "kind": view.task["kind"],
        "error": view.task["reason"],
        "duration_s": view.task["duration_s"],
        "summary": view.task["summary"],
        "links": decoded(view.task["links"]),
        "modules": [_module(node, by_node.get(node["node_id"], [])) for node in view.nodes],
    }


def _module(node: Row, iterations: list[dict[str, Any]]) -> dict[str, Any]:
    # A try that brought nothing is no reason to show nothing: what is shown belongs together, and is of the last that did.
    last: dict[str, Any] = next((one for one in reversed(iterations) if one["sources"]), {"sources": {}})
    sources, simulation, tests = last["sources"], last.get("simulation"), last.get("tests") or {}
    is_code = not node["board"]
    code = sources.get(node["node_id"], "") if is_code else "\n".join(sources.values())
    asserted = (simulation or {}).get("assertions", [])
    return {
        "name": node["node_id"],
        "code": code,
        "tests": sources.get(f"test_{node['node_id']}", "") if is_code else "\n".join(one["name"] for one in asserted),
        "quality_score": tests.get("quality_score", 0.0) if is_code else (simulation or {}).get("pass_rate", 0.0),
        "board": node["board"],
        "description": node["description"],
        "state": node["state"],
        "error": node["reason"],
        "sources": sources,
        "measures": tests.get("measures", {}),
        "weights": tests.get("weights", {}),
        "report": tests.get("report", ""),
        "depends_on": decoded(node["spec"]).get("depends_on", []),
        "image": decoded(node["image"]),
        "elf": decoded(node["elf"]),
        "memory": last.get("memory"),
        "simulation": simulation,
        "deployed": deployed(node),
        "iterations": iterations,
    }


def end_in_words(after: Task) -> str:
    """What came of it that somebody asked a task to end."""
    if after.is_running:
        return "Task is asked to end; its runner has not answered yet"
    return f"Task is {after.status}" + (f": {after.reason}" if after.reason else "")


def deployed(node: Row) -> dict[str, str | None] | None:
    """Where a node's image went, and what the board said."""
    if not node["job_id"]:
        return None
    return {"host": node["host"], "device": node["device"], "job_id": node["job_id"], "line": node["line"]}


def tried(iterations: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """The iterations of each node, by its name."""
    by_node: dict[str, list[dict[str, Any]]] = {}
    for row in iterations:
        by_node.setdefault(row["node_id"], []).append(_iteration(row))
    return by_node


def _iteration(row: Row) -> dict[str, Any]:
    generated, compiled, simulated, tested, retried = (
        decoded(row[name]) for name in ("generated", "compiled", "simulated", "tested", "retried")
    )
    told: dict[str, Any] = {"iteration": row["iteration"], "sources": (generated or {}).get("sources", {})}
    if compiled is not None:
        told["compiled"] = compiled["ok"]
        told["diagnostics"] = compiled.get("diagnostics", "")
        told["memory"] = {name: compiled.get(name, 0) for name in _SIZES}
    if simulated is not None:
        told["simulation"] = _simulation(simulated)
    if tested is not None:
        told["tests"] = _tests(msgspec.convert(tested, NodeTested))
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
        "together_with": simulated.get("together_with", []),
        "assertions": [msgspec.structs.asdict(one) for one in asserted],
        "pass_rate": pass_rate(asserted, ok=simulated["ok"]),
    }


def _tests(tested: NodeTested) -> dict[str, Any]:
    told = (
        "ok",
        "outcome",
        "tests_passed",
        "tests_failed",
        "lint_findings",
        "type_errors",
        "measures",
        "weights",
        "quality_score",
        "report",
    )
    return {**{name: getattr(tested, name) for name in told}, "pass_rate": tests_rate(tested)}


def decoded(text: str | None) -> Any:
    """What a column holds as JSON."""
    return None if text is None else msgspec.json.decode(text)


def pass_rate(asserted: Sequence[AssertionResult], *, ok: bool) -> float:
    """Which part of the assertions passed, 0 to 1."""
    if not asserted:
        return float(ok)
    return sum(one.passed for one in asserted) / len(asserted)


def tests_rate(tested: NodeTested) -> float:
    """Which part of a module's tests passed, 0 to 1."""
    ran = tested.tests_passed + tested.tests_failed
    return tested.tests_passed / ran if ran else 0.0
