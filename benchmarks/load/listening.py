"""WebSocket clients on plain sockets, which count what they read: a hundred of them cost less than the service that they read from."""

import asyncio
import base64
import functools
import os
import re
import socket
import time
from typing import Any, cast

from benchmarks.apart import asked, say
from benchmarks.load.bodies import MARK
from benchmarks.measuring import quantile
from benchwire.events.testing.eventually import eventually

_POSTED_AT = re.compile(MARK + rb"(\d+) ")
_LONGEST_STAMP = 40
_PING = b"\x89\x04"  # RFC 6455, 5.5.2, with the four bytes of payload that uvicorn sends
_PING_BYTES = 6
_PONG = b"\x8a\x84\0\0\0\0"
_DEADLINE_S = 60.0


class Reader(asyncio.Protocol):
    """Counts events by the mark in their text; with ``every`` it also notes the delay of one in so many."""

    def __init__(self, head: bytes, *, every: int = 0) -> None:
        self.count = 0
        self.last_at = 0.0
        self.delays_ms: list[float] = []
        self.has_begun = False  # what it is greeted with tells all before, and what follows comes as frames
        self.is_gone = False
        self._every = every
        self._left = head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        """Takes what came."""
        data = self._left + data
        self.has_begun = self.has_begun or bool(data)
        while 0 <= (at := data.find(_PING)) <= len(data) - _PING_BYTES:
            # Text is ASCII here, so this is a ping, or the length of a frame: an answer too many is passed over (RFC 6455, 5.5.3). It is
            # taken out: what is left over of the data would be found again before the next ping, which then nobody answered.
            self._transport.write(_PONG + data[at + 2 : at + _PING_BYTES])
            data = data[:at] + data[at + _PING_BYTES :]
        self.last_at = time.monotonic()
        if not self._every:
            self.count += data.count(MARK)
            self._left = data[1 - len(MARK) :]
            return
        end = 0
        for found in _POSTED_AT.finditer(data):
            self.count += 1
            end = found.end()
            if self.count % self._every == 0:
                self.delays_ms.append((time.monotonic_ns() - int(found[1])) / 1e6)
        self._left = data[max(end, len(data) - _LONGEST_STAMP) :]

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that hangs up is noticed at the next count."""
        self.is_gone = True


async def connected(
    port: int, path: str = "/ws", *, buffer_bytes: int | None = None
) -> tuple[socket.socket, bytes]:  # fmt: skip
    """A WebSocket on a plain socket, and what came with the answer to its handshake."""
    loop = asyncio.get_running_loop()
    plain = socket.socket()
    if buffer_bytes is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    plain.setblocking(False)  # noqa: FBT003
    await loop.sock_connect(plain, ("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "",
    ]  # fmt: skip
    await loop.sock_sendall(plain, "\r\n".join(lines).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        part = await loop.sock_recv(plain, 4096)
        if not part:
            raise RuntimeError(f"{path} is not answered")
        head += part
    if not head.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"{path} is answered with {head[:200].decode(errors='replace')}")
    return plain, head.partition(b"\r\n\r\n")[2]


async def listen(port: int, *, clients: int, path: str = "/ws", every: int = 0) -> None:
    """Connects, says so, and then answers each number with what was seen once every client has read that many events since the last time.

    ``last_at`` is when the last of them had come, by the monotonic clock.
    """
    readers = []
    for _ in range(clients):
        plain, head = await connected(port, path)
        _, reader = await asyncio.get_running_loop().create_connection(
            functools.partial(Reader, head, every=every), sock=plain
        )
        readers.append(reader)
    await eventually(lambda: all(reader.has_begun for reader in readers), within_s=_DEADLINE_S, what="the first frames")
    say("connected")
    async for count in asked():
        say(await _seen(readers, count))


async def _seen(readers: list[Reader], count: int) -> dict[str, Any]:
    end = time.monotonic() + _DEADLINE_S
    while (fewest := min(reader.count for reader in readers)) < count:
        if gone := sum(reader.is_gone for reader in readers):
            raise RuntimeError(
                f"the server has hung up on {gone} of {len(readers)} clients; one has read {fewest} of {count} events"
            )
        if time.monotonic() > end:
            raise RuntimeError(f"a client has read {fewest} of {count} events after {_DEADLINE_S} s")
        await asyncio.sleep(0.005)
    if any(reader.count > count for reader in readers):
        raise RuntimeError(f"a client has read more than {count} events")
    delays = [delay for reader in readers for delay in reader.delays_ms]
    told = {"last_at": max(reader.last_at for reader in readers), "events": sum(reader.count for reader in readers)}
    for reader in readers:
        reader.count = 0
        reader.delays_ms.clear()
    if delays:
        told |= {"p50_ms": quantile(delays, 0.5), "p99_ms": quantile(delays, 0.99), "most_ms": max(delays)}
    return told
