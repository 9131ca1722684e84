"""Fixtures only; nothing imports from here."""

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from benchwire.agent.settings import Settings
from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.catalog import AGENT
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.testing.eventually import eventually

Process = asyncio.subprocess.Process
Reply = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


class Replies:
    """What a model endpoint may answer, as server-sent events of the Messages API or as something else, and that endpoint."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    @contextlib.asynccontextmanager
    async def given(self, *replies: Reply) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Runs the endpoint in this process: each request gets the next of ``replies``, and the last one for good.

        A reply gets what was asked and the open connection, and may write whatever it likes. Gives the list of what was asked.
        """
        asked: list[dict[str, Any]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
                assert length is not None
                request = json.loads(await reader.readexactly(int(length[1])))
                asked.append(request)
                await replies[min(len(asked), len(replies)) - 1](request, writer)
                await writer.drain()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
            yield asked

    @staticmethod
    def raw(body: str, *, status: str = "200 OK", headers: str = "", kind: str = "text/event-stream") -> Reply:
        """These bytes, then the end of the connection: an answer is whole when its last event says so."""

        async def reply(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
            writer.write(
                f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n{headers}\r\n{body}".encode()
            )

        return reply

    @staticmethod
    def error(status: str, kind: str, message: str, headers: str = "") -> Reply:
        """A refusal in the API's shape."""
        body = json.dumps({"type": "error", "error": {"type": kind, "message": message}})
        return Replies.raw(
            body, status=status, kind="application/json", headers=f"content-length: {len(body)}\r\n{headers}"
        )

    @staticmethod
    def start(input_tokens: int = 10) -> str:
        """The first event of an answer."""
        usage = {"input_tokens": input_tokens, "output_tokens": 1}
        message: dict[str, Any] = {
            "id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        return Replies.event("message_start", message=message)

    @staticmethod
    def event(kind: str, **fields: Any) -> str:
        """One event."""
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"

    @staticmethod
    def words(text: str, index: int = 0) -> str:
        """A block of text, not closed."""
        return Replies.event(
            "content_block_start", index=index, content_block={"type": "text", "text": ""}
        ) + Replies.event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})

    @staticmethod
    def call(name: str, sent: str, use: str, index: int = 0) -> str:
        """A call whose input is ``sent``, which need not be JSON; not closed."""
        block = {"type": "tool_use", "id": use, "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": sent}
        return Replies.event("content_block_start", index=index, content_block=block) + Replies.event(
            "content_block_delta", index=index, delta=delta
        )

    @staticmethod
    def stop(reason: str, index: int = 0, output_tokens: int = 5) -> str:
        """The end of the last block and of the answer."""
        return (
            Replies.event("content_block_stop", index=index)
            + Replies.event(
                "message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": output_tokens}
            )
            + Replies.event("message_stop")
        )  # fmt: skip

    @staticmethod
    def text(words: str, *, reason: str = "end_turn", input_tokens: int = 10) -> Reply:
        """A whole answer of words."""
        return Replies.raw(Replies.start(input_tokens) + Replies.words(words) + Replies.stop(reason))

    @staticmethod
    def tool(name: str, given: dict[str, Any], use: str, *, input_tokens: int = 10) -> Reply:
        """A whole answer that calls one tool."""
        called = Replies.call(name, json.dumps(given), use)
        return Replies.raw(Replies.start(input_tokens) + called + Replies.stop("tool_use"))

    @staticmethod
    def held(first: str, until: asyncio.Event, then: str = "") -> Reply:
        """An answer that stands still after ``first`` until somebody lets it go on."""

        async def reply(_: dict[str, Any], writer: asyncio.StreamWriter) -> None:
            writer.write(
                f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{first}".encode()
            )
            await writer.drain()
            await until.wait()
            writer.write(then.encode())

        return reply


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str], AbstractAsyncContextManager[str]]:
    """Runs the scripted model endpoint with a script (TOML); gives its URL."""

    @contextlib.asynccontextmanager
    async def running(script: str) -> AsyncGenerator[str, None]:
        file, port = tmp_path / "script.toml", tmp_path / "model.port"
        file.write_text(script)
        argv = [sys.executable, "-m", "benchwire.deploy.scripted", "--script", str(file), "--port-file", str(port)]
        async with child.spawn(argv):
            await eventually(port.exists, what="the scripted model to listen")
            yield f"http://127.0.0.1:{port.read_text().strip()}"

    return running


@pytest.fixture
def agent(
    nats: nats_server.Server, bus: Bus, tmp_path: Path
) -> Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]:
    """Runs an agent runner as a process; it is there when the context is entered. Keywords are settings (``max_tasks="1"``)."""

    @contextlib.asynccontextmanager
    async def running(
        runner: str = "runner-1", url: str | None = None, **settings: str
    ) -> AsyncGenerator[Process, None]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BENCHWIRE_"))
        }
        environment |= {f"BENCHWIRE_{name.upper()}": value for name, value in settings.items()}
        environment |= {
            "BENCHWIRE_NATS_URL": nats.url, "BENCHWIRE_DATA": str(tmp_path / runner), "BENCHWIRE_RUNNER": runner,
            "HOME": str(tmp_path),
        }  # fmt: skip
        if url is not None:
            environment["ANTHROPIC_BASE_URL"] = url
        async with child.spawn([sys.executable, "-m", "benchwire.agent"], env=environment) as process:

            async def there() -> bool:
                assert process.returncode is None, f"the runner ended with {process.returncode}"
                return any(one.pid == process.pid for one in await Presence(bus).everyone() if one.service == AGENT)

            await eventually(there, what="the runner to be there")
            yield process

    return running


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Replies:
    """What a model endpoint may answer, and the endpoint."""
    return Replies(monkeypatch)


@pytest.fixture
def runner(
    nats: nats_server.Server, bus: Bus, tmp_path: Path
) -> Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]:
    """Runs an agent runner in this process, which is quicker than one of its own. Keywords are settings; the endpoint is the environment's."""

    @contextlib.asynccontextmanager
    async def running(name: str = "runner-1", **settings: Any) -> AsyncGenerator[asyncio.Task[None], None]:
        from benchwire.agent import main as agents  # noqa: PLC0415 - all of the runner: only for those who run it

        own = Settings(nats_url=nats.url, data=tmp_path / name, runner=name, sandbox="limits", **settings)
        serving = asyncio.create_task(agents.serve(own))

        async def there() -> bool:
            if serving.done():
                serving.result()
            return any(one.name == name for one in await Presence(bus).everyone() if one.service == AGENT)

        try:
            await eventually(there, what="the runner to be there")
            yield serving
        finally:
            while not serving.done():
                serving.cancel()
                await asyncio.wait([serving], timeout=1.0)

    return running


@pytest.fixture
def happened(log: Log) -> Callable[[str], Awaitable[list[Event]]]:
    """Reads what the log holds on a filter."""

    async def read(filter_: str) -> list[Event]:
        return [one.event async for one in log.read([filter_])]

    return read
