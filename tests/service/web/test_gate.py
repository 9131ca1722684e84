"""What a client is held to before a route is reached: shapes of calls, sizes, speed, and how many. Sockets are used as they are, because no
HTTP client says what these say."""

import asyncio
import contextlib
import itertools
import json
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
from litestar import Request, WebSocket, get, post, websocket
from litestar.response import Stream
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchwire.events.testing.eventually import eventually
from benchwire.web.access import Guard
from benchwire.web.app import made
from benchwire.web.callers import Callers
from benchwire.web.feed import Client, Feed
from benchwire.web.gate import Gate
from benchwire.web.metrics import Metrics, of_gate
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
        self.app = made("test", [things, count, late, much, quiet, follow], body_limit_bytes=64 << 20)
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


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service().served() as service:
        yield service


QUICK = {"head_within_s": 0.2, "slow_for_s": 0.4, "slowest_bytes_per_s": 1000}


@pytest.fixture
async def quick() -> AsyncIterator[Service]:
    """One that is quickly out of patience."""
    async with Service(**QUICK).served() as service:
        yield service


# What could be read in two ways


def posted(*headers: bytes, body: bytes = b"1\r\na\r\n0\r\n\r\n", version: bytes = b"1.1") -> bytes:
    return (
        b"POST /bodies HTTP/" + version + b"\r\n" + HOST + b"".join(one + b"\r\n" for one in headers) + b"\r\n" + body
    )


CHUNKED = b"Transfer-Encoding: chunked"
SHAPES = {
    "two lengths": posted(b"Content-Length: 1", b"Content-Length: 2", body=b"ab"),
    "the same length twice": posted(b"Content-Length: 2", b"Content-Length: 2", body=b"ab"),
    "a list of lengths": posted(b"Content-Length: 2, 2", body=b"ab"),
    "length and chunks": posted(b"Content-Length: 1", CHUNKED),
    "chunks and length": posted(CHUNKED, b"Content-Length: 1"),
    "chunks of another name": posted(b"Transfer-Encoding: xchunked"),
    "chunks with a tab": posted(b"Transfer-Encoding: \x0bchunked"),
    "chunks twice": posted(CHUNKED, CHUNKED),
    "chunks and then not": posted(CHUNKED, b"Transfer-Encoding: identity"),
    "compressed chunks": posted(b"Transfer-Encoding: gzip, chunked"),
    "chunks in HTTP/1.0": posted(CHUNKED, version=b"1.0"),
    "a length with a sign": posted(b"Content-Length: +2", body=b"ab"),
    "a negative length": posted(b"Content-Length: -2", body=b"ab"),
    "a length in hex": posted(b"Content-Length: 0x2", body=b"ab"),
    "a length beyond all": posted(b"Content-Length: 99999999999999999999", body=b"ab"),
    "a space before the colon": posted(b"Content-Length : 2", body=b"ab"),
    "a chunk beyond all": posted(CHUNKED, body=b"fffffffffffffffff\r\na\r\n0\r\n\r\n"),
    "a negative chunk": posted(CHUNKED, body=b"-1\r\na\r\n0\r\n\r\n"),
    "a chunk in C": posted(CHUNKED, body=b"0x1\r\na\r\n0\r\n\r\n"),
    "a chunk that is longer": posted(CHUNKED, body=b"1\r\nab\r\n0\r\n\r\n"),
    "chunks with bare line feeds": posted(CHUNKED, body=b"1\na\n0\n\n"),
    "a line feed in what a chunk says": posted(CHUNKED, body=b"1;\n\na\r\n0\r\n\r\n"),
    "a length behind chunks": posted(CHUNKED, body=b"1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "a folded header": b"GET /things HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
    "bare line feeds": b"GET /things HTTP/1.1\nHost: localhost\n\n",
    "bare carriage returns": b"GET /things HTTP/1.1\rHost: localhost\r\r",
    "a line feed in a header": b"GET /things HTTP/1.1\r\nX: a\nHost: localhost\r\n\r\n",
    "a null in a header": b"GET /things HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "a null in the path": b"GET /thin\0gs HTTP/1.1\r\n" + HOST + b"\r\n",
    "bytes in the path": b"GET /th\xc3\xbcngs HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a name": b"GET /things HTTP/1.1\r\n" + HOST + b": a\r\n\r\n",
    "no host": b"GET /things HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /things HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "two tokens": b"GET /things HTTP/1.1\r\n" + HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "a target at another host": b"GET http://evil.example/things HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a user": b"GET http://a@localhost/things HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /things\r\n\r\n",
    "HTTP/1.2": b"GET /things HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method that nobody knows": b"BREW /things HTTP/1.1\r\n" + HOST + b"\r\n",
    "a WebSocket in HTTP/1.0": WEBSOCKET.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n",
    "a WebSocket with a body": WEBSOCKET + b"Content-Length: 3\r\n\r\nabc",
    "a WebSocket with a header that is too long for one": WEBSOCKET + b"X: " + b"x" * 9000 + b"\r\n\r\n",
}


async def test_what_could_be_read_in_two_ways_is_refused_and_reaches_no_route(service: Service) -> None:
    for name, call in SHAPES.items():
        line = await service.open(call)
        status, _ = await line.answer()
        assert status == 400, name
        assert await line.rest() == b"", name
    assert service.app.state.calls == 0
    assert service.gate.refusals["malformed"] == len(SHAPES)
    assert await service.is_well()


async def test_what_is_odd_and_means_one_thing_is_answered(service: Service) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    for call, expected in {
        b"GET http://localhost/things HTTP/1.1\r\n" + HOST + b"\r\n": (200, "things "),
        b"GET /things HTTP/1.0\r\n\r\n": (200, "things "),
        b"\r\n\r\n" + CALL: (200, "things "),
        b"GET /things? HTTP/1.1\r\n" + HOST + b"Accept-Encoding: *;q=0, br;q=9, ,;\r\n\r\n": (200, "things "),
        posted(CHUNKED, body=b"1;a=b\r\na\r\n0\r\nX-Trailer: seen\r\n\r\n"): (200, "1 bytes"),
        posted(b"Expect: tea", b"Content-Length: 3", body=b"abc"): (200, "3 bytes"),
        posted(b"Content-Encoding: identity", b"Content-Length: 3", body=b"abc"): (200, "3 bytes"),
        # Java's client offers HTTP/2 so with its first call, whatever that is.
        posted(upgrade.removesuffix(b"\r\n"), b"Content-Length: 3", body=b"abc"): (200, "3 bytes"),
        b"GET /things HTTP/1.1\r\n" + HOST + upgrade + b"\r\n": (200, "things "),
        b"GET /things HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n": (200, "things "),
    }.items():
        assert await service.told(call) == expected, call
    for method, status in {"CONNECT": 405, "TRACE": 405, "PROPFIND": 405, "OPTIONS *": 404}.items():
        target = method if " " in method else f"{method} /things" if method != "CONNECT" else "CONNECT localhost:80"
        assert (await service.told(f"{target} HTTP/1.1\r\n".encode() + HOST + b"\r\n"))[0] == status


async def test_a_client_that_waits_before_it_sends_its_body_is_told_to_go_on(service: Service) -> None:
    line = await service.open(posted(b"Expect: 100-continue", b"Content-Length: 3", body=b""))
    assert await line.answer() == (100, "")
    line.writer.write(b"abc")
    assert await line.answer() == (200, "3 bytes")


async def test_calls_behind_an_offer_of_another_protocol_are_answered_too(service: Service) -> None:
    offer = b"GET /things HTTP/1.1\r\n" + HOST + b"X-Number: %d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    line = await service.open(b"".join(offer % number for number in range(20)))
    for number in range(20):
        assert await line.answer() == (200, f"things {number}")


async def test_a_compressed_body_is_not_unpacked(service: Service) -> None:
    for coding in (b"gzip", b"deflate", b"br", b"zstd", b"identity, gzip", b"nonsense"):
        status, sentence = await service.told(posted(b"Content-Encoding: " + coding, b"Content-Length: 3", body=b"abc"))
        assert (status, "Content-Encoding" in sentence) == (415, True)
    assert service.app.state.calls == 0


# How much


async def test_a_head_has_a_size(service: Service) -> None:
    def call(path: int = 0, value: int = 0, fields: int = 0) -> bytes:
        headers = b"X-A: %b\r\n" % (b"a" * value) + b"X: y\r\n" * fields
        return b"GET /things?%b HTTP/1.1\r\n" % (b"q" * path) + HOST + headers + b"\r\n"

    for fits in (call(60_000), call(0, 60_000), call(30_000, 30_000), call(0, 0, 126)):
        assert (await service.told(fits))[0] == 200
    for status, too_large in [
        (414, call(66_000)), (414, call(1_000_000)), (431, call(0, 66_000)), (431, call(0, 1_000_000)), (431, call(20_000, 50_000)),
        (431, call(0, 0, 127)), (431, call(0, 0, 10_000)), (431, WEBSOCKET + b"X: y\r\n" * 200 + b"\r\n"),
    ]:  # fmt: skip
        assert (await service.told(too_large))[0] == status, too_large[:40]
    assert await service.is_well()


async def test_what_has_no_end_is_cut_off(service: Service) -> None:
    chunk = posted(CHUNKED, body=b"1\r\na\r\n")
    for begin in (b"GET /things?", CALL[:-2] + b"X: ", CALL[:-2] + b"x", chunk + b"1;x=", chunk + b"0\r\nX: "):
        line = await service.open(begin)
        assert await line.send_until_cut_off(b"x" * 10_000) < 20 << 20, begin
        assert await service.is_well()


async def test_what_stands_behind_a_body_is_no_header(service: Service) -> None:
    call = (
        b"GET /things HTTP/1.1\r\n"
        + HOST
        + CHUNKED
        + b"\r\n\r\n0\r\nX-Trailer: seen\r\nAuthorization: Bearer x\r\n\r\n"
    )
    assert await service.told(call) == (200, "things ")


async def test_of_calls_that_come_before_their_turn_only_some_are_taken_and_those_are_answered(
    service: Service,
) -> None:
    calls = b"".join(CALL[:-2] + b"X-Number: %d\r\n\r\n" % number for number in range(3000))
    line = await service.open(calls)
    for number in range(33):
        assert await line.answer() == (200, f"things {number}")
    await line.rest()
    assert service.app.state.calls < 100
    assert service.gate.refusals["pipelined"] == 1
    some = await service.open(calls[: calls.index(b"X-Number: 20\r\n")] + b"\r\n")
    for _ in range(21):
        assert (await some.answer())[0] == 200


async def test_a_call_is_answered_whatever_comes_behind_it(service: Service) -> None:
    for behind in (b"\0\0\0", b"GET /things HTTP/1.1\r\n\r\n", WEBSOCKET + b"\r\n", posted(b"Content-Encoding: gzip")):
        line = await service.open(CALL + CALL + behind)
        assert [await line.answer(), await line.answer()] == [(200, "things ")] * 2
        assert await line.rest() == b""
    assert await service.is_well()


# How slow


async def test_who_is_slow_with_the_head_is_told_and_ended(quick: Service) -> None:
    for line in [await quick.open(begin) for begin in (b"G", CALL[:-2], CALL[:-2] + b"X: ", WEBSOCKET)]:
        assert (await line.answer())[0] == 408
        assert await line.rest() == b""
    assert quick.gate.refusals["slow_head"] == 4


async def test_a_byte_now_and_then_changes_nothing(quick: Service) -> None:
    async def dripped(line: Line) -> None:
        with contextlib.suppress(ConnectionError):
            for byte in itertools.cycle(b"x"):
                line.writer.write(bytes([byte]))
                await line.writer.drain()
                await asyncio.sleep(0.02)

    line = await quick.open(CALL[:-2] + b"X: ")
    dripping = asyncio.create_task(dripped(line))
    assert (await line.answer())[0] == 408
    dripping.cancel()


async def test_who_says_nothing_is_ended_without_a_word(quick: Service) -> None:
    for line in [await quick.open(begin) for begin in (b"", b"\r\n\r\n")]:
        assert await line.rest() == b""
    kept = await quick.open(CALL)
    assert (await kept.answer())[0] == 200
    assert await kept.rest() == b""


async def test_a_body_that_comes_too_slowly_is_ended_and_one_that_is_quick_enough_is_not(quick: Service) -> None:
    slow = await quick.open(posted(b"Content-Length: 100000", body=b"abc"))
    steady = await quick.open(posted(b"Content-Length: 60000", body=b""))

    async def sent() -> None:
        for _ in range(30):
            steady.writer.write(b"x" * 2000)
            await asyncio.sleep(0.05)

    sending = asyncio.create_task(sent())
    assert (await slow.answer())[0] == 408
    assert await slow.rest() == b""
    assert await steady.answer() == (200, "60000 bytes")
    await sending
    assert quick.gate.refusals["slow_body"] == 1


async def test_a_body_that_waits_for_the_service_is_not_called_slow(quick: Service) -> None:
    line = await quick.open(posted(b"Content-Length: 400000", body=b"x" * 400_000).replace(b"/bodies", b"/late"))
    slow = await quick.open(posted(b"Content-Length: 100000", body=b"abc"))
    assert (await slow.answer())[0] == 408  # so much time has passed
    quick.app.state.may_read.set()
    assert await line.answer() == (200, "400000 bytes")


async def test_nothing_is_answered_twice(service: Service) -> None:
    line = await service.open(posted(CHUNKED, body=b"1\r\na\r\n").replace(b"/bodies", b"/nothing"))
    assert (await line.answer())[0] == 404
    line.writer.write(b"no chunk\r\n")
    assert await line.rest() == b""


async def test_a_body_that_nobody_wants_is_not_taken_for_ever(quick: Service) -> None:
    line = await quick.open(posted(b"Content-Length: 100000000", body=b"").replace(b"/bodies", b"/nothing"))
    assert (await line.answer())[0] == 404
    await line.send_until_cut_off(b"x" * 1000)
    assert quick.gate.refusals["body_unwanted"] == 1


async def test_who_takes_an_answer_too_slowly_is_cut_off_and_one_that_is_quiet_is_not(quick: Service) -> None:
    quiet = await quick.open(b"GET /quiet HTTP/1.1\r\n" + HOST + b"\r\n")
    assert b"begun" in await quiet.reader.readuntil(b"begun")
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.setblocking(False)  # noqa: FBT003
    with lazy:
        await asyncio.get_running_loop().sock_connect(lazy, ("127.0.0.1", quick.port))
        await asyncio.get_running_loop().sock_sendall(lazy, b"GET /much HTTP/1.1\r\n" + HOST + b"\r\n")
        await eventually(lambda: quick.gate.refusals["slow_to_take"] == 1, within_s=20)
    swift = await quick.open(b"GET /much HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert len(await swift.rest()) > 1000 * 65536
    assert not quiet.reader.at_eof()


# How many


async def test_one_address_has_so_many_connections_and_others_are_served_meanwhile() -> None:
    async with Service(connections=8, connections_per_peer=5).served() as service:
        lines = [await service.open(CALL) for _ in range(5)]
        for line in lines:
            assert (await line.answer())[0] == 200
        refused = await service.open(CALL)
        status, sentence = await refused.answer()
        assert (status, "5 connections" in sentence) == (429, True)
        assert await refused.rest() == b""
        assert await service.is_well(ELSEWHERE)

        others = [await service.open(CALL, f"127.0.0.{number}") for number in (3, 4, 5)]
        for line in others:
            assert (await line.answer())[0] == 200
        assert (await service.told(CALL, "127.0.0.6"))[0] == 503

        for line in (refused, *lines, *others):
            line.writer.close()
        await eventually(lambda: not service.gate.connections(), within_s=20)
        assert await service.is_well("127.0.0.1")
        assert service.gate.refusals == {"connections_of_peer": 1, "connections": 1}


async def test_websockets_are_connections_too_and_a_flood_of_them_is_counted() -> None:
    async with Service(connections_per_peer=5).served() as service:
        metrics = Metrics("test", version="0")
        of_gate(metrics, service.gate)
        lines = [await service.open(WEBSOCKET + b"\r\n") for _ in range(300)]
        heads = [(await asyncio.gather(line.reader.read(100), return_exceptions=True))[0] for line in lines]
        assert sum(isinstance(head, bytes) and b" 101 " in head for head in heads) == 5
        assert await service.is_well()
        text = (await metrics.text()).decode()
        assert 'benchwire_test_turned_away_total{reason="connections_of_peer"} 295.0' in text
        assert 'benchwire_test_connections{kind="websocket"} 5.0' in text
        for line in lines:
            line.writer.close()
        await eventually(lambda: not service.gate.connections(), within_s=20)


# WebSockets


def frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """As a client sends it, masked with nothing."""
    assert len(payload) < 126
    return bytes([opcode | (0x80 if last else 0), 0x80 | len(payload)]) + b"\0\0\0\0" + payload


TEXT, CONTINUED, PING = 1, 0, 9


async def opened(service: Service, source: str = "127.0.0.1") -> Line:
    line = await service.open(WEBSOCKET + b"\r\n", source)
    assert b" 101 " in await line.reader.readuntil(b"hello")
    return line


async def test_a_message_of_more_than_a_mebibyte_is_1009(service: Service) -> None:
    async with connect(f"ws://127.0.0.1:{service.port}/ws", proxy=None) as client:
        assert await client.recv() == "hello"
        await client.send("x" * (1 << 20))
        sending = asyncio.create_task(client.send("x" * ((1 << 20) + 1)))
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        await asyncio.gather(sending, return_exceptions=True)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    parts = await opened(service)
    parts.writer.write(frame(TEXT, b"x" * 100, last=False))
    assert await parts.send_until_cut_off(frame(CONTINUED, b"x" * 100, last=False) * 50) < 20 << 20
    assert await service.is_well()


async def test_a_message_of_empty_parts_without_end_is_1008(service: Service) -> None:
    line = await opened(service)
    line.writer.write(frame(TEXT, b"x", last=False) + frame(CONTINUED, last=False) * 2000)
    assert b"1024 parts" in await line.rest()
    assert service.gate.refusals["socket_parts"] == 1


async def test_a_flood_of_messages_is_slowed_down_and_nobody_else_is() -> None:
    async with Service(socket_messages_per_s=50).served() as service:
        lines = [await opened(service) for _ in range(4)]
        for line in lines:
            line.writer.write(frame(TEXT, b"x") * 100_000)
        began = service.app.state.calls
        for _ in range(20):
            assert await service.is_well()
        await eventually(lambda: service.gate.refusals["socket_messages"] > 4, within_s=20)
        assert service.app.state.calls - began < 100_000
        line = await opened(service, ELSEWHERE)
        line.writer.write(frame(TEXT, b'{"type": "ping"}'))
        async with asyncio.timeout(20):
            await line.reader.readuntil(b"pong")


async def test_all_of_what_was_slowed_down_arrives_in_the_end() -> None:
    async with Service(socket_messages_per_s=2000).served() as service:
        line = await opened(service)
        line.writer.write(frame(TEXT, b"x") * 3000)
        await eventually(lambda: service.app.state.calls == 3000, within_s=20)
        line.writer.write(frame(TEXT, b'{"type": "ping"}'))
        async with asyncio.timeout(20):
            await line.reader.readuntil(b"pong")


async def test_pings_of_who_takes_no_pongs_fill_no_memory() -> None:
    async with Service(socket_messages_per_s=0).served() as service:
        line = await opened(service)
        line.writer.transport.pause_reading()  # type: ignore[attr-defined]
        flood = frame(PING, b"x" * 125) * 1000
        for _ in range(40):
            line.writer.write(flood)
            await line.writer.drain()
        assert await service.is_well()
        assert service.gate.waiting_bytes < 1 << 20
        line.writer.close()
