"""Where a task of the lab stands, as somebody sees it who watches: folded from events. Pure."""

from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from benchwire.deploy.story import first_problem
from benchwire.events import flash, live, task
from benchwire.events.event import Artifact, Event
from benchwire.events.task import AssertionResult

DIAGNOSTICS_LINES = 6
OUTPUT_LINES = 8
SERIAL_LINES = 6

Value = TypeVar("Value")


class Retry(Struct, frozen=True):
    """A try that did not pass: where it ended, and the few words that say why."""

    iteration: int
    stage: str
    why: str = ""


class Node(Struct, frozen=True, kw_only=True):
    """One firmware on its way. ``stage`` is what happens now; ``builds`` and ``simulated`` are None before the compiler or simulator spoke.

    ``diagnostics`` and ``output`` are the last words of compiler and simulated board; ``line`` is what the real board printed.
    """

    node_id: str
    board: str
    stage: str = "waiting"
    iteration: int = 0
    retries: tuple[Retry, ...] = ()
    builds: bool | None = None
    diagnostics: tuple[str, ...] = ()
    flash_bytes: int = 0
    flash_limit_bytes: int = 0
    ram_bytes: int = 0
    ram_limit_bytes: int = 0
    simulated: bool | None = None
    outcome: str = ""
    output: tuple[str, ...] = ()
    assertions: tuple[AssertionResult, ...] = ()
    image: Artifact | None = None
    job_id: str | None = None
    line: str = ""
    reason: str = ""


class Job(Struct, frozen=True, kw_only=True):
    """One flash job; ``stage`` is ``requested``, then the tool's own, at last ``completed``, ``failed`` or ``cancelled``."""

    job_id: str
    device: str
    stage: str = "requested"
    done_bytes: int = 0
    total_bytes: int = 0
    speed_bytes_per_s: float = 0.0
    samples: int = 0
    duration_s: float = 0.0
    verified_by: str = ""
    error: str = ""


class State(Struct, frozen=True, kw_only=True):
    """One task and its boards. Only events of ``task_id`` count for it, its nodes and jobs; ``status`` is empty before it was requested.

    ``serial`` holds the last lines of each device; ``facts`` and ``samples`` count everything that was heard.
    """

    task_id: str = ""
    status: str = ""
    reason: str = ""
    duration_s: float = 0.0
    nodes: dict[str, Node] = {}
    jobs: dict[str, Job] = {}
    serial: dict[str, tuple[str, ...]] = {}
    facts: int = 0
    samples: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the task has ended, well or not."""
        return self.status in ("finished", "failed", "cancelled")


def evolve(state: State, event: Event) -> State:
    """The state after ``event``."""
    state = _counted(state, event)
    if isinstance(event, live.SerialLine):
        return _printed(state, event)
    if isinstance(event, task.TaskEvent):
        return _of_task(state, event) if event.task_id == state.task_id else state
    if isinstance(event, flash.FlashEvent | live.FlashProgress):
        return _of_flash(state, event)
    return state


def _counted(state: State, event: Event) -> State:
    if isinstance(event, live.LiveEvent):
        return replace(state, samples=state.samples + 1)
    return replace(state, facts=state.facts + 1)


def _printed(state: State, event: live.SerialLine) -> State:
    lines = (*state.serial.get(event.device, ()), event.line)[-SERIAL_LINES:]
    return replace(state, serial=_with(state.serial, event.device, lines))


def _of_task(state: State, event: task.TaskEvent) -> State:  # noqa: PLR0911 - one line per kind of event
    match event:
        case task.TaskRequested():
            return replace(state, status="requested", nodes=_planned(event.nodes))
        case task.TaskClaimed():
            return replace(state, status="claimed")
        case task.TaskPlanned():
            return replace(state, status="running", nodes=_planned(event.nodes) | state.nodes)
        case task.TaskFinished():
            return replace(state, status="finished", duration_s=event.duration_s)
        case task.TaskFailed():
            return replace(state, status="failed", reason=event.reason)
        case task.TaskCancelled():
            return replace(state, status="cancelled", reason=event.reason or "")
        case task.TaskGuided() | task.TaskCancelRequested():
            return state
        case _:
            node = state.nodes.get(event.node_id, Node(node_id=event.node_id, board=""))
            return replace(state, nodes=_with(state.nodes, event.node_id, _of_node(node, event)))


def _planned(nodes: list[task.NodeSpec]) -> dict[str, Node]:
    return {one.node_id: Node(node_id=one.node_id, board=one.board) for one in nodes}


def _of_node(node: Node, event: task.TaskEvent) -> Node:  # noqa: C901, PLR0911 - one line per kind of event
    match event:
        case task.NodeStarted():
            return replace(node, board=event.board, stage="generating", iteration=max(node.iteration, 1))
        case task.NodeGenerated():
            fresh = replace(node, builds=None, diagnostics=(), simulated=None, outcome="", output=(), assertions=())
            return replace(fresh, stage="compiling", iteration=event.iteration)
        case task.NodeCompiled():
            return _compiled(node, event)
        case task.NodeSimulated():
            return replace(
                node, stage="simulated" if event.ok else "simulation failed", iteration=event.iteration, simulated=event.ok,
                outcome=event.outcome, output=_last(event.output, OUTPUT_LINES), assertions=tuple(event.assertions),
            )  # fmt: skip
        case task.NodeRetried():
            retries = (*node.retries, Retry(event.iteration, event.stage, _why(node, event)))
            return replace(node, stage="generating", iteration=event.iteration + 1, retries=retries)
        case task.NodeImageStored():
            return replace(node, stage="image stored", image=event.image)
        case task.NodeDeploying():
            return replace(node, stage="flashing", job_id=event.job_id)
        case task.NodeDeployed():
            return replace(node, stage="heard", line=event.line)
        case task.NodeSucceeded():
            return replace(node, stage="succeeded")
        case task.NodeFailed():
            return replace(node, stage="failed", reason=event.reason)
        case _:
            return node


def _why(node: Node, event: task.NodeRetried) -> str:
    """Of an output that is not what was asserted, what was missed; of everything else, the first complaint."""
    missed = [one.name for one in node.assertions if one.required and not one.passed]
    return f"missed: {', '.join(missed)}" if event.stage == "assert" and missed else first_problem(event.feedback)


def _compiled(node: Node, event: task.NodeCompiled) -> Node:
    said = [line for line in event.diagnostics.splitlines() if line.strip()]
    return replace(
        node, stage="simulating" if event.ok else "does not build", iteration=event.iteration, builds=event.ok,
        diagnostics=tuple(said[:DIAGNOSTICS_LINES]), flash_bytes=event.flash_bytes, flash_limit_bytes=event.flash_limit_bytes,
        ram_bytes=event.ram_bytes, ram_limit_bytes=event.ram_limit_bytes,
    )  # fmt: skip


def _of_flash(state: State, event: flash.FlashEvent | live.FlashProgress) -> State:
    if isinstance(event, flash.FlashRequested) and event.task_id == state.task_id:
        fresh = Job(job_id=event.job_id, device=event.device, total_bytes=event.image.size_bytes)
        return replace(state, jobs=_with(state.jobs, event.job_id, fresh))
    job = state.jobs.get(event.job_id)
    return state if job is None else replace(state, jobs=_with(state.jobs, event.job_id, _of_job(job, event)))


def _of_job(job: Job, event: flash.FlashEvent | live.FlashProgress) -> Job:  # noqa: PLR0911 - one line per kind of event
    match event:
        case flash.FlashStarted():
            return replace(job, stage="started", total_bytes=event.total_bytes)
        case live.FlashProgress() if _ended(job):
            return replace(job, samples=job.samples + 1)  # it came on another way, and late
        case live.FlashProgress(total_bytes=0):
            return replace(job, stage=event.stage, samples=job.samples + 1)
        case live.FlashProgress():
            return replace(
                job, stage=event.stage, done_bytes=event.done_bytes, total_bytes=event.total_bytes,
                speed_bytes_per_s=event.speed_bytes_per_s or job.speed_bytes_per_s, samples=job.samples + 1,
            )  # fmt: skip
        case flash.FlashPaused():
            return replace(job, stage="paused")
        case flash.FlashResumed():
            return replace(job, stage="resumed")
        case flash.FlashCompleted():
            return replace(
                job, stage="completed", done_bytes=event.total_bytes, total_bytes=event.total_bytes,
                duration_s=event.duration_s, verified_by=event.verified_by,
            )  # fmt: skip
        case flash.FlashFailed():
            return replace(job, stage="failed", error=event.error)
        case flash.FlashCancelled():
            return replace(job, stage="cancelled", error=event.reason or "")
        case _:
            return job


def _ended(job: Job) -> bool:
    return job.stage in ("completed", "failed", "cancelled")


def _last(text: str, count: int) -> tuple[str, ...]:
    return tuple(line for line in text.splitlines() if line.strip())[-count:]


def _with(known: dict[str, Value], key: str, value: Value) -> dict[str, Value]:
    return {**known, key: value}
