"""What the scenes share: an observability service as a process of its own, and how it stands."""

import asyncio
import contextlib
import os
import socket
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import psutil

from benchwire.events.testing.eventually import eventually

PATIENCE_S = 3600.0
_CALLS = 15


class Service:
    """A service that runs: its base URL, how to call it, and its process."""

    def __init__(self, port: int, http: httpx.AsyncClient, pid: int) -> None:
        self.port = port
        self.http = http
        self._process = psutil.Process(pid)

    @property
    def resident_mb(self) -> float:
        """Its resident memory."""
        return round(self._process.memory_info().rss / 1e6, 1)

    @property
    def cpu_s(self) -> float:
        """What it has used of a core so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)


@contextlib.asynccontextmanager
async def observability(nats_url: str, data: Path, **settings: str) -> AsyncGenerator[Service, None]:
    """The service, once it is healthy; ``settings`` are names of ``BENCHWIRE_`` variables in lower case."""
    port = free_port()
    given = {"nats_url": nats_url, "data": str(data), "observability_port": str(port), **settings}
    environment = {f"BENCHWIRE_{name.upper()}": value for name, value in given.items()}
    command = [sys.executable, "-m", "benchwire.observability"]
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, trust_env=False) as http:

            async def healthy() -> bool:
                assert process.returncode is None, "the service has ended"
                with contextlib.suppress(httpx.TransportError):
                    return (await http.get("/health")).status_code == 200
                return False

            await eventually(healthy, within_s=PATIENCE_S)
            yield Service(port, http, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def call(http: httpx.AsyncClient, what: str, path: str, **query: str | int) -> None:
    """Prints the median of some calls, how many there are in all when the service says so, and the size of the answer."""
    took = []
    for _ in range(_CALLS):
        begun = time.perf_counter()
        answer = await http.get(path, params=query)
        took.append(time.perf_counter() - begun)
        answer.raise_for_status()
    total = answer.headers.get("x-total-count", "")
    print(f"{what:58} {1000 * statistics.median(took):8.1f} ms  {total:>7}  {len(answer.content) / 1024:8.1f} KiB")


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
