"""Tasks: guided, cancelled, closed; boards for their nodes."""

from collections.abc import Collection
from datetime import datetime

from benchwire.events.event import Event
from benchwire.events.task import NodeAssigned, TaskCancelled, TaskCancelRequested, TaskFailed, TaskGuided
from benchwire.observability import errors
from benchwire.observability.assigned import Place, Places
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


def guide_task(task: Task | None, nodes: Collection[str], task_id: str, asked: Guide, now: datetime) -> Event:
    """Guidance for the next generation; ``nodes`` are those that the task has, none of them while it is not planned.

    Raises ``TaskUnknown``, ``TaskNotRunning`` and ``Unusable``.
    """
    if task is None:
        raise errors.TaskUnknown(task_id)
    if not task.is_running:
        raise errors.TaskNotRunning(task_id, task.status)
    if not asked.guidance.strip():
        raise errors.Unusable("guidance: it is blank; say what the next try should do otherwise")
    if asked.node_id is not None and nodes and asked.node_id not in nodes:
        raise errors.Unusable(f"node_id: the task has no {asked.node_id[:60]!r}; it has {', '.join(nodes)}")
    return TaskGuided(timestamp=now, task_id=task_id, guidance=asked.guidance, node_id=asked.node_id)


def assign_node(places: Places, task_id: str, node_id: str, place: Place, now: datetime) -> Event | None:
    """From now on the node is for the board at ``place``. Raises ``BoardAssigned`` when that is another node's of the same task."""
    if places.get(node_id) == place:
        return None
    other = next((name for name, there in places.items() if name != node_id and there.is_at(place)), None)
    if other is not None:
        raise errors.BoardAssigned(task_id, other, f"{place.device} on {place.host}")
    return NodeAssigned(timestamp=now, task_id=task_id, node_id=node_id, host=place.host, device=place.device)


def unassign_board(places: Places, task_id: str, place: Place, now: datetime) -> Event:
    """The node that has the board at ``place`` is for any of its kind again. Raises ``DeviceNotAssigned`` when no node has it."""
    node_id = next((name for name, there in places.items() if there.is_at(place)), None)
    if node_id is None:
        raise errors.DeviceNotAssigned(task_id, str(place.device))
    return NodeAssigned(timestamp=now, task_id=task_id, node_id=node_id)
