"""The calls of a session's tools, as the SDK's tool runner makes them: asked about where a person wants to be, run once, and recorded."""

import asyncio
import logging
import math
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from anthropic.lib.tools import BetaAsyncBuiltinFunctionTool, ToolError
from anthropic.types.beta import BetaToolUnionParam

from benchwire.agent import fitting
from benchwire.agent.errors import ClaimLost, ToolFailed
from benchwire.agent.sessions.conversation import INTERRUPTED, Use, open_uses
from benchwire.agent.sessions.transcript import Transcript, now
from benchwire.agent.tools import files, shell
from benchwire.agent.work import Work
from benchwire.events import redaction
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.session import ToolApprovalRequested, ToolCalled, ToolDecided, ToolReturned

Output = str | list[dict[str, Any]]  # text, or blocks as the Messages API shapes them (an image is one)
Do = Callable[[dict[str, Any], str], Awaitable[Output]]  # gets the input, and an id that is this call's alone

_TOLD = (
    msgspec.ValidationError,
    files.FileRefused,
    shell.CommandRefused,
    ToolFailed,
    ToolError,
    EventTooLarge,
    OSError,
)

ASK_EXPIRES_S = 300.0  # when no blueprint says for how long a person is waited for

log = logging.getLogger(__name__)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Which tools wait for a person's word (``files__*``: all of that MCP server), and for how long; and how long a call may take that has no
    limit of its own. In seconds.
    """

    ask_before: frozenset[str] = frozenset()
    ask_expires_s: float = ASK_EXPIRES_S
    timeout_s: float = 900.0


class Calls:
    """The calls of the model's last message that have not run yet; the tool runner runs them one by one, in their order."""

    def __init__(self, transcript: Transcript, work: Work, rules: Rules) -> None:
        self._transcript = transcript
        self._work = work
        self._rules = rules
        self._waiting: deque[Use] = deque()
        self._broken: ClaimLost | LogUnavailable | EventTooLarge | None = None

    async def expect(self, uses: list[Use], names: set[str]) -> None:
        """Takes over the calls of a new message.

        Those of tools that are not among ``names``, and those whose input could not be read, get their answer at once: for whoever goes on
        after this runner, an input that could not be read would look like an empty one.
        """
        self._waiting = deque(use for use in uses if use.name in names)
        for use in uses:
            if use.name not in names:
                await self._not_run(use, _missing(use))
            elif use.problem is not None:
                await self._not_run(use, _unread(use))

    async def recorded(self, tool: "Tool", given: dict[str, Any]) -> Output:
        """Runs ``tool`` with the call and its result in the log. Raises ``ToolError`` with what the model should hear.

        The tool runner takes any exception for the tool's answer; that the log is away or the claim lost is kept for ``check``.
        """
        try:
            output, error = await self._answered(self._next(tool.name, given), tool)
        except (ClaimLost, LogUnavailable, EventTooLarge) as broken:
            self._broken = broken
            raise ToolError("interrupted") from broken
        if error is not None:
            raise ToolError(error)
        return output

    def check(self) -> None:
        """Raises what kept a call from being recorded: ``ClaimLost``, ``LogUnavailable`` or ``EventTooLarge``."""
        if self._broken is not None:
            raise self._broken

    async def taken_over(self, tools: "list[Tool]") -> None:
        """Answers what a runner before this one left open: what it had not begun runs now, and of the rest only what may run twice.

        Raises ``ClaimLost``, ``LogUnavailable`` and ``EventTooLarge``.
        """
        by_name = {tool.name: tool for tool in tools}
        for use in open_uses(self._transcript.session):
            tool = by_name.get(use.name)
            if self._is_begun(use) and not (tool is not None and tool.repeatable):
                await self._returned(use, error=INTERRUPTED)
            elif tool is None:
                await self._not_run(use, _missing(use))
            elif redaction.MARK in msgspec.json.encode(use.input):
                await self._not_run(use, _withheld(use))
            else:
                await self._answered(use, tool)

    async def _answered(self, use: Use, tool: "Tool") -> tuple[Output, str | None]:
        """What the call came to: its output, or the error that the model hears."""
        if use.problem is not None:  # which has its answer
            return "", _unread(use)
        if not self._is_begun(use):
            if (refusal := await self._refusal(use)) is not None:
                return await self._returned(use, error=refusal)
            await self._called(use)
        started = time.monotonic()
        output, error = await self._done(use, tool)
        return await self._returned(use, output, error, duration_s=round(time.monotonic() - started, 3))

    async def _done(self, use: Use, tool: "Tool") -> tuple[Output, str | None]:
        limit_s = self._rules.timeout_s if tool.timeout_s is None else tool.timeout_s
        patience = asyncio.timeout(None if math.isinf(limit_s) else limit_s)
        try:
            async with patience:
                return await tool.do(use.input, self._own_id(use)), None
        except (ClaimLost, LogUnavailable):
            raise
        except _TOLD as problem:
            if patience.expired():
                return (
                    "",
                    f"{use.name} did not answer within {limit_s:g} s and was ended; what it did until then may have taken effect",
                )
            return "", str(problem) or type(problem).__name__
        except Exception as problem:
            log.exception("%s: the tool %s failed", self._transcript.session_id, use.name)
            return "", f"{use.name} failed in a way that nobody foresaw ({type(problem).__name__}: {problem})"

    def _own_id(self, use: Use) -> str:
        """What tells the call from all others of its session. An endpoint may give two calls the same id."""
        name, number = self._transcript.session.key(use.id)
        return name if number <= 1 else f"{name}-{number}"

    def _is_begun(self, use: Use) -> bool:
        return self._transcript.session.key(use.id) in self._transcript.session.begun

    # -- a person's word

    async def _refusal(self, use: Use) -> str | None:
        """Why the call must not run, for the model; None when it may."""
        if not any(fnmatchcase(use.name, pattern) for pattern in self._rules.ask_before):
            return None
        session = self._transcript.session
        decided = session.decided.get(session.key(use.id)) or await self._decided(use)
        if decided.approved:
            return None
        who = f" by {decided.by}" if decided.by else ""
        return f"This call was not allowed{who}, and was not run: {decided.reason or 'no reason was given'}"

    async def _decided(self, use: Use) -> ToolDecided:
        """Asks, unless a runner before this one has, and waits until somebody decides, or time is up."""
        session, asked_at = self._transcript.session, None
        asked = session.asked.get(session.key(use.id))
        if asked is None:
            at = now()
            asked = ToolApprovalRequested(
                timestamp=at, session_id=self._transcript.session_id, tool_use_id=use.id, tool_name=use.name,
                tool_input=use.input, expires_at=at + timedelta(seconds=self._rules.ask_expires_s),
            )  # fmt: skip
            asked_at = await self._transcript.write(asked)
        async with self._work.parked():
            try:
                async with asyncio.timeout((asked.expires_at - now()).total_seconds()):
                    decided = await self._work.decision(use.id, after=asked_at)
            except TimeoutError:
                decided = await self._transcript.claim.decision(
                    ToolDecided(
                        timestamp=now(), session_id=self._transcript.session_id, tool_use_id=use.id, approved=False,
                        reason=f"nobody decided within {(asked.expires_at - asked.timestamp).total_seconds():g} s",
                    )
                )  # fmt: skip
        self._transcript.saw(decided)
        return decided

    # -- what is written

    async def _not_run(self, use: Use, why: str) -> None:
        await self._called(use)
        await self._returned(use, error=why)

    async def _called(self, use: Use) -> None:
        await self._transcript.write(
            ToolCalled(
                timestamp=now(), session_id=self._transcript.session_id, tool_name=use.name, tool_input=use.input,
                tool_use_id=use.id,
            )
        )  # fmt: skip

    async def _returned(
        self, use: Use, output: Output = "", error: str | None = None, *, duration_s: float | None = None
    ) -> tuple[Output, str | None]:
        """Writes down what the call came to, and returns it as it was written: what is too long is cut, and secrets are out of it."""
        if error is None:
            output = fitting.result(output, use.input)
        else:
            error = str(fitting.result(error, use.input))
        event = self._transcript.published(
            ToolReturned(
                timestamp=now(), session_id=self._transcript.session_id, tool_name=use.name, tool_input=use.input,
                tool_use_id=use.id, tool_output=output if error is None else None, error=error, duration_s=duration_s,
            )
        )  # fmt: skip
        await self._transcript.write(event)
        return ("" if error is not None else event.tool_output), event.error

    def _next(self, name: str, given: dict[str, Any]) -> Use:
        while self._waiting:
            use = self._waiting.popleft()
            if use.name == name:
                return use
        return Use(f"toolu_{uuid.uuid4().hex}", name, given)  # a call that no message holds


def _missing(use: Use) -> str:
    return f"there is no tool {use.name}"


def _withheld(use: Use) -> str:
    """What the model sent is known to the runner alone that heard it: the log has it without the secret."""
    return f"The input of this call held a secret, which is not kept. Nothing was run; call {use.name} again, with it."


def _unread(use: Use) -> str:
    return f"{use.problem} Nothing was run; call {use.name} again."


class Tool(BetaAsyncBuiltinFunctionTool):
    """One tool: what the model is told about it, and what it does.

    ``schema`` is the JSON Schema of its input. One that is ``repeatable`` may run again with the same call's id when a runner was lost before
    it had answered: it changes nothing, or finds by that id what it had begun. ``timeout_s`` is how long a call may take: None is what the
    runner gives any tool, infinite is for those that know their own end.
    """

    def __init__(
        self, calls: Calls, name: str, description: str, schema: Mapping[str, Any], do: Do, *,
        repeatable: bool = False, timeout_s: float | None = None,
    ) -> None:  # fmt: skip
        self._calls = calls
        self.do = do
        self.repeatable = repeatable
        self.timeout_s = timeout_s
        self._definition: BetaToolUnionParam = {
            "name": name,
            "description": description,
            "input_schema": {**schema, "type": "object"},
        }

    def to_dict(self) -> BetaToolUnionParam:
        """The definition that the model sees."""
        return self._definition

    async def call(self, input: object) -> Any:  # noqa: A002 - the SDK's name
        """Runs the tool. Raises ``ToolError`` for the model, and what the log raises."""
        return await self._calls.recorded(self, input if isinstance(input, dict) else {})
