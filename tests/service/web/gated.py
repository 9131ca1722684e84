"""A service within the limits of its gate, and a client that uses sockets as they are: no HTTP client says what is said here."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request, WebSocket, get, post, websocket
from litestar.response import Stream

from benchwire.web.access import Guard
from benchwire.web.app import made
from benchwire.web.callers import Callers
from benchwire.web.feed import Client, Feed
from benchwire.web.gate import Gate
from benchwire.web.serve import serve
from benchwire.web.settings import WebSettings
from benchwire.web.testing import running

HOST = b"Host: localhost\r\n"
CALL = b"GET /things HTTP/1.1\r\n" + HOST + b"\r\n"
ELSEWHERE = "127.0.0.2"  # another address of this machine
WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
CHUNKED = b"Transfer-Encoding: chunked"
_FEED = Feed()


@get("/things")
async def things(request: Request[Any, Any, Any]) -> str:
    """Says by what name it was called."""
    request.app.state.calls += 1
    return f"things {request.headers.get('x-number', '')}{request.headers.get('x-trailer', '')}"


@post("/bodies", status_code=200)
async def count(request: Request[Any, Any, Any]) -> str:
    """How long the body is."""
    body = await request.body()
    request.app.state.calls += 1
    return f"{len(body)} bytes"


@post("/late", status_code=200)
async def late(request: Request[Any, Any, Any]) -> str:
    """Reads its body when it is let."""
    await request.app.state.may_read.wait()
    return f"{len(await request.body())} bytes"


@get("/much")
async def much() -> Stream:
    """More than the buffers between here and a client hold."""

    async def told() -> AsyncGenerator[bytes, None]:
        for _ in range(1000):
            yield b"x" * 65536

    return Stream(told())


@get("/large")
async def large() -> bytes:
    """As much, in one piece: whoever asks does not have to take it for it to be made."""
    return b"x" * (16 << 20)  # more than two kernels hold


@get("/quiet")
async def quiet() -> Stream:
    """Says something, and then nothing for a long time."""

    async def told() -> AsyncGenerator[bytes, None]:
        yield b"begun"
        await asyncio.Event().wait()

    return Stream(told())


@websocket("/ws")
async def follow(socket: WebSocket[Any, Any, Any]) -> None:
    """As the services do it; what comes is counted."""

    async def greet(client: Client) -> None:
        client.open(["hello"])

    async def on_text(_: str) -> None:
        socket.app.state.calls += 1

    await _FEED.attend(socket, "topic", greet, on_text)


class Service:
    """A service with these limits."""

    def __init__(self, **limits: Any) -> None:
        self.gate = Gate(WebSettings(**limits))
        self.app = made(
            "test",
            [things, count, late, much, large, quiet, follow],
            body_limit_bytes=64 << 20,
            bodies_limit_bytes=self.gate.settings.bodies_limit_bytes,
        )
        self.app.state.calls = 0
        self.app.state.may_read = asyncio.Event()
        self.port = 0
        self.lines: list[Line] = []

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncGenerator["Service", None]:
        guard = Guard(self.app, callers=Callers())
        async with running(
            lambda ready: serve(guard, host="127.0.0.1", port=0, gate=self.gate, on_ready=ready)
        ) as self.port:
            try:
                yield self
            finally:
                for line in self.lines:
                    line.writer.transport.abort()

    async def open(self, begin: bytes = b"", source: str = "127.0.0.1") -> "Line":
        """A connection on which ``begin`` was sent."""
        line = Line(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0)))
        line.writer.write(begin)
        self.lines.append(line)
        return line

    async def told(self, call: bytes, source: str = "127.0.0.1") -> tuple[int, str]:
        """What is answered to ``call``: the status, and the text or the sentence."""
        line = await self.open(call, source)
        told = await line.answer()
        line.writer.close()
        return told

    async def is_well(self, source: str = ELSEWHERE) -> bool:
        """Whether somebody else is answered."""
        return (await self.told(CALL, source))[0] == 200


class Line:
    """A connection, from the client's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, str]:
        """The next answer that has a length."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            found = re.search(r"content-length: (\d+)", head)
            body = (await self.reader.readexactly(int(found[1]))).decode() if found else ""
        status = int(head.split()[1])
        if status >= 400:
            assert "content-type: application/json" in head, head
            assert json.loads(body)["status_code"] == status
            return status, str(json.loads(body)["detail"])
        return status, body

    async def rest(self) -> bytes:
        """All that comes until the service ends the connection."""
        async with asyncio.timeout(20):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def send_until_cut_off(self, piece: bytes) -> int:
        """Sends ``piece`` again and again, and nothing is read; how many bytes were sent."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while not self.reader.at_eof():
                    self.writer.write(piece)
                    await self.writer.drain()
                    sent += len(piece)
                    await asyncio.sleep(0)
        return sent


def posted(*headers: bytes, body: bytes = b"1\r\na\r\n0\r\n\r\n", version: bytes = b"1.1") -> bytes:
    return (
        b"POST /bodies HTTP/" + version + b"\r\n" + HOST + b"".join(one + b"\r\n" for one in headers) + b"\r\n" + body
    )


def frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """As a client sends it, masked with nothing."""
    assert len(payload) < 126
    return bytes([opcode | (0x80 if last else 0), 0x80 | len(payload)]) + b"\0\0\0\0" + payload
