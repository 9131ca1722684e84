"""Speaking with a server that is a program: in the sandbox, a JSON message per line, ended with the session."""

import asyncio
import contextlib
import shutil
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from benchwire.agent.beside import beside
from benchwire.agent.errors import GivenUp
from benchwire.agent.sandbox import Limits, Watch, text
from benchwire.agent.toolbox.place import Place
from benchwire.events import child

Streams = tuple[Any, Any]  # what the SDK's client reads from, and writes to

MAX_LINE_BYTES = 8 << 20
# In a row: some programs greet on their output, but a flood would take all the time there is.
MAX_NONSENSE_BYTES = 64 * 1024
LINES_AT_ONCE = 256
SAID_BYTES = 8192
LAST_WORDS_S = 0.2  # its two outputs end at the same time, but are not heard so
# Node reserves far more addresses than it uses, and starts a thread for each thing. Time ends with the session.
LIMITS = Limits(
    cpu_s=24 * 3600, address_bytes=64 << 30, file_bytes=1 << 30, processes=256, memory_bytes=2 << 30, disk_bytes=1 << 30,
    wall_s=30 * 86400.0,
)  # fmt: skip


class Said:
    """What is known of a server beside its answers: the last that it said on its standard error, if it is a program.

    ``watch`` knows which limit ended it, if one did; ``unheard`` why nobody listens to it any more, if that is so.
    """

    def __init__(self) -> None:
        self.watch = Watch()
        self.unheard: str | None = None
        self._kept = b""

    async def listen(self, process: Process) -> None:
        """Takes it in until it ends."""
        assert process.stderr is not None, "spawn always makes pipes"
        while data := await process.stderr.read(1 << 16):
            self._kept = (self._kept + data)[-SAID_BYTES:]

    @property
    def words(self) -> str:
        """As a text."""
        return text(self._kept).strip()


async def program(command: str, name: str, allowed: Sequence[str]) -> str:
    """Where the program is, if the operator allows it. Raises ``GivenUp``."""
    if command not in allowed:
        raise GivenUp(
            f"the MCP server {name!r} is the program {command[:200]!r}, which may not be run here; whoever operates the agent runner "
            "allows it with BENCHWIRE_MCP_COMMANDS",
            "agent",
        )
    path = await asyncio.to_thread(shutil.which, command)
    if path is None:
        raise GivenUp(f"the MCP server {name!r} is the program {command!r}, which is not installed here", "agent")
    return path


@contextlib.asynccontextmanager
async def spoken_with(
    argv: Sequence[str], place: Place, said: Said, *, environment: Mapping[str, str], readable: Sequence[Path]
) -> AsyncGenerator[Streams, None]:
    """Runs the program for the time of the context. (The SDK's own way knows neither our fence nor an end of a line.)"""
    fenced = place.sandbox.spawn(
        argv, workdir=place.workdir, limits=LIMITS, readable=readable, environment=environment, watch=said.watch, stdin=child.PIPE
    )  # fmt: skip
    async with fenced as process:
        heard_in, heard = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        say, to_say = anyio.create_memory_object_stream[SessionMessage](0)
        async with (
            heard_in,
            heard,
            say,
            to_say,
            beside(said.listen(process)) as listening,
            beside(_hear(process, heard_in, said, listening)),
            beside(_say(process, to_say)),
        ):
            yield heard, say


async def _hear(
    process: Process,
    heard: MemoryObjectSendStream[SessionMessage | Exception],
    said: Said,
    listening: asyncio.Task[None],
) -> None:
    """Passes on the program's messages; closes the stream with its output, so that whoever waits for an answer is told."""
    async with heard, contextlib.aclosing(_messages(process, said)) as messages:
        async for message in messages:
            try:
                await heard.send(message)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return
        await asyncio.wait([listening], timeout=LAST_WORDS_S)


async def _messages(process: Process, said: Said) -> AsyncGenerator[SessionMessage, None]:
    """What it says, until its output ends, or it is not worth listening to any more."""
    assert process.stdout is not None, "spawn always makes pipes"
    rest, nonsense = bytearray(), 0
    while piece := await process.stdout.read(1 << 16):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            said.unheard = f"it wrote a line of more than {MAX_LINE_BYTES} bytes"
            return
        for number, line in enumerate(lines):
            if (message := _message(line)) is not None:
                nonsense = 0
                yield message
                continue
            nonsense += len(line) + 1
            if nonsense > MAX_NONSENSE_BYTES:
                said.unheard = f"it wrote {MAX_NONSENSE_BYTES} bytes that are no messages"
                return
            if number % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)  # others have something to do, too


def _message(line: bytearray) -> SessionMessage | None:
    """What a line says; None when it is no message: some programs greet on their output."""
    if not line.lstrip().startswith(b"{"):  # the parser takes its time to say so
        return None
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(bytes(line), by_name=False))
    except ValueError:
        return None


async def _say(process: Process, to_say: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None, "it was asked for"
    async with to_say:
        async for one in to_say:
            line = one.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
            try:
                process.stdin.write(line.encode())
                await process.stdin.drain()
            except (ConnectionError, RuntimeError):  # it has ended, which is told by its output
                return
