"""200 WebSocket clients, one of which reads nothing, while events come in at a steady rate: who is delayed, who is dropped, what memory does.

    .venv/bin/python -m benchmarks.sockets [--clients 200] [--rate 500] [--seconds 30] [--all-read]

A nats-server, the service, the readers and the poster are processes of their own, on loopback. A reader takes frames off a plain socket, so
that 200 of them cost less than the service that they read from. Delay is from the moment before an event is posted to the moment its frame
is read; both clocks are this machine's monotonic one.
"""

import argparse
import asyncio
import base64
import functools
import json
import os
import re
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.lab import Service, observability

from benchwire.events import nats_server

_ROOT = Path(__file__).parents[1]
_READERS = 2
_POSTERS = 16
_PADDING = "x" * 400
_POSTED_AT = re.compile(rb'"text":"at=(\d+)')
_OUTBOX_BYTES = 2 << 20  # of the service: at 0.3 MB/s the one that reads nothing has to be gone well before the end


async def main() -> None:
    """Runs the scene and prints what was seen."""
    options = _options()
    if options.role == "reader":
        await _read(options.port, options.clients)
        return
    with tempfile.TemporaryDirectory(prefix="benchwire-") as directory:
        async with (
            nats_server.running(Path(directory) / "nats") as nats,
            observability(nats.url, Path(directory) / "data", outbox_bytes=str(_OUTBOX_BYTES)) as service,
        ):
            told = await _scene(service, options)
    print(json.dumps(told, indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rate", type=int, default=500, help="events per second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--all-read", action="store_true", help="leave the one that reads nothing out, to compare")
    parser.add_argument("--role", choices=("scene", "reader"), default="scene", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


async def _scene(service: Service, options: argparse.Namespace) -> dict[str, Any]:
    share = (options.clients - 1) // _READERS
    lazy = None if options.all_read else (await _connected(service.port, buffer_bytes=4096))[0]
    argv = [
        sys.executable,
        "-m",
        "benchmarks.sockets",
        "--role",
        "reader",
        "--port",
        str(service.port),
        "--clients",
        str(share),
    ]
    readers = [
        await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=_ROOT
        )
        for _ in range(_READERS)
    ]
    for reader in readers:
        assert reader.stdout is not None
        await reader.stdout.readline()  # it says that all its clients are connected
    before_s, resident_mb = service.cpu_s, [service.resident_mb]
    posting = asyncio.create_task(_post_steadily(service.port, options.rate, options.seconds))
    while not (await asyncio.wait([posting], timeout=5))[0]:
        resident_mb.append(service.resident_mb)
    posted = posting.result()
    used_s = service.cpu_s - before_s
    seen = [json.loads((await reader.communicate(b"\n"))[0]) for reader in readers]
    health = (await service.http.get("/health")).json()
    resident_mb.append(service.resident_mb)
    delays = sorted(one for reader in seen for one in reader["delays_ms"])
    return {
        "readers": share * _READERS,
        "events": posted,
        "frames_read": sum(one["frames"] for one in seen),
        "frames_expected": posted * share * _READERS,
        "delay_ms": {name: round(delays[int(len(delays) * part)], 1) for name, part in _PARTS.items()},
        "service_cores": round(used_s / options.seconds, 2),
        "resident_mb": resident_mb,
        "still_connected": health["clients"],
        "the_lazy_one": None if lazy is None else await _last_words(lazy),
    }


_PARTS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 0.9999999}


async def _post_steadily(port: int, rate: int, seconds: float) -> int:
    """Posts over a few connections that stay; each waits for its answers. How many events were acknowledged."""
    began = time.monotonic()

    async def one_of(place: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        number = place
        while number / rate < seconds:
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            writer.write(_request(number))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            await reader.readexactly(int(length[1]))
            number += _POSTERS
        writer.close()
        return (number - place) // _POSTERS

    return sum(await asyncio.gather(*(one_of(place) for place in range(_POSTERS))))


def _request(number: int) -> bytes:
    text = f"at={time.monotonic_ns()} {_PADDING}"
    hook = {
        "event_type": "message", "session_id": f"s{number % 20}", "timestamp": "2026-01-01T00:00:00Z", "role": "assistant",
        "content": [{"type": "text", "text": text}],
    }  # fmt: skip
    body = json.dumps(hook).encode()
    head = f"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _connected(port: int, *, buffer_bytes: int | None = None) -> tuple[socket.socket, bytes]:
    """A WebSocket on a plain socket, and what came with the answer to its handshake."""
    loop = asyncio.get_running_loop()
    plain = socket.socket()
    if buffer_bytes is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    plain.setblocking(False)  # noqa: FBT003
    await loop.sock_connect(plain, ("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /ws HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", "",
    ]  # fmt: skip
    await loop.sock_sendall(plain, "\r\n".join(lines).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += await loop.sock_recv(plain, 4096)
    return plain, head.partition(b"\r\n\r\n")[2]


async def _last_words(plain: socket.socket) -> str:
    """What the one that read nothing is told once it reads."""
    loop, left = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(20):
            while part := await loop.sock_recv(plain, 1 << 20):
                left = (left + part)[-256:]
    except TimeoutError:
        return "nothing: it is still connected"
    except OSError as error:
        return f"cut off: {error}"
    at = left.rfind(b"\x88")
    return f"{int.from_bytes(left[at + 2 : at + 4], 'big')} {left[at + 4 :].decode(errors='replace')}"


class _Reader(asyncio.Protocol):
    """Counts frames, and notes the delay of one in fifty."""

    def __init__(self, head: bytes) -> None:
        self.frames = 0
        self.delays_ms: list[float] = []
        self._left = head

    def data_received(self, data: bytes) -> None:
        """Takes whole frames off what came."""
        data, at = self._left + data, 0
        while len(data) - at >= 4:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if len(data) < start + length:
                break
            if data.startswith(b'{"type":"event"', start):
                self.frames += 1
                if self.frames % 50 == 0:
                    self._note(data[start : start + length])
            at = start + length
        self._left = data[at:]

    def _note(self, frame: bytes) -> None:
        posted = _POSTED_AT.search(frame)
        assert posted is not None
        self.delays_ms.append((time.monotonic_ns() - int(posted[1])) / 1e6)


async def _read(port: int, clients: int) -> None:
    loop, readers = asyncio.get_running_loop(), []
    for _ in range(clients):
        plain, head = await _connected(port)
        _, reader = await loop.create_connection(functools.partial(_Reader, head), sock=plain)
        readers.append(reader)
    print("connected", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)  # everything is posted
    counted = -1
    while counted != (counted := sum(reader.frames for reader in readers)):  # noqa: ASYNC110
        await asyncio.sleep(1)
    delays = [delay for reader in readers for delay in reader.delays_ms]
    print(json.dumps({"frames": counted, "delays_ms": delays}))


if __name__ == "__main__":
    asyncio.run(main())
