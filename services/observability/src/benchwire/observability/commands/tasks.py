"""Tasks: guided, cancelled, closed."""

from datetime import datetime

from benchwire.events.event import Event
from benchwire.events.task import TaskCancelled, TaskCancelRequested, TaskFailed, TaskGuided
from benchwire.observability import errors
from benchwire.observability.task import Task
from benchwire.observability.wire.requests import Guide


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
