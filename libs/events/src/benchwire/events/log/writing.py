"""Writing to the log: a fact, many of them at once, and samples."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import repeat
from typing import TypeVar

from nats.errors import Error as NatsError

from benchwire.events import catalog, codec, tracing
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log.errors import Contended, LogUnavailable
from benchwire.events.log.reading import Reading
from benchwire.events.log.records import Append, Expected
from benchwire.events.log.sending import draft, sent
from benchwire.events.outgoing import Outgoing

_MOST_PENDING_BYTES = 1 << 20  # nats-py keeps whatever it is given until the server reads it

_OUTCOMES: dict[type[BaseException], str] = {
    Contended: "contended",
    LogUnavailable: "unavailable",
    asyncio.CancelledError: "cancelled",
}

Published = TypeVar("Published", bound=Event)


class Writing(Reading):
    """The log as whoever writes to it sees it."""

    def __init__(self, bus: Bus, *, on_append: Callable[[Append], None] | None = None) -> None:
        """``on_append`` is told of all appends, however they ended; it must not raise."""
        super().__init__(bus)
        self._on_append = on_append

    def published(self, event: Published) -> Published:
        """``event`` as the log will have it, for whoever goes on with it: itself, unless it holds a secret."""
        return self.bus.door.redacted(event)

    async def append(
        self,
        event: Event,
        *,
        event_id: str | None = None,
        caused_by: str | None = None,
        expected: Expected | None = None,
        deadline_s: float = 5.0,
    ) -> int:
        """Writes ``event`` and returns its sequence once JetStream has acknowledged it.

        What is known to be a secret is taken out (see ``redaction``); whoever goes on with ``event`` takes what is ``published`` of it.

        Tried again with the same id until ``deadline_s`` has passed, so that it lands once. Its headers carry the trace that is under way
        (see ``tracing``). Raises ``LogUnavailable``, ``Contended`` (only with ``expected``), ``EventTooLarge`` and ``IllegalToken``.
        """
        began = time.perf_counter()
        try:
            sequence = await self._appended(event, event_id or codec.new_id(), caused_by, expected, deadline_s)
        except BaseException as error:
            self._tell([(event, error)], began)
            raise
        self._tell([(event, sequence)], began)
        return sequence

    async def append_all(
        self, events: Sequence[Event], *, event_ids: Sequence[str | None], deadline_s: float = 5.0
    ) -> list[int | Exception]:
        """Writes ``events`` in their order, and returns for each its sequence, or what ``append`` would have raised for it.

        ``event_ids`` has an id for each, or None. They are sent and waited for together, which costs a fraction of as many appends, and share
        one span. One that is refused keeps none of the others out; what is tried again comes behind those that went well.
        """
        began = time.perf_counter()
        try:
            outcomes = await self._all_appended(events, event_ids, deadline_s)
        except BaseException as error:
            self._tell(zip(events, repeat(error)), began)
            raise
        self._tell(zip(events, outcomes, strict=True), began)
        return outcomes

    async def _appended(
        self, event: Event, event_id: str, caused_by: str | None, expected: Expected | None, deadline_s: float
    ) -> int:
        headers = codec.headers(event, event_id, caused_by)
        if expected is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected.sequence)
            headers["Nats-Expected-Last-Subject-Sequence-Subject"] = expected.filter
        try:
            with tracing.sending("append", codec.tag_of(event), headers):
                (outcome,) = await sent(self.bus, [draft(self.bus, event, headers)], deadline_s)
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
        except Contended:
            # The server checks the guard before it looks for a duplicate: the conflict may be with ourselves, when an ack got lost.
            if expected is None or (landed := await self._landed(event, event_id, expected)) is None:
                raise
            return landed

    async def _landed(self, event: Event, event_id: str, expected: Expected) -> int | None:
        subject = catalog.subject_of(event)
        async with aclosing(self.read([expected.filter], after=expected.sequence)) as later:
            async for one in later:
                if one.id == event_id and catalog.subject_of(one.event) == subject:
                    return one.sequence
        return None

    async def _all_appended(
        self, events: Sequence[Event], event_ids: Sequence[str | None], deadline_s: float
    ) -> list[int | Exception]:
        trace: dict[str, str] = {}
        with tracing.sending("append", f"{len(events)} events", trace):
            drafts = [self._drafted(*one, trace) for one in zip(events, event_ids, strict=True)]
            outcomes = iter(await sent(self.bus, [one for one in drafts if isinstance(one, Outgoing)], deadline_s))
            return [next(outcomes) if isinstance(one, Outgoing) else one for one in drafts]

    def _drafted(self, event: Event, event_id: str | None, trace: dict[str, str]) -> Outgoing | Exception:
        try:
            return draft(self.bus, event, codec.headers(event, event_id or codec.new_id()) | trace)
        except Exception as error:  # noqa: BLE001 - told to whoever wanted that one; the others go on
            return error

    def _tell(self, results: Iterable[tuple[Event, int | BaseException]], began: float) -> None:
        if self._on_append is None:
            return
        took_s = time.perf_counter() - began
        counts = Counter((codec.tag_of(event), _outcome(result)) for event, result in results)
        for (tag, outcome), count in counts.items():
            self._on_append(Append(tag, outcome, took_s, count))

    async def sample(self, event: Event) -> None:
        """Sends a sample; whoever listens sees it, nobody waits for it. Dropped while NATS is away."""
        if self.bus.connected:
            headers: dict[str, str] = {}
            tracing.carry(headers)
            with contextlib.suppress(NatsError, OSError):
                await self.bus.nc.publish(catalog.subject_of(event), self.bus.door.body(event), headers=headers or None)

    async def samples(self, events: Sequence[Event]) -> int:
        """Sends samples in their order, as many as the connection takes now; returns how many these were.

        For whoever has more of them than the network may take: the rest is his to keep, and to send later. What counts as sent may still
        be lost together with the connection.
        """
        headers: dict[str, str] = {}
        tracing.carry(headers)
        for number, event in enumerate(events):
            if not self.bus.connected or self.bus.nc.pending_data_size > _MOST_PENDING_BYTES:
                return number
            try:
                await self.bus.nc.publish(catalog.subject_of(event), self.bus.door.body(event), headers=headers or None)
            except (NatsError, OSError):
                return number
        return len(events)


def _outcome(result: int | BaseException) -> str:
    return "acknowledged" if isinstance(result, int) else _OUTCOMES.get(type(result), "refused")
