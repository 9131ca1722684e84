"""The edge as it is really served: what stands in logs, what becomes of connections whose token is revoked, and bodies without a length."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Request, WebSocket, get, post, websocket
from litestar.response import Stream
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchwire.web import tokens
from benchwire.web.access import Guard
from benchwire.web.app import made
from benchwire.web.callers import Callers
from benchwire.web.feed import Client, Feed
from benchwire.web.serve import serve
from benchwire.web.settings import WebSettings
from benchwire.web.testing import running
from benchwire.web.tokens import Scope

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
FEED = Feed()


@get("/stream")
async def stream() -> Stream:
    """Tells one thing, and never comes to the end."""

    async def told() -> AsyncGenerator[str, None]:
        yield "and so on"
        await asyncio.Event().wait()

    return Stream(told())


@post("/bodies", status_code=200)
async def count(request: Request[Any, Any, Any]) -> int:
    """How long the body is."""
    return len(await request.body())


@websocket("/ws")
async def follow(socket: WebSocket[Any, Any, Any]) -> None:
    """As the services do it."""

    async def greet(client: Client) -> None:
        client.open(["hello"])

    await FEED.attend(socket, "topic", greet)


class Lab:
    """A service with tokens: where it is, its token of the name ``reader``, and its file of tokens."""

    def __init__(self, port: int, file: Path, token: str) -> None:
        self.port = port
        self.file = file
        self.token = token

    async def revoke(self) -> None:
        await asyncio.to_thread(tokens.revoke, self.file, "reader")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    file = tmp_path / "tokens.json"
    token = await asyncio.to_thread(tokens.create, file, "reader", [Scope.WRITE], now=NOW)
    callers = await asyncio.to_thread(Callers.configured, WebSettings(tokens_file=file))
    app = Guard(made("test", [stream, count, follow], body_limit_bytes=1000), callers=callers)
    async with callers.followed(), running(lambda ready: serve(app, host="127.0.0.1", port=0, on_ready=ready)) as port:
        yield Lab(port, file, token)


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {lab.token}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{lab.port}", headers=headers, timeout=20.0) as client:
        yield client


async def test_what_a_token_has_opened_is_closed_when_it_is_revoked_and_no_error_is_logged(
    lab: Lab, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        asyncio.timeout(30),
        connect(f"ws://127.0.0.1:{lab.port}/ws?token={lab.token}", proxy=None) as socket,
        client.stream("GET", "/stream") as answer,
    ):
        assert await socket.recv() == "hello"
        pieces = answer.aiter_text()
        assert await anext(pieces) == "and so on"
        await lab.revoke()
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert [piece async for piece in pieces] == []
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, "revoked" in closed.value.rcvd.reason) == (1008, True)
    assert (await client.get("/stream")).status_code == 401
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_a_token_in_a_url_stands_in_no_log_however_much_is_logged(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for token in (lab.token, "a-wrong-one"):
            async with connect(f"ws://127.0.0.1:{lab.port}/ws?token={token}", proxy=None, logger=_silent()) as socket:
                with contextlib.suppress(ConnectionClosed):
                    await socket.recv()
    assert lab.token not in caplog.text
    assert "a-wrong-one" not in caplog.text


def _silent() -> logging.Logger:
    """For the client of this test, which may say what it likes."""
    silent = logging.getLogger("the client of this test")
    silent.setLevel(logging.CRITICAL)
    return silent


async def test_a_body_without_a_length_is_refused_where_it_passes_the_limit(client: httpx.AsyncClient) -> None:
    async def pieces(count: int) -> AsyncGenerator[bytes, None]:
        for _ in range(count):
            yield b"x" * 100

    assert (await client.post("/bodies", content=pieces(10))).json() == 1000
    answer = await client.post("/bodies", content=pieces(11))
    assert (answer.status_code, answer.json()["status_code"]) == (413, 413)
    assert (await client.post("/bodies", content=b"x" * 1001)).status_code == 413


async def test_a_head_says_how_long_the_answer_would_be(client: httpx.AsyncClient) -> None:
    whole = await client.get("/schema/ui/explorer.js")
    head = await client.head("/schema/ui/explorer.js")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert (await client.head("/stream")).status_code == 200
    assert (await client.head("/bodies")).status_code == 405
