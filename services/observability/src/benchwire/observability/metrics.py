"""What this service counts, and reads when Prometheus asks."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from prometheus_client import Counter

from benchwire.events import codec
from benchwire.events.event import Event
from benchwire.events.projection import Projection
from benchwire.observability.queries import of_numbers
from benchwire.observability.session import iso
from benchwire.observability.settings import VERSION
from benchwire.web.metrics import Metric, Metrics

UNREADABLE = "unreadable"


class Numbers(Metrics):
    """The numbers of this service."""

    def __init__(self) -> None:
        super().__init__("observability", version=VERSION)
        self._hooks = self.counter(
            "hooks", "Events that clients reported, by how that ended.", ("event_type", "result")
        )
        self._hook_bytes = self.counter("hook_bytes", "Bytes of bodies with such events.")
        self._accepted: dict[str, Counter] = {}

    def of_lab(self, projection: Projection, now: Callable[[], datetime]) -> None:
        """Reads what the lab has in hand."""

        async def in_hand() -> list[Metric]:
            at = iso(now())
            found = await projection.read(lambda db: of_numbers.in_hand(db, at))
            return [
                self._by_status("sessions_active", "Sessions that have not ended.", found.sessions),
                self._by_status("tasks_active", "Tasks that have not ended.", found.tasks),
                self._by_status("flash_jobs_active", "Flash jobs that have not ended.", found.flash_jobs),
                self.one("boards_attached", "Boards that are plugged in.", found.boards),
                self.one("boards_leased", "Boards that somebody has for himself.", found.leased),
                self.one("hosts_up", "Hosts whose flash agent has not said that it ends.", found.hosts),
            ]

        self.reads(in_hand)

    def of_presence(
        self,
        denied: Callable[[], Awaitable[Mapping[str, int]]],
        redacted: Callable[[], Awaitable[Mapping[tuple[str, str], int]]],
    ) -> None:
        """Reads what NATS refused to everybody who is there, also to those that have no metrics of their own, and which secrets they held."""

        async def refused() -> list[Metric]:
            what = "What NATS refused to the parts that are there, as they count it; what its servers count is that of nats."
            metric = self.gauge("parts_denied", what, ("service",))
            for service, number in (await denied()).items():
                metric.add_metric([service], number)
            return [metric]

        async def taken_out() -> list[Metric]:
            what = "Secrets that the parts that are there took out of what they published."
            metric = self.gauge("parts_redactions", what, ("service", "kind"))
            for labels, number in (await redacted()).items():
                metric.add_metric(labels, number)
            return [metric]

        self.reads(refused)
        self.reads(taken_out)

    def _by_status(self, name: str, what: str, found: Mapping[str, int]) -> Metric:
        metric = self.gauge(name, what, ("status",))
        for status, number in found.items():
            metric.add_metric([status], number)
        return metric

    def came(self, body: bytes) -> None:
        """A body with hooks came in."""
        self._hook_bytes.inc(len(body))

    def took(self, event: Event) -> None:
        """A hook is in the log."""
        tag = codec.tag_of(event)
        child = self._accepted.get(tag)
        if child is None:  # labels() takes a lock, and hooks come by the thousand a second
            child = self._accepted[tag] = self._hooks.labels(tag, "accepted")
        child.inc()

    def refused(self, event: Event | None = None) -> None:
        """A hook was refused: for what it is, or, without ``event``, because nobody can tell what it is."""
        self._hooks.labels(UNREADABLE if event is None else codec.tag_of(event), "rejected").inc()
