"""A code task: planned, its modules made as soon as those are there that they need, and brought to an end."""

import asyncio
import time
from datetime import UTC, datetime

from benchwire.agent.author import telling, tries_of
from benchwire.agent.claim import Claim
from benchwire.agent.code import plan, prompt
from benchwire.agent.code.module import GaveUp, Module
from benchwire.agent.code.plan import CannotPlan, Outline
from benchwire.agent.errors import ModelFailed
from benchwire.agent.lab import Lab
from benchwire.agent.model.endpoint import NOT_CONFIGURED
from benchwire.agent.task import Task
from benchwire.events.live import TaskLog
from benchwire.events.task import NodeSpec, TaskFailed, TaskFinished, TaskPlanned, TaskRequested

CODE = "code"

End = TaskFinished | TaskFailed


async def run(task: Task, claim: Claim, lab: Lab) -> End:
    """Makes what is left of ``task``; returns the event that ends it, not yet written. Raises ``ClaimLost`` and ``LogUnavailable``.

    A cancel closes the model's streams and ends what is tested.
    """
    started = time.monotonic()
    request = task.request
    assert request is not None, "a claim stands after a request"
    try:
        nodes = await _planned(task, request, claim, lab)
    except (CannotPlan, ModelFailed) as error:
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason=str(error))
    making = _Making(lab, claim, task, request, nodes)
    await making.run()
    if making.failures:
        reason = "\n".join(f"{name}: {why}" for name, why in making.failures.items())
        return TaskFailed(timestamp=_now(), task_id=request.task_id, reason=reason)
    return TaskFinished(timestamp=_now(), task_id=request.task_id, duration_s=round(time.monotonic() - started, 3))


class _Making:
    """Makes ``nodes``, which stand after those that they need. ``failures`` are the modules that came to nothing, and why."""

    def __init__(self, lab: Lab, claim: Claim, task: Task, request: TaskRequested, nodes: list[NodeSpec]) -> None:
        self.failures: dict[str, Exception] = {}
        self._lab = lab
        self._claim = claim
        self._task = task
        self._request = request
        self._nodes = nodes
        drafts = task.drafts
        self._sources = {name: drafts[name].sources[name] for name in task.succeeded if name in drafts}

    async def run(self) -> None:
        """Raises ``ClaimLost`` and ``LogUnavailable``."""
        making: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            for node in self._nodes:
                if node.node_id not in self._sources:
                    needs = [making[name] for name in node.depends_on if name in making]
                    making[node.node_id] = tasks.create_task(self._one(node, needs))

    async def _one(self, node: NodeSpec, needs: list[asyncio.Task[None]]) -> None:
        if needs:
            await asyncio.wait(needs)
        needed = {name: self._sources[name] for name in plan.needed_by(node, self._nodes) if name in self._sources}
        module = Module(self._lab, self._claim, self._request, node, needed)
        missing = [name for name in node.depends_on if name not in self._sources]
        if missing:
            self.failures[node.node_id] = GaveUp(f"it needs {', '.join(missing)}, which came to nothing")
            await module.failed(self.failures[node.node_id])
            return
        made = await module.run(self._task)
        if isinstance(made, str):
            self._sources[node.node_id] = made
        else:
            self.failures[node.node_id] = made


async def _planned(task: Task, request: TaskRequested, claim: Claim, lab: Lab) -> list[NodeSpec]:
    """The modules. Raises ``CannotPlan`` and ``ModelFailed``, also when what is left of them could not be made on this host."""
    if task.plan is not None and all(node.node_id in task.succeeded for node in task.plan):
        return list(task.plan)  # only its end was never written
    if lab.sandbox.refusal is not None:  # said before a model is paid for a plan
        raise CannotPlan(lab.sandbox.refusal)
    if task.plan is not None:
        nodes = list(task.plan)
    else:
        planned = _given(request) if request.nodes else await _outlined(request, claim, lab)
        planned = lab.log.published(planned)  # what is made is what the log says
        await claim.append(planned)
        nodes = planned.nodes
    left = [node for node in nodes if node.node_id not in task.succeeded]
    if lab.model is None and all(node.sources is None for node in left):
        raise ModelFailed(NOT_CONFIGURED)
    return nodes


def _given(request: TaskRequested) -> TaskPlanned:
    nodes = plan.given(request)
    estimated = sum(tries_of(request, node) for node in nodes)
    return TaskPlanned(timestamp=_now(), task_id=request.task_id, nodes=nodes, estimated_iterations=estimated)


async def _outlined(request: TaskRequested, claim: Claim, lab: Lab) -> TaskPlanned:
    """The model's plan. Raises ``CannotPlan`` and ``ModelFailed``."""
    wanted = "\n".join([request.prompt, *request.answers])
    if not wanted.strip():
        raise CannotPlan("the task has neither a prompt nor modules")
    if lab.model is None:
        raise ModelFailed(NOT_CONFIGURED)

    async def say(line: str) -> None:
        await _say(claim, request, line)

    await say(f"{lab.model.name} plans the modules")
    model = await lab.model.model()
    parsed = await model.parsed(
        [{"role": "user", "content": prompt.plan(wanted)}], system=prompt.PLAN, kind=Outline, check=_check,
        hear=telling(lab.model.name, say),
    )  # fmt: skip
    nodes = plan.outlined(parsed.value)
    return TaskPlanned(
        timestamp=_now(), task_id=request.task_id, nodes=nodes, summary=parsed.value.summary,
        estimated_iterations=sum(tries_of(request, node) for node in nodes), model=parsed.model,
        input_tokens=parsed.input_tokens, output_tokens=parsed.output_tokens, duration_s=round(parsed.duration_s, 3),
    )  # fmt: skip


def _check(outline: Outline) -> None:
    plan.outlined(outline)


async def _say(claim: Claim, request: TaskRequested, line: str) -> None:
    await claim.sample(TaskLog(timestamp=_now(), task_id=request.task_id, line=line))


def _now() -> datetime:
    return datetime.now(UTC)
