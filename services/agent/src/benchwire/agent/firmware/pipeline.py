"""A firmware task: planned, its nodes made side by side, and brought to an end."""

import asyncio
import time
from datetime import UTC, datetime

from benchwire.agent.claim import Claim
from benchwire.agent.endpoint import NOT_CONFIGURED
from benchwire.agent.firmware.node import MAX_ITERATIONS, Node
from benchwire.agent.firmware.plan import CannotPlan, plan
from benchwire.agent.lab import Lab
from benchwire.agent.task import Task
from benchwire.agent.work import Work
from benchwire.events.live import TaskLog
from benchwire.events.task import NodeSpec, TaskFailed, TaskFinished, TaskPlanned, TaskRequested

FIRMWARE = "firmware"

End = TaskFinished | TaskFailed


async def run(task: Task, claim: Claim, work: Work, lab: Lab) -> End:
    """Makes what is left of ``task``; returns the event that ends it, not yet written. Raises ``ClaimLost`` and ``LogUnavailable``.

    A cancel closes the model's streams and ends what is compiled or simulated.
    """
    started = time.monotonic()
    request = task.request
    assert request is not None, "a claim stands after a request"
    try:
        nodes = await _planned(task, request, claim)
    except CannotPlan as error:
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason=str(error))
    left = [node for node in nodes if node.node_id not in task.succeeded]
    if lab.model is None and left and all(node.sources is None for node in left):
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason=NOT_CONFIGURED)
    async with asyncio.TaskGroup() as tasks:
        making = {node.node_id: tasks.create_task(Node(lab, claim, work, request, node).run(task)) for node in left}
    failures = [f"{name}: {one.result()}" for name, one in making.items() if one.result() is not None]
    if failures:
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason="\n".join(failures))
    return TaskFinished(timestamp=_now(), task_id=request.task_id, duration_s=round(time.monotonic() - started, 3))


async def _planned(task: Task, request: TaskRequested, claim: Claim) -> list[NodeSpec]:
    if task.plan is not None:
        return list(task.plan)
    if request.kind != FIRMWARE:
        raise CannotPlan(f"tasks of kind {request.kind!r} are not made here yet; kind {FIRMWARE!r} is")
    nodes = plan(request)
    tries = min(max(request.max_iterations, 1), MAX_ITERATIONS)
    estimated = sum(tries if node.sources is None else 1 for node in nodes)
    await claim.append(
        TaskPlanned(timestamp=_now(), task_id=request.task_id, nodes=nodes, estimated_iterations=estimated)
    )
    names = ", ".join(f"{node.node_id} ({node.board})" for node in nodes)
    await claim.sample(
        TaskLog(timestamp=_now(), task_id=request.task_id, line=f"planned {len(nodes)} node(s): {names}")
    )
    return nodes


def _now() -> datetime:
    return datetime.now(UTC)
