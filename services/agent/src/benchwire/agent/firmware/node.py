"""One node of a task: its firmware tried until it passes, and then on a board that prints what it has to. Writes down each step."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchwire.agent.author import Author, NoCode, Person, tries_of
from benchwire.agent.claim import Claim
from benchwire.agent.errors import ModelFailed, NotDeployed
from benchwire.agent.firmware.author import ModelAuthor
from benchwire.agent.firmware.deploy import Deployment
from benchwire.agent.firmware.trial import Built, Rejected, Trial
from benchwire.agent.lab import Lab
from benchwire.agent.model.endpoint import NOT_CONFIGURED
from benchwire.agent.task import Task
from benchwire.agent.tools.simulator import Seat, Simulation
from benchwire.agent.work import Work
from benchwire.boards import profile as profiles
from benchwire.events.blobs import BlobMissing, DigestMismatch
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


class GaveUp(Exception):
    """No try passed, or none can be made on this host; the sentence is the last failure."""


# What ends a node and leaves those alone that it is not joined to; OSError is a full disk.
ENDS = (GaveUp, ModelFailed, NotDeployed, EventTooLarge, BlobMissing, DigestMismatch, OSError)


class Node:
    """One node; ``joined`` are those at the other ends of its UART. ``is_over`` tells that an earlier runner brought it to its end."""

    def __init__(
        self, lab: Lab, claim: Claim, work: Work, request: TaskRequested, spec: NodeSpec, *,
        joined: Sequence[NodeSpec],
    ) -> None:  # fmt: skip
        self.name = spec.node_id
        self.is_over = False
        self._lab = lab
        self._claim = claim
        self._work = work
        self._request = request
        self._spec = spec
        self._joined = joined
        self._profile = profiles.load(spec.board)
        self._author: Author | None = None
        self._trial: Trial | None = None
        self._heard = 0  # sequence of the last guidance that was passed on
        self._iteration = 0
        self._rejected: Rejected | None = None  # why the last try failed

    # -- from nothing to something that runs

    async def begin(self, task: Task) -> None:
        """Says that work on it starts, or starts again. Raises ``ClaimLost`` and ``LogUnavailable``."""
        self.is_over = self.name in task.succeeded
        if not self.is_over:
            await self._claim.append(NodeStarted(board=self._profile.name, attempt=task.attempt, **self._ids()))

    async def works_in(self, folder: Path, timeout_s: float) -> None:
        """Its firmware is built in ``folder``, which is made, and runs for ``timeout_s`` at most. Raises OSError."""
        await asyncio.to_thread(folder.mkdir)
        self._trial = Trial(
            self._lab, self._claim, task_id=self._request.task_id, node=self._spec, profile=self._profile,
            timeout_s=timeout_s, folder=folder,
        )  # fmt: skip

    async def taken_over(self, stored: NodeImageStored) -> Built:
        """What an earlier runner made of it, ready to run. Raises what ``ENDS`` holds, ``ClaimLost`` and ``LogUnavailable``."""
        self._iteration = stored.iteration
        return await self._tried_by().fetched(stored)

    async def built(self) -> Built:
        """The next firmware that compiles and fits, each one that does not being a try. Raises as ``taken_over``."""
        author, trial = await self._writer(), self._tried_by()
        while True:
            self._iteration += 1
            await self._say(f"iteration {self._iteration} of {author.tries}")
            result = await self._next(author, trial)
            if isinstance(result, Built):
                return result
            await self.rejected(result)

    async def _next(self, author: Author, trial: Trial) -> Built | Rejected:
        try:
            draft = await author.draft(self._rejected.feedback if self._rejected is not None else None)
        except NoCode as error:
            return Rejected("generate", str(error))
        generated = self._lab.log.published(  # what is built is what the log says
            NodeGenerated(
                iteration=self._iteration, sources=draft.sources, model=draft.model, input_tokens=draft.input_tokens,
                output_tokens=draft.output_tokens, duration_s=round(draft.duration_s, 3), **self._ids(),
            )
        )  # fmt: skip
        await self._claim.append(generated)
        return await trial.built(generated.sources, self._iteration)

    async def _writer(self) -> Author:
        if self._author is None:
            self._author = self._author_of_it()
            lacking = await asyncio.to_thread(profiles.missing, self._profile)
            why_not = "; ".join(str(one) for one in lacking) or self._lab.sandbox.refusal
            if why_not:  # no author could do anything about that
                raise GaveUp(why_not)
        return self._author

    def _author_of_it(self) -> Author:
        if self._spec.sources is not None:
            return Person(self._spec.sources)
        if self._lab.model is None:
            raise ModelFailed(NOT_CONFIGURED)
        return ModelAuthor(
            self._lab.model, self._profile, self._spec, tries=tries_of(self._request, self._spec), joined=self._joined,
            task="\n".join([self._request.prompt, *self._request.answers]), guidance=self._guidance, say=self._say,
        )  # fmt: skip

    def _tried_by(self) -> Trial:
        assert self._trial is not None, "works_in comes first"
        return self._trial

    # -- how it ran

    def seat(self, built: Built, joined: tuple[int, ...]) -> Seat:
        """Its place in a simulation."""
        return self._tried_by().seat(built, joined)

    async def judged(
        self, simulation: Simulation, together_with: list[str], others: Mapping[str, str]
    ) -> Rejected | None:
        """What is wrong with how it ran; see ``Trial.judged``."""
        if self.is_over:
            return None
        return await self._tried_by().judged(simulation, self._iteration, together_with, others)

    def can_try_again(self) -> bool:
        """Whether there may be other sources."""
        return not self.is_over and self._spec.sources is None and self._iteration < tries_of(self._request, self._spec)

    @property
    def is_given(self) -> bool:
        """Whether it is as it is: a person wrote it, or it is on its board already."""
        return self.is_over or self._spec.sources is not None

    async def rejected(self, result: Rejected) -> None:
        """The try failed, and the author is told why. Raises ``GaveUp`` when it was the last one, ``ClaimLost`` and ``LogUnavailable``."""
        self._rejected = result
        if not self.can_try_again():
            tries = self._iteration
            raise GaveUp(
                result.feedback if tries <= 1 else f"none of {tries} iterations passed; the last one: {result.feedback}"
            )
        await self._claim.append(
            NodeRetried(iteration=self._iteration, stage=result.stage, feedback=result.feedback, **self._ids())
        )

    # -- from something that runs to its end

    async def keep(self, built: Built) -> NodeImageStored:
        """Puts what passed into the artifact store."""
        return await self._tried_by().stored(built, self._iteration)

    async def finished(self, stored: NodeImageStored, task: Task) -> str | None:
        """Brings what passed onto a board, if that is asked for. None when the node succeeded, else the reason.

        Raises ``ClaimLost`` and ``LogUnavailable``.
        """
        try:
            if self._spec.deploy:
                await self._deployed(stored, task)
        except ENDS as error:
            return await self.failed(error, iterations=stored.iteration)
        await self._claim.append(NodeSucceeded(iterations=stored.iteration, **self._ids()))
        return None

    async def failed(self, error: Exception, *, iterations: int | None = None) -> str:
        """Writes down that it came to nothing; the reason. Raises ``ClaimLost`` and ``LogUnavailable``."""
        reason = f"the agent runner could not work on it: {error}" if isinstance(error, OSError) else str(error)
        done = self._iteration if iterations is None else iterations
        await self._claim.append(NodeFailed(reason=reason, iterations=done, **self._ids()))
        return reason

    async def _deployed(self, stored: NodeImageStored, task: Task) -> None:
        node = await self._lab.assigned(self._request.task_id, self._spec)
        deployment = Deployment(
            self._lab, self._claim, self._work, task_id=self._request.task_id, node=node,
            profile=self._profile, image=stored.image, joined=bool(self._joined),
        )  # fmt: skip
        await self._claim.append(await deployment.run(task.flashing.get(self.name)))

    async def _guidance(self) -> list[str]:
        said = await self._lab.guidance(self._request.task_id, self.name, self._heard)
        if said:
            self._heard = said[-1].sequence
        return [one.guidance for one in said]

    async def _say(self, line: str) -> None:
        """Tells those who watch what is no fact; facts they hear of anyway."""
        await self._claim.sample(TaskLog(line=line, **self._ids()))

    def _ids(self) -> dict[str, Any]:
        return {"timestamp": datetime.now(UTC), "task_id": self._request.task_id, "node_id": self.name}
