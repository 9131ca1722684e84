"""A blueprint's MCP servers while their session runs. Each is spoken with in a task of its own: one that dies takes nothing along."""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import mcp
from anthropic.lib.tools import ToolError
from anthropic.lib.tools.mcp import async_mcp_tool
from mcp.types import CONNECTION_CLOSED

from benchwire.agent.beside import beside
from benchwire.agent.calls import Calls, Output, Tool
from benchwire.agent.errors import GivenUp, ToolFailed
from benchwire.agent.toolbox.mcp import addresses, programs, recipe
from benchwire.agent.toolbox.mcp.programs import Said, Streams
from benchwire.agent.toolbox.mcp.recipe import Address, Program
from benchwire.agent.toolbox.mcp.variables import Variables
from benchwire.agent.toolbox.place import Place

MAX_TOOLS = 128
MAX_PAGES = 20
MAX_TEXT_CHARS = 64 * 1024
MAX_IMAGE_CHARS = 512 * 1024  # in base64; an event has to stay under 1 MiB
MAX_DESCRIPTION_CHARS = 8 * 1024
MAX_SAID_CHARS = 2000
CLOSE_S = 1.0
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_MAX_NAME_CHARS = 128


@contextlib.asynccontextmanager
async def opened(calls: Calls, place: Place) -> AsyncGenerator[list[Tool], None]:
    """The tools of all servers of the session's blueprint, for the time of the context. Raises ``GivenUp`` when one cannot be had."""
    named = place.blueprint.mcp_servers if place.blueprint is not None else {}
    settings = place.lab.settings
    servers = []
    for name, given in named.items():
        variables = Variables(settings.mcp_variables, os.environ)
        servers.append(Server(name, await _transport(name, given, place, variables), variables, place))
    async with contextlib.AsyncExitStack() as stack:
        for one in servers:
            await stack.enter_async_context(one.running())
        names: set[str] = set()
        yield [tool for one in servers for tool in await one.tools(calls, names)]


async def _transport(
    name: str, given: Any, place: Place, variables: Variables
) -> tuple[AbstractAsyncContextManager[Streams], Said]:
    """How the server is spoken with, and what it says beside. Raises ``GivenUp``."""
    settings, said = place.lab.settings, Said()
    match recipe.parsed(name, given):
        case Program() as one:
            path = await programs.program(one.command, name, settings.mcp_commands)
            argv = [path, *(variables.filled(arg, f"mcp_servers.{name}.args") for arg in one.args)]
            environment = {key: variables.filled(value, f"mcp_servers.{name}.env") for key, value in one.env.items()}
            return (
                programs.spoken_with(argv, place, said, environment=environment, readable=settings.mcp_readable),
                said,
            )
        case Address() as one:
            url = variables.filled(one.url, f"mcp_servers.{name}.url")
            headers = {
                key: variables.filled(value, f"mcp_servers.{name}.headers") for key, value in one.headers.items()
            }
            silent_s = max(settings.mcp_start_s, settings.mcp_timeout_s)
            return addresses.spoken_with(url, headers=headers, timeout_s=silent_s), said


class Server:
    """One server. ``running`` is entered first; ``tools`` then waits until it is there."""

    def __init__(
        self,
        name: str,
        transport: tuple[AbstractAsyncContextManager[Streams], Said],
        variables: Variables,
        place: Place,
    ) -> None:
        self._name = name
        self._transport, self._said = transport
        self._variables = variables
        self._settings = place.lab.settings
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._client: mcp.Client | None = None
        self._listed: list[mcp.Tool] = []
        self._problem = "it ended"
        self._life: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Speaks with the server for the time of the context."""
        async with beside(self._live()) as life:
            self._life = life
            yield
            self._closing.set()  # in order, if that is quick
            await asyncio.wait([life], timeout=CLOSE_S)

    async def tools(self, calls: Calls, names: set[str]) -> list[Tool]:
        """What it offers, under names that are not among ``names`` yet. Raises ``GivenUp`` when it does not start in time."""
        within_s = self._settings.mcp_start_s
        async with beside(self._ready.wait()) as ready:
            await self._first(ready, within_s)
        if not self._ready.is_set():
            why = self._problem if self._has_ended() else f"it did not answer within {within_s:g} s{self._beside()}"
            raise GivenUp(f"the MCP server {self._name!r} cannot be used: {self._variables.hidden(why)}", "agent")
        return [self._tool(calls, one, _name(self._name, one.name, names)) for one in self._listed]

    def _tool(self, calls: Calls, one: mcp.Tool, name: str) -> Tool:
        assert self._client is not None, "it is ready"
        theirs: Any = async_mcp_tool(one, self._client)  # type: ignore[arg-type] # takes what a session takes

        async def call(given: dict[str, Any], _: str) -> Output:
            return await self._called(one.name, partial(theirs.call, given))

        told = self._variables.hidden(one.description or one.title or one.name)[:MAX_DESCRIPTION_CHARS]
        is_safe = one.annotations is not None and one.annotations.read_only_hint is True
        return Tool(calls, name, told, one.input_schema, call, repeatable=is_safe)

    async def _called(self, tool: str, call: Callable[[], Coroutine[Any, Any, Any]]) -> Output:
        within_s = self._settings.mcp_timeout_s
        async with beside(call()) as calling:
            await self._first(calling, within_s)
            if not calling.done():
                ended = f"it has ended: {self._problem}" if self._has_ended() else None
                why = ended or f"it did not answer within {within_s:g} s"
                raise ToolFailed(self._variables.hidden(f"the MCP server {self._name!r} gave no answer: {why}"))
            error = calling.exception()
            if error is None:
                return self._shown(calling.result())
        if isinstance(error, ToolError):
            raise ToolFailed(_cut(self._variables.hidden(str(error))))
        if isinstance(error, mcp.MCPError) and error.code == CONNECTION_CLOSED:
            raise ToolFailed(
                self._variables.hidden(f"the MCP server {self._name!r} gave no answer: it has ended{self._beside()}")
            )
        why = self._variables.hidden(str(error) or type(error).__name__)
        raise ToolFailed(_cut(f"the MCP server {self._name!r} could not answer the call of {tool}: {why}"))

    async def _first(self, one: asyncio.Task[Any], within_s: float) -> None:
        """Waits until ``one`` or the server ends, or time is up."""
        assert self._life is not None, "it runs"
        await asyncio.wait([one, self._life], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)

    def _has_ended(self) -> bool:
        return self._life is not None and self._life.done()

    async def _live(self) -> None:
        try:
            client = mcp.Client(self._transport)
            async with client:
                self._client, self._listed = client, await _listed(client)
                self._ready.set()
                await self._closing.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told where somebody waits
            self._problem = f"{_innermost(error)}{self._beside()}"

    def _beside(self) -> str:
        """The last of what it said beside its answers; cut when what must not be seen is out of it, so that no half of that stays."""
        said = self._variables.hidden(str(self._said))[-MAX_SAID_CHARS:]
        return f"; it said: {said}" if said else ""

    def _shown(self, result: Any) -> Output:
        """What a tool answered, within bounds and without secrets: a text if it is nothing else."""
        if isinstance(result, str):
            return _cut(self._variables.hidden(result))
        blocks = [self._block(dict(one)) for one in result]
        if all(one["type"] == "text" for one in blocks):
            return _cut("\n".join(one["text"] for one in blocks))
        return blocks

    def _block(self, block: dict[str, Any]) -> dict[str, Any]:
        if block.get("type") == "text":
            return {"type": "text", "text": _cut(self._variables.hidden(str(block["text"])))}
        source = dict(block.get("source") or {})
        data = str(source.get("data", ""))
        if source.get("type") == "text":
            return {"type": "text", "text": _cut(self._variables.hidden(data))}
        if len(data) > MAX_IMAGE_CHARS:
            instead = f"[{block.get('type')} of {len(data) * 3 // 4} bytes, which is too large to be shown]"
            return {"type": "text", "text": instead}
        return {"type": block["type"], "source": source}


def _name(server: str, tool: str, names: set[str]) -> str:
    """What the model calls it: letters, digits, hyphens and underscores; added to ``names``, in which it is the only one of its kind."""
    plain = name = _ILLEGAL.sub("_", f"{server}__{tool}")[:_MAX_NAME_CHARS]
    number = 1
    while name in names:
        number += 1
        name = f"{plain[: _MAX_NAME_CHARS - 4]}_{number}"
    names.add(name)
    return name


async def _listed(client: mcp.Client) -> list[mcp.Tool]:
    tools: list[mcp.Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None or len(tools) >= MAX_TOOLS:
            break
    return tools[:MAX_TOOLS]


def _cut(text: str) -> str:
    left_out = len(text) - MAX_TEXT_CHARS
    return text if left_out <= 0 else f"{text[:MAX_TEXT_CHARS]}\n[{left_out} more characters are not shown]"


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
