"""A task as a person reads it: a line for what happens, a table for what came of it, and why it did not work. Pure."""

from typing import Any

from rich.table import Table

from benchwire.deploy.story import first_problem, shown, size
from benchwire.events.journal import printable


def line(frame: dict[str, Any], *, named: bool = False) -> str:
    """What a frame of the task's WebSocket says to a person; empty for what need not be said. ``named``: of which module it is."""
    said = _said(frame)
    module = (frame.get("data") or {}).get("module")
    return f"{shown(module, 40)}: {said}" if said and named and module else said


def _said(frame: dict[str, Any]) -> str:  # noqa: C901, PLR0911, PLR0912 - one line per kind of frame
    data = frame.get("data") or {}
    match frame.get("type"):
        case "PLANNING_COMPLETE":
            return f"planned: {', '.join(shown(one, 40) for one in data.get('modules', []))}"
        case "GUIDANCE_ACCEPTED":
            return f"guidance: {shown(data.get('guidance'))}"
        case "MODULE_STARTED":
            return f"building for {shown(data['board'], 40)}" if data.get("board") else "begun"
        case "MODULE_GENERATED" if data.get("model"):
            return f"try {data.get('iteration')}: written by {shown(data['model'], 60)}"
        case "MODULE_COMPILED" if data.get("ok"):
            return f"built: flash {size(data.get('flash_bytes', 0))}, RAM {size(data.get('ram_bytes', 0))}"
        case "MODULE_COMPILED":
            return "does not build"
        case "MODULE_ITERATION" if "measures" in data:
            ran = data.get("tests_passed", 0) + data.get("tests_failed", 0)
            passed = f"{data.get('tests_passed', 0)} of {ran} tests pass"
            return f"tested: {shown(data['outcome'], 30)}, {passed}, quality {data.get('quality_score', 0):.2f}"
        case "MODULE_ITERATION" if "outcome" in data:
            return (
                f"simulated: {shown(data['outcome'], 30)}, {data.get('test_pass_rate', 0):.0%} of the assertions hold"
            )
        case "MODULE_ITERATION":
            return f"failed at {shown(data.get('stage'), 30)}: {first_problem(str(data.get('feedback', '')))}"
        case "MODULE_IMAGE_STORED":
            return f"image: {size(data.get('size', 0))}, sha256 {shown(str(data.get('digest'))[:12])}"
        case "MODULE_DEPLOYING":
            return f"flashing {shown(data.get('device'), 60)} at {shown(data.get('host'), 60)}"
        case "MODULE_DEPLOYED":
            return f"{shown(data.get('device'), 60)} printed: {shown(data.get('line'))}"
        case "MODULE_FAILED":
            return f"failed: {first_problem(str(data.get('error', '')))}"
        case "TASK_COMPLETE":
            return f"finished in {data.get('duration_s', 0):.1f} s"
        case "ERROR":
            return shown(data.get("error"))
        case _:
            return ""


def reason(results: dict[str, Any]) -> str:
    """Why a task did not do what was asked, from its results; empty when it did."""
    if results["status"] == "completed":
        return ""
    said: list[str] = []
    for module in results.get("modules", []):
        said += _why((module.get("iterations") or [{}])[-1])
    error = str(results.get("error") or "")
    if said:  # its other lines are the feedback that a model would get: the same in other words
        error = error.partition("\n")[0]
    return "\n".join([f"the task {results['status']}{f': {error}' if error else ''}", *said])


def _why(last: dict[str, Any]) -> list[str]:
    said: list[str] = []
    if last.get("compiled") is False:
        said += [f"  {line}" for line in last.get("diagnostics", "").splitlines()[:20]]
    simulation = last.get("simulation") or {}
    missed = [one for one in simulation.get("assertions", []) if not one["passed"] and one["required"]]
    said += [f"  not shown by the simulation: {shown(one['name'])} ({shown(one['detail'])})" for one in missed]
    if missed or simulation.get("ok") is False:
        said += [f"  | {shown(line)}" for line in simulation.get("output", "").splitlines()[-20:]]
    tests = last.get("tests") or {}
    if tests.get("ok") is False:
        said += [f"  | {printable(line)}" for line in tests.get("report", "").splitlines()[-20:]]
    return said


def table_of(results: dict[str, Any]) -> Table:
    """What became of each node or module."""
    table = Table("module", "board", "state", "tries", "what", box=None, pad_edge=False)
    for one in results.get("modules", []):
        tries = str(len(one.get("iterations") or []))
        table.add_row(
            shown(one["name"], 40), shown(one.get("board") or "", 30), shown(one["state"], 20), tries, _proof(one)
        )
    return table


def _proof(module: dict[str, Any]) -> str:
    if tests := (module.get("iterations") or [{}])[-1].get("tests"):
        measures = ", ".join(f"{shown(name, 20)} {value:.2f}" for name, value in tests.get("measures", {}).items())
        return f"quality {tests['quality_score']:.2f} ({measures})"
    told = []
    if memory := module.get("memory"):
        told.append(f"flash {size(memory['flash_bytes'])}, RAM {size(memory['ram_bytes'])}")
    if simulation := module.get("simulation"):
        held = sum(one["passed"] for one in simulation["assertions"])
        told.append(f"{held} of {len(simulation['assertions'])} assertions hold")
    if deployed := module.get("deployed"):
        on = f"{shown(deployed['device'], 40)} at {shown(deployed['host'], 40)}"
        told.append(f"{on} printed: {shown(deployed['line'])}" if deployed.get("line") else f"on {on}")
    return "; ".join(told)
