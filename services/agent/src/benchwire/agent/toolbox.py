"""The tools of a session, as the SDK's tool runner calls them; each call and its result is written to the log around it."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from anthropic.lib.tools import BetaAsyncBuiltinFunctionTool, ToolError
from anthropic.types.beta import BetaToolUnionParam

from benchwire.agent.claim import Claim
from benchwire.agent.errors import ClaimLost
from benchwire.agent.sandbox import Sandbox
from benchwire.agent.tools import files, shell
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.session import ToolCalled, ToolReturned

Do = Callable[[dict[str, Any]], Awaitable[str]]


class Use(msgspec.Struct, frozen=True):
    """A call as the model made it."""

    id: str
    name: str
    input: dict[str, Any]


class Calls:
    """The calls of the model's last message that have not run yet; the tool runner runs them one by one, in their order."""

    def __init__(self, claim: Claim, session_id: str) -> None:
        self._claim = claim
        self._session_id = session_id
        self._waiting: deque[Use] = deque()
        self._broken: ClaimLost | LogUnavailable | EventTooLarge | None = None

    def expect(self, uses: list[Use]) -> None:
        """Takes over the calls of a new message."""
        self._waiting = deque(uses)

    async def recorded(self, name: str, given: dict[str, Any], do: Do) -> str:
        """Runs ``do`` with the call and its result in the log. Raises ``ToolError`` with what the model should hear.

        The tool runner takes any exception for the tool's answer; that the log is away or the claim lost is kept for ``check``.
        """
        try:
            return await self._recorded(name, given, do)
        except (ClaimLost, LogUnavailable, EventTooLarge) as error:
            self._broken = error
            raise ToolError("interrupted") from error

    def check(self) -> None:
        """Raises what kept a call from being recorded: ``ClaimLost``, ``LogUnavailable`` or ``EventTooLarge``."""
        if self._broken is not None:
            raise self._broken

    async def _recorded(self, name: str, given: dict[str, Any], do: Do) -> str:
        use = self._next(name)
        await self._called(use, name, given)
        started = time.monotonic()
        output, error = None, None
        try:
            output = await do(given)
        except (msgspec.ValidationError, files.FileRefused, shell.CommandRefused, OSError) as problem:
            error = str(problem)
        duration_s = round(time.monotonic() - started, 3)
        await self._returned(use, name, given, tool_output=output, error=error, duration_s=duration_s)
        if error is not None:
            raise ToolError(error)
        return str(output)

    async def missing(self, use: Use) -> None:
        """Writes down a call of a tool that is not there; the model hears of it from the tool runner."""
        await self._called(use.id, use.name, use.input)
        await self._returned(use.id, use.name, use.input, error=f"there is no tool {use.name}")

    async def _called(self, use: str | None, name: str, given: dict[str, Any]) -> None:
        await self._claim.append(
            ToolCalled(timestamp=_now(), session_id=self._session_id, tool_name=name, tool_input=given, tool_use_id=use)
        )

    async def _returned(self, use: str | None, name: str, given: dict[str, Any], **result: Any) -> None:
        event = ToolReturned(
            timestamp=_now(), session_id=self._session_id, tool_name=name, tool_input=given, tool_use_id=use, **result
        )
        await self._claim.append(event)

    def _next(self, name: str) -> str | None:
        while self._waiting:
            use = self._waiting.popleft()
            if use.name == name:
                return use.id
        return None


class Tool(BetaAsyncBuiltinFunctionTool):
    """One tool: what the model is told about it, and what it does."""

    def __init__(self, calls: Calls, name: str, description: str, parameters: Mapping[str, Any], do: Do) -> None:
        self._calls = calls
        self._do = do
        self._definition: BetaToolUnionParam = {
            "name": name,
            "description": description,
            "input_schema": {
                "type": "object",
                "properties": {key: one for key, (one, _) in parameters.items()},
                "required": [key for key, (_, required) in parameters.items() if required],
            },
        }

    def to_dict(self) -> BetaToolUnionParam:
        """The definition that the model sees."""
        return self._definition

    async def call(self, input: object) -> str:  # noqa: A002 - the SDK's name
        """Runs the tool. Raises ``ToolError`` for the model, and what the log raises."""
        given = input if isinstance(input, dict) else {}
        return await self._calls.recorded(self.name, given, self._do)


class _Bash(msgspec.Struct, forbid_unknown_fields=True):
    command: str
    timeout_s: float | None = None


class _Read(msgspec.Struct, forbid_unknown_fields=True):
    path: str


class _Write(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    content: str


def toolbox(calls: Calls, workdir: Path, sandbox: Sandbox, *, timeout_s: float, owner: str) -> list[Tool]:
    """The tools of a session that works in ``workdir``."""

    async def bash(given: dict[str, Any]) -> str:
        asked = msgspec.convert(given, _Bash)
        limit_s = asked.timeout_s or timeout_s
        return str(await shell.run(asked.command, workdir=workdir, sandbox=sandbox, timeout_s=limit_s, owner=owner))

    async def read_file(given: dict[str, Any]) -> str:
        return await asyncio.to_thread(files.read, workdir, msgspec.convert(given, _Read).path)

    async def write_file(given: dict[str, Any]) -> str:
        asked = msgspec.convert(given, _Write)
        return f"{await asyncio.to_thread(files.write, workdir, asked.path, asked.content)} bytes written"

    text = {"type": "string"}
    path = {"type": "string", "description": "relative to the session's directory"}
    seconds = {"type": "number", "description": f"default {timeout_s:g}, at most {shell.MAX_TIMEOUT_S:g}"}
    return [
        Tool(
            calls, "bash",
            "Runs a command with bash in the session's directory. There is no network. Everything it starts ends with it.",
            {"command": (text, True), "timeout_s": (seconds, False)}, bash,
        ),
        Tool(calls, "read_file", "Reads a text file of the session's directory.", {"path": (path, True)}, read_file),
        Tool(
            calls, "write_file", "Writes a text file in the session's directory, with the folders it needs.",
            {"path": (path, True), "content": (text, True)}, write_file,
        ),
    ]  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)
