"""A blueprint's MCP servers while their session runs. Each is spoken with in a task of its own: one that dies takes nothing along."""

import asyncio
import contextlib
import json
import logging
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
from benchwire.agent.errors import GivenUp, ToolFailed
from benchwire.agent.sessions.calls import Calls, Output, Tool
from benchwire.agent.toolbox.mcp import addresses, answers, programs, recipe
from benchwire.agent.toolbox.mcp.programs import Said, Streams
from benchwire.agent.toolbox.mcp.recipe import Address, Program
from benchwire.agent.toolbox.mcp.variables import Variables
from benchwire.agent.toolbox.place import Place

MAX_TOOLS = 128
MAX_PAGES = 20
MAX_DESCRIPTION_CHARS = 8 * 1024
MAX_SCHEMAS_CHARS = 1 << 20  # of all tools of a server together: each question to the model has them
MAX_SAID_CHARS = 2000
CLOSE_S = 1.0
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MAX_NAME_CHARS = 128

log = logging.getLogger(__name__)


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
        stack.push_async_callback(_closed, servers)
        names: set[str] = set()
        yield [tool for one in servers for tool in await one.tools(calls, names)]


async def _closed(servers: list["Server"]) -> None:
    """Ends them side by side, in order if that is quick."""
    if lives := [life for one in servers if (life := one.told_to_close()) is not None]:
        await asyncio.wait(lives, timeout=CLOSE_S)


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
            made = addresses.spoken_with(url, said, headers=headers, timeout_s=silent_s, allowed=settings.mcp_hosts)
            return made, said


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

    def told_to_close(self) -> asyncio.Task[None] | None:
        """Says that nobody needs it any more; what then ends by itself, if it ever was ready."""
        self._closing.set()
        return self._life if self._ready.is_set() else None

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

        told = _CONTROL.sub(" ", self._variables.hidden(one.description or one.title or one.name))
        is_safe = one.annotations is not None and one.annotations.read_only_hint is True
        return Tool(calls, name, told[:MAX_DESCRIPTION_CHARS], one.input_schema, call, repeatable=is_safe)

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
                return answers.shown(calling.result(), self._variables.hidden)
        if isinstance(error, ToolError):
            raise ToolFailed(answers.cut(self._variables.hidden(str(error))))
        if isinstance(error, mcp.MCPError) and error.code == CONNECTION_CLOSED:
            raise ToolFailed(
                self._variables.hidden(f"the MCP server {self._name!r} gave no answer: it has ended{self._beside()}")
            )
        why = self._variables.hidden(str(error) or type(error).__name__)
        raise ToolFailed(answers.cut(f"the MCP server {self._name!r} could not answer the call of {tool}: {why}"))

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
                # It would judge answers by the server's own schema, whose patterns can keep this whole runner busy for ever.
                client.session.validate_tool_result = _taken_as_it_is  # type: ignore[method-assign]
                self._client, self._listed = client, await self._offered(client)
                self._ready.set()
                await self._closing.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told where somebody waits
            why = _innermost(error)
            self._problem = why + self._beside(why)

    async def _offered(self, client: mcp.Client) -> list[mcp.Tool]:
        """Its tools. Raises ``ToolFailed`` when they are more than can be told to a model."""
        listed, is_all = await _listed(client)
        if not is_all:
            log.warning("the MCP server %s offers more than %s tools; the rest is left out", self._name, len(listed))
        if sum(len(json.dumps(one.input_schema)) for one in listed) > MAX_SCHEMAS_CHARS:
            raise ToolFailed(f"what its tools take is described in more than {MAX_SCHEMAS_CHARS} characters")
        return listed

    def _beside(self, why: str = "") -> str:
        """What is known of it beside its answers and ``why``; cut when what must not be seen is out of it, so that no half of that stays."""
        words = self._variables.hidden(self._said.words)[-MAX_SAID_CHARS:]
        told = [self._said.watch.broken, self._said.unheard, f"it said: {words}" if words else None]
        return "".join(f"; {one}" for one in told if one and one != why)


def _name(server: str, tool: str, names: set[str]) -> str:
    """What the model calls it: letters, digits, hyphens and underscores; added to ``names``, in which it is the only one of its kind."""
    plain = name = _ILLEGAL.sub("_", f"{server}__{tool}")[:_MAX_NAME_CHARS]
    number = 1
    while name in names:
        number += 1
        name = f"{plain[: _MAX_NAME_CHARS - 5]}_{number}"
    names.add(name)
    return name


async def _taken_as_it_is(name: str, result: object) -> None:
    """Instead of the SDK's judgement of an answer."""


async def _listed(client: mcp.Client) -> tuple[list[mcp.Tool], bool]:
    """The first of its tools, and whether these are all."""
    tools: list[mcp.Tool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None or len(tools) >= MAX_TOOLS:
            break
    return tools[:MAX_TOOLS], cursor is None and len(tools) <= MAX_TOOLS


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
