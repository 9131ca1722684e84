"""POSTs over connections that stay: as fast as they are answered, or at a steady rate."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import cast

from benchmarks.load import bodies
from benchmarks.measuring import Measured, quantile

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    """One request at a time; ``turn`` gives the next, or None when there is none left."""

    def __init__(self, turn: Callable[[], bytes | None], took_ms: list[float], ended: asyncio.Event) -> None:
        self._turn = turn
        self._took_ms = took_ms
        self._ended = ended
        self._begun = 0.0
        self._left = b""
        self.problem: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)

    def next(self) -> None:
        """Sends the next request, or ends."""
        request = self._turn()
        if request is None:
            self._ended.set()
            return
        self._begun = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Waits for the whole of the answer."""
        data = self._left + data
        head = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, head) if head >= 0 else None
        if head < 0 or length is None or len(data) < head + 4 + int(length[1]):
            self._left = data
            return
        self._left = b""
        if not data.startswith(b"HTTP/1.1 200"):
            self.problem = data[:400].decode(errors="replace")
            self._ended.set()
            return
        self._took_ms.append(1000 * (time.perf_counter() - self._begun))
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that hangs up ends it."""
        if not self._ended.is_set():
            self.problem = f"the connection is gone: {exc}"
            self._ended.set()


async def flood(
    port: int, *, count: int, connections: int, each: int = 1, lines: bool = False, path: str = "/events"
) -> Measured:
    """Posts ``count`` events as fast as they are answered, ``each`` to a request: one, an array, or (``lines``) NDJSON.

    Returns when it began and ended (seconds of the monotonic clock), and quantiles of how long a request took.
    """
    left = count

    def turn() -> bytes | None:
        nonlocal left
        if left <= 0:
            return None
        taken = min(each, left)
        left -= taken
        return request(left, taken, lines=lines, path=path)

    return await _posted(port, connections, turn)


async def steady(port: int, *, rate: float, seconds: float, connections: int = 16) -> Measured:
    """Posts ``rate`` events a second, spread over connections, each of which waits for its answers."""
    loop = asyncio.get_running_loop()
    took_ms: list[float] = []
    begun = loop.time()
    total = int(rate * seconds)

    async def one_of(place: int) -> None:
        ended = asyncio.Event()
        answered = asyncio.Event()
        given: list[bytes] = []

        def turn() -> bytes | None:
            if given:
                return given.pop()
            answered.set()
            return None

        _, connection = await loop.create_connection(lambda: _Connection(turn, took_ms, ended), "127.0.0.1", port)
        for number in range(place, total, connections):
            await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
            answered.clear()
            given.append(request(number, 1))
            connection.next()
            await ended.wait()
            ended.clear()
            if connection.problem is not None:
                raise RuntimeError(connection.problem)

    async with asyncio.TaskGroup() as posting:
        for place in range(connections):
            posting.create_task(one_of(place))
    return _told(begun, loop.time(), took_ms) | {"posted": total}


async def _posted(port: int, connections: int, turn: Callable[[], bytes | None]) -> Measured:
    loop = asyncio.get_running_loop()
    took_ms: list[float] = []
    opened: list[tuple[_Connection, asyncio.Event]] = []
    for _ in range(connections):
        ended = asyncio.Event()
        _, connection = await loop.create_connection(
            lambda ended=ended: _Connection(turn, took_ms, ended),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        opened.append((connection, ended))
    begun = time.monotonic()
    for connection, _ in opened:
        connection.next()
    for connection, ended in opened:
        await ended.wait()
        if connection.problem is not None:
            raise RuntimeError(connection.problem)
    return _told(begun, time.monotonic(), took_ms)


def _told(begun: float, ended: float, took_ms: list[float]) -> Measured:
    return {"began": begun, "ended": ended, "p50_ms": quantile(took_ms, 0.5), "p99_ms": quantile(took_ms, 0.99)}


def request(number: int, each: int, *, lines: bool = False, path: str = "/events") -> bytes:
    """A POST of ``each`` events."""
    kind = b"application/json"
    if lines:
        kind, body = b"application/x-ndjson", b"".join(bodies.event(number + one) + b"\n" for one in range(each))
    elif each == 1:
        body = bodies.event(number)
    else:
        body = b"[" + b",".join(bodies.event(number + one) for one in range(each)) + b"]"
    return b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        path.encode(), kind, len(body), body,
    )  # fmt: skip
