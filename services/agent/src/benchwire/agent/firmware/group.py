"""Nodes that are simulated together, because their UARTs are joined; most often it is one alone.

Each is built for itself. Then all run at once, and each is judged by what it printed itself. Those that fail are written anew, with what
failed; those that passed keep their firmware and take part again, until all pass in the same run. What passed is stored then, and
goes onto the boards.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

from benchwire.agent import scratch
from benchwire.agent.claim import Claim
from benchwire.agent.firmware.node import ENDS, GaveUp, Node
from benchwire.agent.firmware.plan import joined_to
from benchwire.agent.firmware.trial import Built, Rejected
from benchwire.agent.lab import Lab
from benchwire.agent.task import Task
from benchwire.agent.tools import simulator
from benchwire.agent.tools.simulator import Simulation
from benchwire.agent.work import Work
from benchwire.events import tracing
from benchwire.events.task import NodeImageStored, NodeSpec, TaskRequested, UartLink

MAX_OUTPUT_BYTES = 128 * 1024  # a byte may take six in JSON, and an event has to stay under 1 MiB
SIMULATION_S = (0.1, 300.0)

Result = TypeVar("Result")


class _Ended(Exception):
    """A node ended, and with it all that are joined to it."""

    def __init__(self, node: Node, error: Exception) -> None:
        super().__init__(str(error))
        self.node = node
        self.error = error


class Group:
    """Makes the nodes of ``specs``, which ``links`` join."""

    def __init__(
        self, lab: Lab, claim: Claim, work: Work, request: TaskRequested, specs: Sequence[NodeSpec],
        *, links: Sequence[UartLink],
    ) -> None:  # fmt: skip
        by_name = {one.node_id: one for one in specs}
        self._joined = {name: joined_to(name, links) for name in by_name}
        self._nodes = [
            Node(lab, claim, work, request, spec, joined=[by_name[name] for name in self._joined[spec.node_id]])
            for spec in specs
        ]
        self._lab = lab
        self._task_id = request.task_id
        self._timeout_s = min(max(request.simulation_timeout_s, SIMULATION_S[0]), SIMULATION_S[1])

    async def run(self, task: Task) -> dict[str, str]:
        """Why which node failed; empty when all succeeded. ``task`` tells what an earlier runner left of them.

        Raises ``ClaimLost`` and ``LogUnavailable``.
        """
        names = ", ".join(node.name for node in self._nodes)
        with tracing.span("node", node_id=names):
            failures = await self._run(task)
            if failures:
                tracing.failed("; ".join(failures.values()))
            return failures

    async def _run(self, task: Task) -> dict[str, str]:
        for node in self._nodes:
            await node.begin(task)
        try:
            stored = await self._stored(task)
        except _Ended as ended:
            return await self._given_up(ended)
        except OSError as error:
            return {node.name: await node.failed(error) for node in self._nodes if not node.is_over}
        left = [node for node in self._nodes if not node.is_over]
        async with asyncio.TaskGroup() as tasks:
            ending = {one.name: tasks.create_task(one.finished(stored[one.name], task)) for one in left}
        return {name: reason for name, one in ending.items() if (reason := one.result()) is not None}

    async def _stored(self, task: Task) -> dict[str, NodeImageStored]:
        """The images that passed, by node. Raises ``_Ended``, ``ClaimLost``, ``LogUnavailable`` and OSError."""
        before = {node.name: task.stored[node.name] for node in self._nodes if node.name in task.stored}
        if len(before) == len(self._nodes):
            return before
        async with scratch.folder(self._lab.settings.home / "builds") as folder:
            for number, node in enumerate(self._nodes):
                await node.works_in(folder / str(number), self._timeout_s)
            builds = await self._passed(before)
            return {node.name: await _or_ended(node, node.keep(builds[node.name])) for node in self._nodes}

    async def _passed(self, before: Mapping[str, NodeImageStored]) -> dict[str, Built]:
        """What passed together. Raises as ``_stored``."""
        builds: dict[str, Built] = {}
        for node in self._nodes:
            if node.name in before:
                builds[node.name] = await _or_ended(node, node.taken_over(before[node.name]))
        while True:
            builds |= await self._built([node for node in self._nodes if node.name not in builds])
            rejected = await self._judged(builds)
            if not rejected:
                return builds
            for node in await self._again(rejected):
                del builds[node.name]

    async def _built(self, nodes: Sequence[Node]) -> dict[str, Built]:
        """Firmware for each of ``nodes``, made side by side; the first that ends takes the others along. Raises as ``_stored``."""
        ended: _Ended | None = None
        building: dict[str, asyncio.Task[Built]] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                for node in nodes:
                    building[node.name] = tasks.create_task(_or_ended(node, node.built()))
        except* _Ended as group:
            ended = _first(group)
        if ended is not None:
            raise ended
        return {name: one.result() for name, one in building.items()}

    async def _judged(self, builds: Mapping[str, Built]) -> dict[str, Rejected]:
        """Runs all of them; what is wrong with which. Raises as ``_stored``."""
        places = {node.name: place for place, node in enumerate(self._nodes)}
        seats = [
            node.seat(builds[node.name], tuple(places[other] for other in self._joined[node.name]))
            for node in self._nodes
        ]
        async with self._lab.simulating.taken(self._task_id, len(seats)):
            simulations = await simulator.together(
                seats, self._lab.sandbox, timeout_s=self._timeout_s, max_bytes=MAX_OUTPUT_BYTES
            )
        ran: dict[str, Simulation] = dict(zip(places, simulations, strict=True))
        rejected: dict[str, Rejected] = {}
        for node in self._nodes:
            others = {name: ran[name].output for name in self._joined[node.name]}
            together_with = [name for name in places if name != node.name]
            result = await _or_ended(node, node.judged(ran[node.name], together_with, others))
            if result is not None:
                rejected[node.name] = result
        return rejected

    async def _again(self, rejected: Mapping[str, Rejected]) -> list[Node]:
        """Those that have to be written anew, and were told why. Raises as ``_stored``.

        While one is broken in itself, nothing is known of the others. One that cannot be written anew may have failed for what another did.
        """
        broken = {name for name, one in rejected.items() if one.is_own} or rejected.keys()
        failed = [node for node in self._nodes if node.name in broken]
        again = [node for node in failed if node.can_try_again()]
        for node in failed:
            if node in again:
                continue
            if rejected[node.name].is_own or not node.is_given or not again:
                await _or_ended(node, node.rejected(rejected[node.name]))
        for node in again:
            await _or_ended(node, node.rejected(rejected[node.name]))
        return again

    async def _given_up(self, ended: _Ended) -> dict[str, str]:
        reasons = {ended.node.name: await ended.node.failed(ended.error)}
        for node in self._nodes:
            if node is not ended.node and not node.is_over:
                why = GaveUp(f"{ended.node.name}, which it is joined to, came to nothing")
                reasons[node.name] = await node.failed(why)
        return reasons


async def _or_ended(node: Node, step: Awaitable[Result]) -> Result:
    """What ``step`` gives. Raises ``_Ended`` for what ends the node."""
    try:
        return await step
    except ENDS as error:
        raise _Ended(node, error) from error


def _first(group: BaseExceptionGroup[_Ended]) -> _Ended:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, _Ended), "the group has no other"
    return error
