"""A firmware task: planned, its nodes made side by side, and brought to an end."""

import asyncio
import time
from datetime import UTC, datetime

from benchwire.agent.author import telling, tries_of
from benchwire.agent.claim import Claim
from benchwire.agent.errors import ModelFailed
from benchwire.agent.firmware.design import NotDesigned, designed
from benchwire.agent.firmware.group import Group
from benchwire.agent.firmware.plan import CannotPlan, groups, plan
from benchwire.agent.lab import Lab
from benchwire.agent.model.endpoint import NOT_CONFIGURED
from benchwire.agent.task import Task
from benchwire.agent.work import Work
from benchwire.events.live import TaskLog
from benchwire.events.task import NodeSpec, TaskFailed, TaskFinished, TaskPlanned, TaskRequested, UartLink

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
        nodes, links = await _planned(task, request, claim, lab)
    except (CannotPlan, NotDesigned, ModelFailed) as error:
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason=str(error))
    left = [node for node in nodes if node.node_id not in task.succeeded]
    if lab.model is None and left and all(node.sources is None for node in left):
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason=NOT_CONFIGURED)
    making = []
    async with asyncio.TaskGroup() as tasks:
        for specs in groups(nodes, links):
            if any(one in left for one in specs):
                group = Group(lab, claim, work, request, specs, links=links)
                making.append(tasks.create_task(group.run(task)))
    failures = {name: reason for one in making for name, reason in one.result().items()}
    if failures:
        reason = "\n".join(f"{name}: {why}" for name, why in failures.items())
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason=reason)
    return TaskFinished(timestamp=_now(), task_id=request.task_id, duration_s=round(time.monotonic() - started, 3))


async def _planned(task: Task, request: TaskRequested, claim: Claim, lab: Lab) -> tuple[list[NodeSpec], list[UartLink]]:
    if task.plan is not None:
        return list(task.plan), list(task.links)
    if request.kind != FIRMWARE:
        raise CannotPlan(f"tasks of kind {request.kind!r} are not made here; firmware and code are")
    planned = _given(request) if request.nodes else await _designed(request, claim, lab)
    planned = lab.log.published(planned)  # what is made is what the log says
    await claim.append(planned)
    return planned.nodes, planned.links


def _given(request: TaskRequested) -> TaskPlanned:
    nodes = plan(request)
    return TaskPlanned(
        timestamp=_now(), task_id=request.task_id, nodes=nodes, links=request.links,
        estimated_iterations=_estimated(request, nodes),
    )  # fmt: skip


async def _designed(request: TaskRequested, claim: Claim, lab: Lab) -> TaskPlanned:
    if lab.model is None:
        raise ModelFailed(NOT_CONFIGURED)

    async def say(line: str) -> None:
        await _say(claim, request, line)

    await say(f"{lab.model.name} designs the system")
    system = await designed(
        lab.model, prompt=request.prompt, answers=request.answers, board=request.board, deploy=request.deploy,
        hear=telling(lab.model.name, say),
    )  # fmt: skip
    return TaskPlanned(
        timestamp=_now(), task_id=request.task_id, nodes=system.nodes, links=system.links, summary=system.summary,
        estimated_iterations=_estimated(request, system.nodes), model=system.model, input_tokens=system.input_tokens,
        output_tokens=system.output_tokens, duration_s=system.duration_s,
    )  # fmt: skip


def _estimated(request: TaskRequested, nodes: list[NodeSpec]) -> int:
    return sum(tries_of(request, node) for node in nodes)


async def _say(claim: Claim, request: TaskRequested, line: str) -> None:
    await claim.sample(TaskLog(timestamp=_now(), task_id=request.task_id, line=line))


def _now() -> datetime:
    return datetime.now(UTC)
