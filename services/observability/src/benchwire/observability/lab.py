"""What every route works with: the log, the rows that follow from it, and who listens."""

import asyncio
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from nats.errors import Error as NatsError
from sqlite_utils import Database

from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log import Log, Recorded
from benchwire.events.presence import Presence, Present
from benchwire.events.prices import Prices
from benchwire.events.projection import Projection
from benchwire.observability import capture, lease, session, task
from benchwire.observability.firmware.asking import Runners
from benchwire.observability.metrics import Numbers
from benchwire.observability.reading.listing import Listing
from benchwire.observability.search.index import Search
from benchwire.web.feed import Feed
from benchwire.web.metrics import of_machinery

T = TypeVar("T")

WRITE_DEADLINE_S = 3.0
_APPLY_DEADLINE_S = 5.0
_ASK_S = 1.0
_PRESENCE_FRESH_S = 0.5


class Lab:
    """The lab as this service sees it."""

    def __init__(self, bus: Bus, projection: Projection, search: Search, prices: Prices, *, outbox_bytes: int) -> None:
        self.bus = bus
        self.search = search
        self.prices = prices
        self.metrics = Numbers()
        self.log = Log(bus, on_append=self.metrics.appended)
        self.blobs = Blobs(bus, may_purge=False)
        self.projection = projection
        self.feed = Feed(outbox_bytes=outbox_bytes)
        self.endings = Endings()
        self.listing = Listing()
        self.present = Roll(Presence(bus))
        self.runners = Runners(bus)
        self.choosing = asyncio.Lock()  # of a free board: who comes next has to see that it no longer is
        projection.on_commit(self.endings.hear)
        of_machinery(self.metrics, bus, projection, self.feed)
        self.metrics.of_lab(projection, self.now)
        self.metrics.of_presence(self.present.denied, self.present.redacted)

    def now(self) -> datetime:
        """The time that goes into events."""
        return datetime.now(UTC)

    async def read(self, query: Callable[[Database], T]) -> T:
        """What ``query`` reads from the rows."""
        return await self.projection.read(query)

    async def found(self, query: Callable[[Database], T | None], unknown: Exception) -> T:
        """What ``query`` finds in the rows; raises ``unknown`` when that is nothing."""
        one = await self.read(query)
        if one is None:
            raise unknown
        return one

    async def write(
        self, event: Event, *, event_id: str | None = None, shown_within_s: float = _APPLY_DEADLINE_S
    ) -> int:
        """Appends ``event``, and returns its sequence when the rows show it. Raises as ``Log.append`` and ``wait_for`` do."""
        sequence = await self.log.append(event, event_id=event_id, deadline_s=WRITE_DEADLINE_S)
        await self.shown(sequence, within_s=shown_within_s)
        return sequence

    async def shown(self, sequence: int, *, within_s: float = _APPLY_DEADLINE_S) -> None:
        """Returns when the rows show what stands at ``sequence``. Raises ``ProjectionBehind``."""
        await self.projection.wait_for(sequence, timeout_s=within_s)


class Roll:
    """Who is there, asked at most every half second, however many want to know."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._asked_at = -1.0
        self._there: list[Present] | None = None
        self._asking = asyncio.Lock()

    async def names(self, service: str) -> set[str] | None:
        """The instances of ``service`` that are there; None when nobody can tell now."""
        async with self._asking:
            if time.monotonic() - self._asked_at > _PRESENCE_FRESH_S:
                self._there = await self._everyone()
                self._asked_at = time.monotonic()
        return None if self._there is None else {one.name for one in self._there if one.service == service}

    async def lacking(self) -> list[str]:
        """What the rows of other parts lack, a sentence for each; as far as they are there, and anybody can tell now."""
        await self.names("")
        return [f"{one.service} {one.name}: {one.lacking}" for one in self._there or () if one.lacking]

    async def denied(self) -> dict[str, int]:
        """How often NATS refused something to those that are there now, by service; empty when nobody can tell."""
        await self.names("")
        counts: Counter[str] = Counter()
        for one in self._there or []:
            counts[one.service] += one.denied
        return dict(counts)

    async def redacted(self) -> dict[tuple[str, str], int]:
        """How many secrets those that are there now took out of what they published, by service and kind; empty when nobody can tell."""
        await self.names("")
        counts: Counter[tuple[str, str]] = Counter()
        for one in self._there or []:
            for kind, number in one.redacted.items():
                counts[one.service, kind] += number
        return dict(counts)

    async def is_gone(self, service: str, name: str) -> bool:
        """Whether that instance is certainly not there; asked anew each time."""
        try:
            async with asyncio.timeout(_ASK_S):
                return not await self._presence.is_there(service, name)
        except (NatsError, OSError, TimeoutError):
            return False

    async def _everyone(self) -> list[Present] | None:
        try:
            async with asyncio.timeout(_ASK_S):
                return await self._presence.everyone()
        except (NatsError, OSError, TimeoutError):
            return None


class Endings:
    """Lets whoever asked for an end, or for a lease, wait for it."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def hear(self, batch: Sequence[Recorded]) -> None:
        """Wakes who waits for the sessions and tasks that ended in ``batch``, and for the leases and captures of which it tells."""
        if not self._waiting:
            return
        for one in batch:
            if isinstance(one.event, session.ENDS):
                self._wake(f"session {one.event.session_id}")
            elif isinstance(one.event, task.ENDS):
                self._wake(f"task {one.event.task_id}")
            elif isinstance(one.event, lease.TOLD):
                self._wake(f"lease {one.event.lease_id}")
            elif (capture_id := capture.told_of(one.event)) is not None:
                self._wake(f"capture {capture_id}")

    def _wake(self, key: str) -> None:
        for waiting in self._waiting.get(key, ()):
            waiting.set()

    @contextlib.contextmanager
    def watched(self, key: str) -> Generator[asyncio.Event, None, None]:
        """An event that is set when what ``key`` names (``session <id>``, ``task <id>``) ends, or there is news of it.

        News there is of ``lease <id>`` and ``capture <id>``.
        """
        heard = asyncio.Event()
        self._waiting[key].add(heard)
        try:
            yield heard
        finally:
            self._waiting[key].discard(heard)
            if not self._waiting[key]:
                del self._waiting[key]
