"""MCP servers over HTTP that answer as no server should; written by hand, because a library would not."""

import asyncio
import contextlib
import gzip
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest
from anthropic.lib.tools import ToolError

from benchwire.agent.blueprint import Blueprint
from benchwire.agent.errors import GivenUp
from benchwire.agent.sessions.calls import Tool

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]

SECRET = "hunter2-hunter2"
OBJECT = {"type": "object"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent back: ``body`` is JSON unless it is bytes. Without ``ends`` nothing is."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = {}
    ends: bool = True


class Server:
    """Answers ``tools/list`` with ``offered`` (None: never) and ``tools/call`` with ``called``, and does not say goodbye when it ``lingers``."""

    def __init__(self, offered: list[dict[str, Any]] | None, called: Answer, *, lingers: bool = False) -> None:
        self.offered = offered
        self.called = called
        self.lingers = lingers
        self.asked: list[str] = []

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        if method != "POST":
            self.asked.append(f"{method} {path}")
            return Answer(status=405, ends=method != "DELETE" or not self.lingers)
        return self._told(json.loads(body))

    def _told(self, message: dict[str, Any]) -> Answer:
        self.asked.append(message["method"])
        match message:
            case {"method": "initialize", "params": {"protocolVersion": version}}:
                info = {"name": "hostile", "version": "1"}
                result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
                return Answer(body=_result(message, result), headers={"Mcp-Session-Id": "here"})
            case {"method": "tools/list"}:
                return Answer(body=_result(message, {"tools": self.offered}), ends=self.offered is not None)
            case {"method": "tools/call"} if isinstance(self.called.body, dict):
                return msgspec.structs.replace(self.called, body=_result(message, self.called.body))
            case {"method": "tools/call"}:
                return self.called
            case {"id": name}:
                return Answer(body={"jsonrpc": "2.0", "id": name, "error": {"code": -32601, "message": "no"}})
            case _:
                return Answer(status=202)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            (method, path, _), *lines = (line.split(" ", 2) for line in head.strip().splitlines())
            sizes = [int(line[1]) for line in lines if line[0].lower() == "content-length:"]
            answer = self.answer(method, path, await reader.readexactly(sizes[0] if sizes else 0))
            if not answer.ends:
                await reader.read()
            else:
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
                told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {answer.status} So\r\nConnection: close\r\n{told}\r\n".encode() + body)
                await writer.drain()
        writer.close()


def _result(message: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def offer(name: str = "lure", **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": OBJECT, **more}


def said(*blocks: dict[str, Any], **more: Any) -> Answer:
    return Answer(body={"content": list(blocks), **more})


@contextlib.asynccontextmanager
async def listening(server: Server) -> AsyncGenerator[str, None]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as made:
        yield f"http://127.0.0.1:{made.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def met(tools: OpenTools, server: Server, path: str = "/mcp", **settings: Any) -> AsyncGenerator[Any, None]:
    async with listening(server) as url:
        blueprint = Blueprint(name="birder", mcp_servers={"trap": {"type": "http", "url": url + path}})
        async with tools(
            blueprint=blueprint, **{"mcp_start_s": 20.0, "mcp_hosts": ("127.0.0.1",), **settings}
        ) as opened:
            yield opened


async def refused(tool: Tool) -> str:
    with pytest.raises(ToolError) as told:
        await tool.call({})
    return str(told.value)


async def given_up(opened: AbstractAsyncContextManager[Any]) -> str:
    with pytest.raises(Exception) as told:  # noqa: PT011 - the projection's task group wraps it
        async with opened:
            pass
    problem: BaseException = told.value
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    assert isinstance(problem, GivenUp)
    return str(problem)


@pytest.mark.parametrize(
    ("called", "sentence"),
    [
        (Answer(body=gzip.compress(b" " * (64 << 20)), headers={"Content-Encoding": "gzip"}), "it sent an answer compressed"),
        (Answer(body=b" " * ((8 << 20) + 1)), "it sent an answer of more than 8388608 bytes"),
        (Answer(body=b" " * ((8 << 20) + 1), status=307, headers={"Location": "/", "Content-Type": "text/event-stream"}), "an answer of more than"),
        (Answer(status=307, headers={"Location": "file:///etc/passwd"}), "not followed"),
        (Answer(status=307, headers={"Location": "http://169.254.169.254/"}), "not followed"),
        (Answer(status=302, headers={"Location": "/elsewhere"}), "not followed"),
        (Answer(body=b"no JSON"), "could not answer the call of lure"),
        (Answer(ends=False), "did not answer within 1 s"),
    ],
    ids=["gzip", "long", "long redirect", "file", "internal", "another method", "no JSON", "silence"],
)  # fmt: skip
async def test_an_answer_that_is_none_ends_the_call_with_a_sentence(
    tools: OpenTools, called: Answer, sentence: str
) -> None:
    server = Server([offer()], called)
    # Time enough for what is sent; only silence needs its end.
    async with met(tools, server, mcp_timeout_s=20.0 if called.ends else 1.0) as tool:
        assert sentence in await refused(tool["trap__lure"])
        assert "exit code 0" in await tool["bash"].call({"command": "true"})
    assert not any("elsewhere" in one for one in server.asked)


async def test_a_server_that_never_says_goodbye_keeps_no_session_from_its_end(tools: OpenTools) -> None:
    """The SDK waits for the answer to its DELETE, also when it is cancelled."""
    server = Server([offer()], said(), lingers=True)

    async def stopped() -> None:
        async with met(tools, server):
            raise asyncio.CancelledError

    async with asyncio.timeout(30):
        with pytest.raises(asyncio.CancelledError):
            await stopped()
    assert "DELETE /mcp" in server.asked


async def test_a_server_that_never_says_anything_keeps_no_session_from_its_end(tools: OpenTools) -> None:
    server = Server(None, said(), lingers=True)
    async with asyncio.timeout(30):
        assert "did not answer within 1 s" in await given_up(met(tools, server, mcp_start_s=1.0))
    assert "DELETE /mcp" in server.asked


async def test_what_an_address_holds_is_in_no_log_line(
    tools: OpenTools, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BIRD_TOKEN", SECRET)
    caplog.set_level(logging.INFO)
    server = Server([offer()], Answer(status=307, headers={"Location": f"http://127.0.0.1:9/{SECRET}"}))
    async with met(tools, server, "/${BIRD_TOKEN}/mcp", mcp_variables=("BIRD_TOKEN",)) as tool:
        assert SECRET not in await refused(tool["trap__lure"])
    assert any(SECRET in one for one in server.asked), "it was looked up"
    assert SECRET not in caplog.text


async def test_an_answer_is_not_judged_by_the_servers_own_schema(tools: OpenTools) -> None:
    """A pattern such as ``(a+)+$`` would keep the whole runner busy for ever."""
    schema = {"type": "object", "properties": {"a": {"pattern": "^b+$"}}, "required": ["c"]}
    called = said({"type": "text", "text": "as it is"}, structuredContent={"a": "aaa"})
    async with met(tools, Server([offer(outputSchema=schema)], called)) as tool:
        assert await tool["trap__lure"].call({}) == "as it is"


async def test_what_the_model_service_would_not_take_is_a_text_instead(tools: OpenTools) -> None:
    """It would refuse the whole conversation, each time anew."""
    called = said(
        {"type": "text", "text": ""},
        {"type": "image", "data": "AAAA", "mimeType": "image/png"},
        {"type": "image", "data": "?", "mimeType": "image/gif"},
        {"type": "image", "data": "/9j/", "mimeType": "image/jpeg"},
    )
    async with met(tools, Server([offer()], called)) as tool:
        one, other, picture = await tool["trap__lure"].call({})
    assert (one["type"], one["text"]) == ("text", "[image of 3 bytes, which cannot be shown: it is no image/png]")
    assert "it is no base64" in other["text"]
    assert picture["source"]["data"] == "/9j/"


async def test_of_many_tools_so_many_are_offered_under_names_and_words_that_a_model_takes(
    tools: OpenTools, caplog: pytest.LogCaptureFixture
) -> None:
    many = [offer(f"a\x1b[2J {number % 50}", description="x\x00\x1b]0;y\x07\nz") for number in range(200)]
    async with met(tools, Server(many, said())) as tool:
        theirs = {name: one.to_dict() for name, one in tool.items() if name.startswith("trap__")}
    assert len(theirs) == 128
    assert {"trap__a__2J_0", "trap__a__2J_0_2", "trap__a__2J_0_3"} <= set(theirs)
    assert theirs["trap__a__2J_0"]["description"] == "x  ]0;y \nz"
    assert "offers more than 128 tools" in caplog.text


async def test_a_server_whose_tools_nobody_can_describe_ends_the_session_with_a_sentence(tools: OpenTools) -> None:
    many = [offer(str(number), inputSchema=OBJECT | {"title": "x" * 20_000}) for number in range(60)]
    assert "described in more than 1048576 characters" in await given_up(met(tools, Server(many, said())))


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "inside",
    [
        b'{"content":' + DEEP + b"}",
        b'{"content":[],"structuredContent":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b"9" * 5000,
    ],
)
async def test_an_answer_that_nests_without_end_ends_the_call_and_not_the_runner(
    tools: OpenTools, inside: bytes
) -> None:
    body = b'{"jsonrpc":"2.0","id":3,"result":' + inside + b"}"
    async with met(tools, Server([offer()], Answer(body=body)), mcp_timeout_s=5.0) as tool:
        assert len(await refused(tool["trap__lure"])) < 5000
        assert tool["read_file"].name == "read_file"


async def test_a_schema_that_nests_without_end_is_told(tools: OpenTools) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(150):
        schema = {"type": "object", "properties": {"a": schema}}
    assert "'trap' cannot be used" in await given_up(met(tools, Server([offer(inputSchema=schema)], said())))
