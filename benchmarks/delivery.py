"""Events on their way through a service: posted, acknowledged, in its rows, and read by everybody who listens."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil

from benchmarks.apart import Apart, result, started
from benchmarks.lab import Service
from benchmarks.load import bodies
from benchmarks.load.listening import listen
from benchmarks.load.posting import flood, steady
from benchmarks.measuring import Measured


class Delivery:
    """A service and those who listen to it."""

    def __init__(self, service: Service, listeners: list[Apart], nats: psutil.Process | None) -> None:
        self.service = service
        self._listeners = listeners
        self._nats = nats

    async def flooded(self, count: int, connections: int, **how: Any) -> Measured:
        """``count`` events, as fast as they are taken.

        ``delivered_per_s`` counts what was acknowledged and read by every listener, over the time until the last of them had the last;
        ``acked_per_s`` is what one would boast with; ``read_per_s`` is what all listeners read together; ``cpu_us`` is
        what the service used of a core for each. Raises ``RuntimeError`` when one of the events is not in the rows at the end.
        """
        before, cpu_s, nats_s = self.service.events(), self.service.cpu_s, self._nats_s
        posted = await result(flood, port=self.service.port, count=count, connections=connections, **how)
        seen = [await one.ask(count) for one in self._listeners]
        if (there := self.service.events() - before) != count:
            raise RuntimeError(f"{count} events were acknowledged, {there} are in the rows")
        last_at = max([posted["ended"], *(one["last_at"] for one in seen)])
        took_s = last_at - posted["began"]
        told = {} if self._nats is None else {"nats_cpu_us": 1e6 * (self._nats_s - nats_s) / count}
        return told | {
            "delivered_per_s": count / took_s,
            "acked_per_s": count / (posted["ended"] - posted["began"]),
            "read_per_s": sum(one["events"] for one in seen) / took_s,
            "cpu_us": 1e6 * (self.service.cpu_s - cpu_s) / count,
            "p50_ms": posted["p50_ms"],
            "p99_ms": posted["p99_ms"],
        }

    @property
    def _nats_s(self) -> float:
        times = None if self._nats is None else self._nats.cpu_times()
        return 0.0 if times is None else float(times.user + times.system)

    async def paced(self, rate: float, seconds: float) -> Measured:
        """``rate`` events a second: how long it takes from the moment before a POST until a client has read the frame."""
        cpu_s = self.service.cpu_s
        posted = await result(steady, port=self.service.port, rate=rate, seconds=seconds)
        used_s = self.service.cpu_s - cpu_s
        seen = [await one.ask(int(posted["posted"])) for one in self._listeners]
        return {
            "p50_ms": max(one["p50_ms"] for one in seen),
            "p99_ms": max(one["p99_ms"] for one in seen),
            "answer_p50_ms": posted["p50_ms"],
            "answer_p99_ms": posted["p99_ms"],
            "cores": used_s / seconds,
        }


@asynccontextmanager
async def delivering(
    service: Service, *, clients: int = 1, path: str = "/ws", every: int = 0, nats_pid: int | None = None
) -> AsyncGenerator[Delivery, None]:  # fmt: skip
    """``service`` with that many WebSocket clients, in one process; its sessions have begun. ``every`` notes the delay of one in so many;
    ``nats_pid`` is the server whose share is to be told."""
    for line in bodies.starts().splitlines():
        (
            await service.http.post("/events", content=line, headers={"content-type": "application/json"})
        ).raise_for_status()
    async with AsyncExitStack() as stack:
        listening = started(listen, port=service.port, clients=clients, path=path, every=every)
        listener = await stack.enter_async_context(listening)
        await listener.heard()
        yield Delivery(service, [listener], None if nats_pid is None else psutil.Process(nats_pid))
