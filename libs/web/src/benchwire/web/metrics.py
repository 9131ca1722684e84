"""Numbers for Prometheus at ``GET /metrics``: what a service counts, and what it reads at the moment it is asked.

Each app has a registry of its own. Names begin with ``benchwire_<service>_``; no id of anything is ever a label, so that the number of series
stays small however long a lab runs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from litestar import Response, get
from litestar.di import NamedDependency
from nats.errors import Error as NatsError
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from benchwire.events.bus import Bus
from benchwire.events.log import Append, LogUnavailable
from benchwire.events.projection import Projection
from benchwire.web.described import described
from benchwire.web.feed import Feed
from benchwire.web.gate import Gate

log = logging.getLogger(__name__)

READ_DEADLINE_S = 2.0
_ACK_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

disable_created_metrics()  # type: ignore[no-untyped-call] # a series beside each other one, which nobody reads

Reading = Callable[[], Awaitable[Iterable[Metric]]]


class Metrics:
    """What one service tells of itself. ``service`` is its name in the names of its metrics."""

    def __init__(self, service: str, *, version: str) -> None:
        self.prefix = f"benchwire_{service}"
        self._counted = CollectorRegistry()
        self._process = CollectorRegistry()
        self._readings: list[Reading] = []
        ProcessCollector(registry=self._process)
        self._build = self.gauge("build_info", "Always 1; the label says which version runs.", ("version",))
        self._build.add_metric([version], 1)
        self._appends = self.counter(
            "appends", "Events this service wrote, by how that ended.", ("event_type", "outcome")
        )
        self._appended: dict[tuple[str, str], Counter] = {}
        self._ack_seconds = self.histogram(
            "append_ack_seconds", "Until JetStream acknowledged an event, retries included.", buckets=_ACK_BUCKETS_S
        )

    def counter(self, name: str, what: str, labels: Sequence[str] = ()) -> Counter:
        """A counter, shown as ``benchwire_<service>_<name>_total``."""
        return Counter(f"{self.prefix}_{name}", what, labels, registry=self._counted)

    def histogram(
        self, name: str, what: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        """A histogram of seconds."""
        return Histogram(f"{self.prefix}_{name}", what, labels, buckets=buckets, registry=self._counted)

    def gauge(self, name: str, what: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
        """A gauge for a reading to fill."""
        return GaugeMetricFamily(f"{self.prefix}_{name}", what, labels=labels)

    def total(self, name: str, what: str, value: float) -> CounterMetricFamily:
        """A counter that is kept elsewhere, for a reading to return."""
        return CounterMetricFamily(f"{self.prefix}_{name}", what, value=value)

    def one(self, name: str, what: str, value: float) -> GaugeMetricFamily:
        """A gauge that is kept elsewhere, for a reading to return."""
        return GaugeMetricFamily(f"{self.prefix}_{name}", what, value=value)

    def reads(self, reading: Reading) -> None:
        """Asks ``reading`` at each scrape. One that fails, or takes longer than ``READ_DEADLINE_S``, is left out of that scrape."""
        self._readings.append(reading)

    def appended(self, one: Append) -> None:
        """Counts an append, or several that went together; for ``Log``."""
        key = one.tag, one.outcome
        counted = self._appended.get(key)
        if counted is None:  # labels() takes a lock and looks everything up again, for thousands of events a second
            counted = self._appended[key] = self._appends.labels(*key)
        counted.inc(one.count)
        if one.outcome == "acknowledged":
            for _ in range(one.count):
                self._ack_seconds.observe(one.duration_s)

    async def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        read = await asyncio.gather(*(_read(one) for one in self._readings))
        found = [self._build, *(metric for metrics in read for metric in metrics)]
        # The process's own numbers come from files in /proc; what the loop counts is read on the loop.
        process = await asyncio.to_thread(generate_latest, self._process)
        return generate_latest(_Both(self._counted, found)) + process


class _Both(Collector):
    def __init__(self, counted: CollectorRegistry, read: Sequence[Metric]) -> None:
        self._counted = counted
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from self._read


async def _read(reading: Reading) -> Iterable[Metric]:
    try:
        async with asyncio.timeout(READ_DEADLINE_S):
            return await reading()
    except (NatsError, OSError, TimeoutError, LogUnavailable):  # told by nats_connected
        return []
    except Exception:
        log.exception("a metric cannot be read")
        return []


def of_machinery(metrics: Metrics, bus: Bus, projection: Projection, feed: Feed) -> None:
    """What every service that shows the log has: its connection, its rows, and who listens."""

    async def connection() -> list[Metric]:
        return [
            metrics.one("nats_connected", "Whether NATS can be reached.", bus.connected),
            metrics.total("nats_reconnects", "How often the connection to NATS came back.", bus.reconnects),
            metrics.total("nats_denied", "How often NATS refused something to this service's user.", bus.denied),
        ]

    async def redactions() -> list[Metric]:
        taken_out = CounterMetricFamily(
            f"{metrics.prefix}_redactions",
            "Secrets that were taken out of what is published, by their kind.",
            labels=("kind",),
        )
        for kind, number in bus.door.counts.items():
            taken_out.add_metric([kind], number)
        return [taken_out]

    async def rows() -> list[Metric]:
        state = projection.state
        parked = metrics.gauge("projection_parked", "Events that made no rows, by why.", ("reason",))
        parked.add_metric(["unknown"], state.unknown)
        parked.add_metric(["malformed"], state.malformed)
        return [
            metrics.one("projection_applied_sequence", "Sequence of the last event that is in the rows.", state.applied),
            metrics.one("projection_stuck", "Whether something keeps the rows from going on.", state.trouble is not None),
            metrics.one("projection_lacking", "Whether the rows lack what the log had lost.", state.lacking is not None),
            metrics.one("snapshot_sequence", "Up to where the newest snapshot of the rows reaches, as far as known.", projection.copied),
            parked,
        ]  # fmt: skip

    async def lag() -> list[Metric]:
        newest = await projection.newest()
        behind = max(0, newest - projection.state.applied)
        return [
            metrics.one("log_last_sequence", "Sequence of the newest event this service listens to.", newest),
            metrics.one("projection_lag", "How far the rows are behind the log, in sequences.", behind),
        ]

    async def listeners() -> list[Metric]:
        clients = metrics.gauge("clients", "Connected WebSockets and streams, by what they listen to.", ("topic",))
        for kind, number in feed.listeners().items():
            clients.add_metric([kind], number)
        return [
            clients,
            metrics.total("frames_sent", "Frames sent to clients.", feed.sent),
            metrics.total("clients_too_slow", "Clients that were dropped because they did not keep up.", feed.dropped),
        ]

    for reading in (connection, redactions, rows, lag, listeners):
        metrics.reads(reading)


def of_gate(metrics: Metrics, gate: Gate) -> None:
    """Who is connected, and who was turned away."""

    async def connections() -> list[Metric]:
        refused = CounterMetricFamily(
            f"{metrics.prefix}_turned_away",
            "Calls and connections that got no further than the gate, by why.",
            labels=("reason",),
        )
        for reason, number in gate.refusals.items():
            refused.add_metric([reason], number)
        open_ = metrics.gauge("connections", "Connections that are open, by what is spoken on them.", ("kind",))
        for kind, number in gate.connections().items():
            open_.add_metric([kind], number)
        return [refused, open_]

    metrics.reads(connections)


@get("/metrics", opt=described(answers={"type": "string"}, sends="text/plain"))
async def metrics_route(metrics: NamedDependency[Metrics]) -> Response[bytes]:
    """Numbers of this service, for Prometheus."""
    return Response(await metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


__all__ = ["Metric", "Metrics", "metrics_route", "of_gate", "of_machinery"]
