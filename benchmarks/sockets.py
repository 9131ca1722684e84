"""200 WebSocket clients, one of which reads nothing, while events come in at a steady rate: who is delayed, who is dropped, what memory does.

    .venv/bin/python -m benchmarks.sockets [--clients 200] [--rate 500] [--seconds 30] [--all-read]

A nats-server, the service, the readers and the poster are processes of their own, on loopback. A reader takes frames off a plain socket, so
that 200 of them cost less than the service that they read from. Delay is from the moment before an event is posted to the moment its frame
is read; both clocks are this machine's monotonic one.
"""

import argparse
import asyncio
import json
import socket
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.apart import Apart, result, started
from benchmarks.lab import Service, observability
from benchmarks.load.listening import connected, listen
from benchmarks.load.posting import steady
from benchwire.events import nats_server

_READERS = 2
_NOTED = 50  # the delay of one event in so many
_OUTBOX_BYTES = 2 << 20  # of the service: at 0.3 MB/s the one that reads nothing has to be gone well before the end


async def main() -> None:
    """Runs the scene and prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rate", type=int, default=500, help="events per second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--all-read", action="store_true", help="leave the one that reads nothing out, to compare")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchwire-") as directory:
        async with (
            nats_server.running(Path(directory) / "nats") as nats,
            observability(nats.url, Path(directory) / "data", outbox_bytes=str(_OUTBOX_BYTES)) as service,
            AsyncExitStack() as stack,
        ):
            lazy = None if options.all_read else (await connected(service.port, buffer_bytes=4096))[0]
            share = (options.clients - 1) // _READERS
            listening = [started(listen, port=service.port, clients=share, every=_NOTED) for _ in range(_READERS)]
            readers = [await stack.enter_async_context(one) for one in listening]
            for reader in readers:
                await reader.heard()  # all its clients are connected
            told = await _scene(service, readers, lazy, rate=options.rate, seconds=options.seconds)
    print(json.dumps({"readers": share * _READERS, **told}, indent=2))


async def _scene(
    service: Service, readers: list[Apart], lazy: socket.socket | None, *, rate: float, seconds: float
) -> dict[str, Any]:
    before_s, resident_mb = service.cpu_s, [service.resident_mb]
    posting = asyncio.create_task(result(steady, port=service.port, rate=rate, seconds=seconds))
    while not (await asyncio.wait([posting], timeout=5))[0]:
        resident_mb.append(service.resident_mb)
    posted = int(posting.result()["posted"])
    used_s = service.cpu_s - before_s
    seen = [await reader.ask(posted) for reader in readers]
    health = (await service.http.get("/health")).json()
    resident_mb.append(service.resident_mb)
    return {
        "events": posted,
        "frames_read": sum(one["events"] for one in seen),
        "delay_ms": {name: round(max(one[f"{name}_ms"] for one in seen), 1) for name in ("p50", "p99", "most")},
        "service_cores": round(used_s / seconds, 2),
        "resident_mb": resident_mb,
        "still_connected": health["clients"],
        "the_lazy_one": None if lazy is None else await _last_words(lazy),
    }


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


if __name__ == "__main__":
    asyncio.run(main())
