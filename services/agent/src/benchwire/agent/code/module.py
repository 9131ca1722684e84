"""One module of a code task, written together with its tests, and measured, until it is good enough. Writes down each step."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from benchwire.agent import fitting
from benchwire.agent.author import Author, NoCode, Person, tries_of
from benchwire.agent.claim import Claim
from benchwire.agent.code import prompt, score, verdict
from benchwire.agent.code.author import ModelAuthor
from benchwire.agent.code.measure import measure
from benchwire.agent.code.report import Measured
from benchwire.agent.code.verdict import Rejected
from benchwire.agent.errors import ModelFailed
from benchwire.agent.lab import Lab
from benchwire.agent.model.endpoint import NOT_CONFIGURED
from benchwire.agent.sandbox import SandboxUnavailable
from benchwire.agent.task import Task
from benchwire.events import tracing
from benchwire.events.live import TaskLog
from benchwire.events.log import EventTooLarge
from benchwire.events.task import (
    NodeFailed,
    NodeGenerated,
    NodeRetried,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    NodeTested,
    TaskRequested,
)

MAX_SOURCES_BYTES = 256 * 1024
MAX_REPORT_BYTES = 64 * 1024

Sources = Mapping[str, str]


class GaveUp(Exception):
    """No try was good enough; the sentence is the last failure."""


# What ends a module and leaves alone those that do not need it; OSError is a full disk.
_ENDS = (GaveUp, ModelFailed, EventTooLarge, SandboxUnavailable, OSError)


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner before this one left of a module: how many iterations it finished, its last sources, whether these are still ``untried``,
    what was wrong with them otherwise, and how many tests they had.
    """

    iterations: int = 0
    sources: Sources | None = None
    untried: bool = False
    feedback: str | None = None
    tests: int = 0


class Module:
    """Makes one module; ``needed`` are the sources of those that it may import."""

    def __init__(self, lab: Lab, claim: Claim, request: TaskRequested, spec: NodeSpec, needed: Sources) -> None:
        self.name = spec.node_id
        self._lab = lab
        self._claim = claim
        self._request = request
        self._spec = spec
        self._needed = needed
        self._target = min(max(request.quality_target, 0.0), 1.0)
        self._iteration = 0
        self._tests = 0  # the most that it had
        self._heard = 0  # sequence of the last guidance that was passed on

    async def run(self, task: Task) -> str | Exception:
        """The module's source, or what it failed of. ``task`` tells what an earlier runner left of it.

        Raises ``ClaimLost`` and ``LogUnavailable``.
        """
        with tracing.span("node", node_id=self.name):
            await self._claim.append(NodeStarted(board="", attempt=task.attempt, **self._ids()))
            try:
                sources = await self._made(before(task, self.name))
            except _ENDS as error:
                await self.failed(error)
                return error
            await self._claim.append(NodeSucceeded(iterations=self._iteration, **self._ids()))
            return sources[self.name]

    async def failed(self, error: Exception) -> None:
        """Writes down that it came to nothing. Raises ``ClaimLost`` and ``LogUnavailable``."""
        reason = f"the agent runner could not work on it: {error}" if isinstance(error, OSError) else str(error)
        tracing.failed(reason)
        failed = NodeFailed(reason=reason, iterations=self._iteration, **self._ids())
        await self._claim.append(fitting.end(failed))

    async def _made(self, left: Before) -> Sources:
        """The sources that are good enough."""
        author = self._author(left)
        self._iteration, self._tests, feedback = left.iterations, left.tests, left.feedback
        untried = left.sources if left.untried else None
        while True:
            self._iteration += 1
            await self._say(f"iteration {self._iteration} of {author.tries}")
            result = await self._tried(author, feedback, untried)
            if not isinstance(result, Rejected):
                return result
            untried, feedback = None, result.feedback
            await self._rejected(result, author.tries)

    async def _tried(self, author: Author, feedback: str | None, untried: Sources | None) -> Sources | Rejected:
        try:
            sources = untried or await self._written(author, feedback)
        except NoCode as error:
            return Rejected("generate", str(error))
        await self._say(f"testing it (iteration {self._iteration})")
        measured = await measure(self._lab, self._request.task_id, self.name, sources, self._needed)
        rejected = verdict.rejected(measured, target=self._target, tests_before=self._tests)
        self._tests = max(self._tests, measured.tests.count)
        await self._tested(measured, rejected)
        return rejected or sources

    async def _written(self, author: Author, feedback: str | None) -> Sources:
        """The next sources. Raises ``NoCode``, ``ModelFailed``, ``ClaimLost`` and ``LogUnavailable``."""
        draft = await author.draft(feedback)
        size = sum(len(text.encode()) for text in draft.sources.values())
        if size > MAX_SOURCES_BYTES:
            raise NoCode(f"The two files have {size} bytes together, which is too much; at most {MAX_SOURCES_BYTES}")
        generated = self._lab.log.published(  # what is tested is what the log says
            NodeGenerated(
                iteration=self._iteration, sources=draft.sources, model=draft.model, input_tokens=draft.input_tokens,
                output_tokens=draft.output_tokens, duration_s=round(draft.duration_s, 3), **self._ids(),
            )
        )  # fmt: skip
        await self._claim.append(generated)
        return generated.sources

    async def _tested(self, measured: Measured, rejected: Rejected | None) -> None:
        counts = measured.counts
        parts = score.measures(counts)
        quality = score.quality(parts)
        proved = rejected is None or rejected.stage == "quality"
        await self._claim.append(
            NodeTested(
                iteration=self._iteration, ok=rejected is None, tests_passed=counts.tests_passed,
                outcome="failed" if measured.tests.outcome == "passed" and not proved else measured.tests.outcome,
                tests_failed=counts.tests - counts.tests_passed, lint_findings=counts.lint_findings, type_errors=counts.type_errors,
                measures=parts, weights=score.WEIGHTS, quality_score=quality, report=_fitting(verdict.report(measured, self._target, rejected)),
                duration_s=round(measured.duration_s, 3), **self._ids(),
            )
        )  # fmt: skip

    async def _rejected(self, result: Rejected, tries: int) -> None:
        """The try was not good enough. Raises ``GaveUp`` when it was the last one, ``ClaimLost`` and ``LogUnavailable``."""
        feedback = _fitting(result.feedback)
        if self._iteration >= tries:
            raise GaveUp(
                feedback if tries == 1 else f"none of {tries} iterations was good enough; the last one: {feedback}"
            )
        await self._claim.append(
            NodeRetried(iteration=self._iteration, stage=result.stage, feedback=feedback, **self._ids())
        )

    def _author(self, left: Before) -> Author:
        if self._spec.sources is not None:
            return Person(self._spec.sources)
        if self._lab.model is None:
            raise ModelFailed(NOT_CONFIGURED)
        asked = prompt.first(
            self._spec, task="\n".join([self._request.prompt, *self._request.answers]), needed=self._needed,
            target=self._target, timeout_s=self._lab.settings.test_timeout_s,
        )  # fmt: skip
        return ModelAuthor(
            self._lab.model, self._spec, asked=asked, tries=tries_of(self._request, self._spec), before=left.sources,
            guidance=self._guidance, say=self._say,
        )  # fmt: skip

    async def _guidance(self) -> list[str]:
        """What people said since the model was asked last. They may want fewer tests, so any number is then in order."""
        said = await self._lab.guidance(self._request.task_id, self.name, self._heard)
        if said:
            self._heard = said[-1].sequence
            self._tests = 0
        return [one.guidance for one in said]

    async def _say(self, line: str) -> None:
        """Tells those who watch what is no fact; facts they hear of anyway."""
        await self._claim.sample(TaskLog(line=line, **self._ids()))

    def _ids(self) -> dict[str, Any]:
        return {"timestamp": datetime.now(UTC), "task_id": self._request.task_id, "node_id": self.name}


def before(task: Task, name: str) -> Before:
    """What an earlier runner left of the module ``name``."""
    draft, retried, tested = task.drafts.get(name), task.retried.get(name), task.tested.get(name)
    done = retried.iteration if retried is not None else 0
    tests = tested.tests_passed + tested.tests_failed if tested is not None else 0
    if draft is not None and draft.iteration > done:
        return Before(iterations=draft.iteration - 1, sources=draft.sources, untried=True, tests=tests)
    return Before(
        iterations=done, sources=draft.sources if draft is not None else None, tests=tests,
        feedback=retried.feedback if retried is not None else None,
    )  # fmt: skip


def _fitting(text: str) -> str:
    return fitting.cut(str(fitting.well_formed(text)), MAX_REPORT_BYTES)
