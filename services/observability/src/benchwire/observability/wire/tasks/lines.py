"""Lines of ``/tasks/{id}/logs``."""

from benchwire.events.event import Event
from benchwire.events.live import TaskLog
from benchwire.events.task import (
    NodeAssigned,
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
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskGuided,
    TaskPlanned,
    TaskRequested,
)
from benchwire.observability.wire.tasks.frames import spoken


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
            names = ", ".join(node.node_id for node in event.nodes)
            return "INFO", f"Planning complete: {names}" + (f"\n{event.summary}" if event.summary else "")
        case TaskGuided():
            return "INFO", f"Guidance: {event.guidance}"
        case TaskFinished():
            return "INFO", f"Task complete after {spoken(event.duration_s)}"
        case TaskFailed():
            return "ERROR", f"Task failed: {event.reason}"
        case TaskCancelled():
            return "WARNING", "Task cancelled"
        case TaskCancelRequested():
            return "INFO", "Task is asked to end"
        case _:
            said = _said_of_node(event)
            return None if said is None else (said[0], f"{getattr(event, 'node_id', '')}: {said[1]}")


def _said_of_node(event: Event) -> tuple[str, str] | None:  # noqa: C901, PLR0911, PLR0912 - one line per event
    match event:
        case NodeStarted():
            return "INFO", f"started, for {event.board}" if event.board else "started"
        case NodeGenerated():
            return "INFO", f"generated {', '.join(event.sources)} (iteration {event.iteration})"
        case NodeCompiled(ok=True):
            return "INFO", f"compiled: {event.flash_bytes} bytes of flash, {event.ram_bytes} of RAM"
        case NodeCompiled():
            return "WARNING", f"does not compile: {event.diagnostics}"
        case NodeSimulated():
            beside = f" together with {', '.join(event.together_with)}" if event.together_with else ""
            return "INFO" if event.ok else "WARNING", f"simulated{beside}: {event.outcome}"
        case NodeTested():
            ran = event.tests_passed + event.tests_failed
            said = f"tested: {event.outcome}, {event.tests_passed} of {ran} tests passed, quality {event.quality_score:.2f}"
            return "INFO" if event.ok else "WARNING", said
        case NodeRetried():
            return "WARNING", f"iteration {event.iteration} did not pass ({event.stage}): {_first_line(event.feedback)}"
        case NodeImageStored():
            return "INFO", f"image of {event.image.size_bytes} bytes stored"
        case NodeAssigned():
            where = f" on {event.host}" if event.host else ""
            return (
                "INFO",
                f"is for {event.device}{where} from now on" if event.device else "is for any board of its kind again",
            )
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


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:200]
