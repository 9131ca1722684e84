"""One node of a task, from nothing to a board that prints what it has to."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from benchwire.agent.claim import Claim
from benchwire.agent.endpoint import NOT_CONFIGURED
from benchwire.agent.errors import ModelFailed, NotDeployed
from benchwire.agent.firmware.author import Author, Draft, ModelAuthor, NoCode, Person
from benchwire.agent.firmware.deploy import Deployment
from benchwire.agent.firmware.trial import Passed, Rejected, Trial
from benchwire.agent.lab import Lab
from benchwire.agent.task import Task
from benchwire.agent.work import Work
from benchwire.boards import profile as profiles
from benchwire.events import tracing
from benchwire.events.live import TaskLog
from benchwire.events.log import EventTooLarge
from benchwire.events.task import (
    NodeFailed,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    TaskRequested,
)

MAX_ITERATIONS = 50


class GaveUp(Exception):
    """No try passed, or none can be made on this host; the sentence is the last failure."""


# What ends a node and leaves its neighbours alone; OSError is a full disk.
_ENDS = (GaveUp, ModelFailed, NotDeployed, EventTooLarge, OSError)


class Node:
    """Makes one node, writing down each step."""

    def __init__(self, lab: Lab, claim: Claim, work: Work, request: TaskRequested, spec: NodeSpec) -> None:
        self._lab = lab
        self._claim = claim
        self._work = work
        self._request = request
        self._spec = spec
        self._profile = profiles.load(spec.board)
        self._heard = 0  # sequence of the last guidance that was passed on
        self._iterations = 0

    async def run(self, task: Task) -> str | None:
        """None when the node succeeded, else the reason. ``task`` tells what an earlier runner left of it.

        Raises ``ClaimLost`` and ``LogUnavailable``.
        """
        with tracing.span("node", node_id=self._spec.node_id):
            reason = await self._run(task)
            if reason is not None:
                tracing.failed(reason)
            return reason

    async def _run(self, task: Task) -> str | None:
        await self._claim.append(NodeStarted(board=self._profile.name, attempt=task.attempt, **self._ids()))
        try:
            stored = task.stored.get(self._spec.node_id) or await self._made()
            self._iterations = stored.iteration
            if self._spec.deploy:
                await self._deployed(stored, task)
        except _ENDS as error:
            reason = f"the agent runner could not work on it: {error}" if isinstance(error, OSError) else str(error)
            await self._say(f"failed: {reason}", level="ERROR")
            await self._claim.append(NodeFailed(reason=reason, iterations=self._iterations, **self._ids()))
            return reason
        await self._claim.append(NodeSucceeded(iterations=self._iterations, **self._ids()))
        await self._say(f"done after {self._iterations} iteration(s)")
        return None

    async def _made(self) -> NodeImageStored:
        author = self._author()
        lacking = await asyncio.to_thread(profiles.missing, self._profile)
        if lacking:  # no author could do anything about that
            raise GaveUp("; ".join(str(one) for one in lacking))
        trial = Trial(
            self._lab, self._claim, task_id=self._request.task_id, node=self._spec, profile=self._profile,
            timeout_s=self._request.simulation_timeout_s,
        )  # fmt: skip
        feedback: str | None = None
        for iteration in range(1, author.tries + 1):
            self._iterations = iteration
            result = await self._tried(author, trial, feedback, iteration)
            if isinstance(result, Passed):
                stored = NodeImageStored(iteration=iteration, image=result.image, elf=result.elf, **self._ids())
                await self._claim.append(stored)
                return stored
            feedback = result.feedback
            await self._say(f"iteration {iteration} failed ({result.stage}): {_first_line(feedback)}", level="WARNING")
            if iteration == author.tries:
                raise GaveUp(_gave_up(result, author.tries))
            await self._claim.append(
                NodeRetried(iteration=iteration, stage=result.stage, feedback=feedback, **self._ids())
            )
        raise AssertionError("unreachable: an author has at least one try")

    async def _tried(self, author: Author, trial: Trial, feedback: str | None, iteration: int) -> Passed | Rejected:
        await self._say(f"iteration {iteration} of {author.tries}")
        try:
            draft = await author.draft(feedback)
        except NoCode as error:
            return Rejected("generate", str(error))
        await self._generated(draft, iteration)
        return await trial.run(draft.sources, iteration)

    async def _generated(self, draft: Draft, iteration: int) -> None:
        await self._claim.append(
            NodeGenerated(
                iteration=iteration, sources=draft.sources, model=draft.model, input_tokens=draft.input_tokens,
                output_tokens=draft.output_tokens, duration_s=round(draft.duration_s, 3), **self._ids(),
            )
        )  # fmt: skip

    def _author(self) -> Author:
        if self._spec.sources is not None:
            return Person(self._spec.sources)
        if self._lab.model is None:
            raise ModelFailed(NOT_CONFIGURED)
        tries = min(max(self._request.max_iterations, 1), MAX_ITERATIONS)
        return ModelAuthor(
            self._lab.model, self._profile, self._spec, tries=tries,
            task="\n".join([self._request.prompt, *self._request.answers]),
            guidance=self._guidance, say=self._say,
        )  # fmt: skip

    async def _deployed(self, stored: NodeImageStored, task: Task) -> None:
        deployment = Deployment(
            self._lab, self._claim, self._work, task_id=self._request.task_id, node=self._spec,
            profile=self._profile, image=stored.image,
        )  # fmt: skip
        deployed = await deployment.run(task.flashing.get(self._spec.node_id))
        await self._claim.append(deployed)
        await self._say(f"{deployed.device} on {deployed.host} prints: {deployed.line}")

    async def _guidance(self) -> list[str]:
        said = await self._lab.guidance(self._request.task_id, self._spec.node_id, self._heard)
        if said:
            self._heard = said[-1].sequence
        return [one.guidance for one in said]

    async def _say(self, line: str, level: str = "INFO") -> None:
        await self._claim.sample(TaskLog(line=f"[{self._spec.node_id}] {line}", level=level, **self._ids()))

    def _ids(self) -> dict[str, Any]:
        return {"timestamp": datetime.now(UTC), "task_id": self._request.task_id, "node_id": self._spec.node_id}


def _gave_up(last: Rejected, tries: int) -> str:
    return last.feedback if tries == 1 else f"none of {tries} iterations passed; the last one: {last.feedback}"


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
