"""The log: append a fact, read what happened, decide something exclusively, send a sample."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
import stamina
from nats.errors import ConnectionReconnectingError
from nats.errors import Error as NatsError
from nats.js.errors import APIError, NotFoundError

from benchwire.events import catalog, codec, streams, tracing
from benchwire.events.acks import Ack
from benchwire.events.blueprint import BlueprintCreated
from benchwire.events.bus import STREAM, Bus
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.flash import FlashReported, FlashRequested
from benchwire.events.follow import Message, Silent, held, last_sequence
from benchwire.events.serial import CaptureRequested
from benchwire.events.streams import Beginning
from benchwire.events.task import TaskRequested

SILENT = "the log does not answer: NATS is away, or too slow"
_BEHIND = "the server that answers for the log does not know yet what is surely in it"
_MOST_PENDING_BYTES = 1 << 20  # nats-py keeps whatever it is given until the server reads it
_WRONG_LAST_SEQUENCE = (10071, 10164)  # nats-server's JSStreamWrongLastSequence…ErrF

# With what an aggregate begins; sessions are left out, of which an outside client may report any part.
_BEGINNINGS = frozenset(
    {TaskRequested, BlueprintCreated, DocumentCreated, FlashRequested, FlashReported, CaptureRequested}
)

State = TypeVar("State")
Published = TypeVar("Published", bound=Event)


class LogUnavailable(Exception):
    """JetStream did not acknowledge in time. The event may or may not be in the log; repeating it with its id is safe."""


class Behind(LogUnavailable):
    """Whoever answered does not have yet what is surely in the log.

    A server that led the log and was cut off from the others goes on to answer as if it led it still: for some ten seconds, and for a moment
    after they have met again.
    """


class NotAllowed(LogUnavailable):
    """NATS does not let this service's user write that; trying again is of no use before somebody changes that."""


class IdTaken(LogUnavailable):
    """Another message has the event's id, so that JetStream took the event for a repetition. It is not in the log."""


class HistoryGone(Exception):
    """The log no longer has what this would have to be made from; the sentence says what."""


class Contended(Exception):
    """Somebody else wrote to the aggregate in between."""


class EventTooLarge(ValueError):
    """The event is larger than the server takes; bytes belong into the artifact store."""


class Expected(msgspec.Struct, frozen=True):
    """What a guarded append counts on: that nothing on ``filter`` came after ``sequence``."""

    sequence: int
    filter: str


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in the log."""

    sequence: int
    id: str
    event: Event
    received_at: datetime
    caused_by: str | None = None


class Decided(msgspec.Struct, Generic[State], frozen=True):
    """What came of a decision: the state it was made on, and the event, with its ``sequence``, unless there was nothing to do."""

    state: State
    event: Event | None
    sequence: int


class Append(msgspec.Struct, frozen=True, gc=False):
    """How one append went: ``outcome`` is ``acknowledged``, ``contended``, ``unavailable``, ``refused`` or ``cancelled``."""

    tag: str
    outcome: str
    duration_s: float


_OUTCOMES: dict[type[BaseException], str] = {
    Contended: "contended",
    LogUnavailable: "unavailable",
    NotAllowed: "refused",
    IdTaken: "refused",
    asyncio.CancelledError: "cancelled",
}


def recorded(message: Message) -> Recorded | codec.Unknown:
    """The event in a message. Raises ``codec.Malformed``."""
    event = codec.decode(message.body, message.headers, message.subject)
    if isinstance(event, codec.Unknown):
        return event
    headers = message.headers or {}
    # A message without an id was not written by this library; its place in the log is as good a name.
    return Recorded(
        sequence=message.sequence,
        id=headers.get(codec.MSG_ID) or f"seq-{message.sequence}",
        event=event,
        received_at=message.received_at,
        caused_by=headers.get(codec.CAUSED_BY),
    )


class Log:
    """The log of the lab, through one connection."""

    def __init__(self, bus: Bus, *, on_append: Callable[[Append], None] | None = None) -> None:
        """``on_append`` is told of each append, however it ended; it must not raise."""
        self.bus = bus
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
        if self._on_append is None:
            return await self._appended(event, event_id, caused_by, expected, deadline_s)
        began = time.perf_counter()
        outcome = "refused"
        try:
            sequence = await self._appended(event, event_id, caused_by, expected, deadline_s)
            outcome = "acknowledged"
        except (Contended, LogUnavailable, asyncio.CancelledError) as error:
            outcome = _OUTCOMES[type(error)]
            raise
        finally:
            self._on_append(Append(codec.tag_of(event), outcome, time.perf_counter() - began))
        return sequence

    async def _appended(
        self, event: Event, event_id: str | None, caused_by: str | None, expected: Expected | None, deadline_s: float
    ) -> int:
        subject = catalog.subject_of(event)
        event_id = event_id or codec.new_id()
        headers = codec.headers(event, event_id, caused_by)
        if expected is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(expected.sequence)
            headers["Nats-Expected-Last-Subject-Sequence-Subject"] = expected.filter
        try:
            with tracing.sending("append", codec.tag_of(event), headers):
                return await self._published(subject, self.bus.door.body(event), headers, deadline_s)
        except Contended:
            # The server checks the guard before it looks for a duplicate: the conflict may be with ourselves, when an ack got lost.
            if expected is None or (landed := await self._landed(subject, event_id, expected)) is None:
                raise
            return landed

    async def _landed(self, subject: str, event_id: str, expected: Expected) -> int | None:
        async with aclosing(self.read([expected.filter], after=expected.sequence)) as later:
            async for one in later:
                if one.id == event_id and catalog.subject_of(one.event) == subject:
                    return one.sequence
        return None

    async def _published(self, subject: str, body: bytes, headers: dict[str, str], deadline_s: float) -> int:
        # Counted here: nats-py leaves the headers out, and the server closes the connection of whoever sends too much.
        if len(body) + _bytes_of(headers) > self.bus.nc.max_payload:
            raise EventTooLarge(f"an event of {len(body)} bytes is more than the log takes in one piece")
        began = time.monotonic()
        try:
            try:  # what goes well the first time pays for no retry
                return await self._put(subject, body, headers, min(2.0, deadline_s))
            except (NatsError, OSError, TimeoutError) as error:
                if not _is_passing(error):
                    raise
            left_s = max(0.01, deadline_s - (time.monotonic() - began))
            async for attempt in stamina.retry_context(
                on=_is_passing, attempts=None, timeout=left_s, wait_initial=0.05, wait_max=0.5
            ):
                with attempt:
                    return await self._put(subject, body, headers, min(2.0, left_s))
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise Contended(f"somebody else wrote to {subject.rsplit('.', 1)[0]} first") from error
            raise LogUnavailable(f"the log refused: {error.description}") from error
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(SILENT) from error
        raise AssertionError("unreachable: retry_context returns or raises")

    async def _put(self, subject: str, body: bytes, headers: dict[str, str], timeout_s: float) -> int:
        if not self.bus.connected:
            # nats-py would keep it and send it once the server is back, long after the caller was told that it failed.
            raise ConnectionReconnectingError
        ack = await self._acked(subject, body, headers, timeout_s)
        if ack.duplicate and not await self._is_on(subject, ack.seq):
            raise IdTaken(f"another event has the id {headers[codec.MSG_ID]}; this one is not in the log")
        return ack.seq

    async def _acked(self, subject: str, body: bytes, headers: dict[str, str], timeout_s: float) -> Ack:
        try:
            return await self.bus.acks.publish(subject, body, headers=headers, timeout_s=timeout_s)
        except TimeoutError as error:  # what is refused is not answered
            if self.bus.was_denied(subject):
                raise NotAllowed(f"NATS does not let this service write to {subject}") from error
            raise

    async def _is_on(self, subject: str, sequence: int) -> bool:
        """Whether the message at ``sequence`` is on ``subject``: ids are the server's alone to compare, and whoever may publish may use any."""
        try:
            there = await self.bus.js.get_msg(STREAM, sequence)
        except NotFoundError:  # it was deleted since, as the events of a session are
            return True
        return there.subject == subject

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

    async def last_sequence(self, filter_: str) -> int:
        """The sequence of the newest fact on ``filter_``; 0 when there is none."""
        try:
            return await last_sequence(self.bus, filter_)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(SILENT) from error

    async def beginning(self) -> Beginning:
        """Where the log begins. Raises ``LogUnavailable``."""
        try:
            return await streams.beginning(self.bus.js)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(SILENT) from error

    async def check_whole(self, first: int, what: str) -> None:
        """Raises ``HistoryGone`` unless the log still has everything from ``first`` on, where ``what`` begins; and ``LogUnavailable``."""
        begins = await self.beginning()
        if begins.hides(first - 1):
            raise HistoryGone(
                f"{what} begins at event {first}, and the log keeps only what is newer than event {begins.first - 1}"
            )

    async def read(
        self, filters: Sequence[str], *, after: int = 0, at_least: int = 0
    ) -> AsyncGenerator[Recorded, None]:
        """What the log holds on ``filters`` at this moment, oldest first; what cannot be read is passed over. Raises ``LogUnavailable``.

        ``at_least`` is a sequence at which there surely was something on ``filters``. Raises ``Behind`` in the end when nothing came that is
        as new as that.
        """
        reached = after
        try:
            async with aclosing(held(self.bus, filters, after=after)) as batches:
                async for batch in batches:
                    for message in batch.messages:
                        reached = message.sequence
                        with contextlib.suppress(codec.Malformed):
                            one = recorded(message)
                            if isinstance(one, Recorded):
                                yield one
        except Silent as error:
            raise LogUnavailable(SILENT) from error
        if reached < at_least:
            raise Behind(_BEHIND)

    async def decide(
        self,
        types: Sequence[type[Event]],
        initial: State,
        evolve: Callable[[State, Event], State],
        decide: Callable[[State], Event | None],
        *,
        event_id: str | None = None,
        caused_by: str | None = None,
        deadline_s: float = 10.0,
        known: int = 0,
        at_least: int = 0,
        **ids: str,
    ) -> Decided[State]:
        """Makes one exclusive decision about one aggregate: fold, decide, append; when somebody was faster, all again.

        ``types`` are the events that matter (all of one aggregate, named by ``ids``). ``decide`` is pure: it returns the event, or None
        when there is nothing to do, or raises, and may run more than once; ``event_id`` is for the event it returns. ``initial`` holds what
        was said up to the sequence ``known``. ``at_least`` is a sequence at which one of ``types`` surely stood: an event that was decided on
        an old state is refused, but that there is nothing to do would be believed.

        Raises ``Contended`` when ``deadline_s`` is not enough, ``LogUnavailable`` when the log is silent (or ``Behind``) for that long, and
        ``HistoryGone`` when it has lost how the aggregate began.
        """
        aggregate = catalog.aggregate_of(types[0], **ids)
        filters = catalog.filters_of(types, **ids)
        try:
            async with asyncio.timeout(deadline_s):
                async for attempt in stamina.retry_context(
                    on=(Contended, Behind), attempts=None, timeout=deadline_s, wait_initial=0.01, wait_max=0.2
                ):
                    with attempt:
                        last = await self.last_sequence(aggregate)
                        if last < at_least:
                            raise Behind(_BEHIND)
                        state = initial
                        seen: set[tuple[str, type[Event]]] = set()  # what was published again counts once
                        is_begun = known > 0
                        async with aclosing(self.read(filters, after=known, at_least=at_least)) as events:
                            async for one in events:
                                is_begun = is_begun or await self._is_begun(one, types)
                                if one.sequence <= last and (one.id, type(one.event)) not in seen:
                                    seen.add((one.id, type(one.event)))
                                    state = evolve(state, one.event)
                        event = decide(state)
                        if event is None:
                            return Decided(state, None, last)
                        event = self.published(event)  # so that the state is what the log comes to
                        guard = Expected(last, aggregate)
                        sequence = await self.append(
                            event, event_id=event_id, caused_by=caused_by, expected=guard, deadline_s=deadline_s
                        )
                        return Decided(evolve(state, event), event, sequence)
        except TimeoutError as error:
            raise LogUnavailable(SILENT) from error
        raise AssertionError("unreachable: retry_context returns or raises")

    async def _is_begun(self, first: Recorded, types: Sequence[type[Event]]) -> bool:
        """True. Raises ``HistoryGone`` when the aggregate began before ``first``, the oldest of its events that the log still has."""
        if _BEGINNINGS.intersection(types) and type(first.event) not in _BEGINNINGS:
            begins = await self.beginning()
            if begins.is_gone:
                subject = catalog.subject_of(first.event).rsplit(".", 1)[0]
                raise HistoryGone(
                    f"how {subject} began is no longer in the log, which begins at event {begins.first} now"
                )
        return True


def _bytes_of(headers: dict[str, str]) -> int:
    """What headers take on the wire: a line each, between ``NATS/1.0`` and an empty one."""
    return 12 + sum(len(name.encode()) + len(value.encode()) + 4 for name, value in headers.items())


def _is_passing(error: Exception) -> bool:
    """Whether the same publish may succeed a moment later."""
    if isinstance(error, APIError):
        return (error.code or 500) >= 500 and error.err_code not in _WRONG_LAST_SEQUENCE
    return isinstance(error, NatsError | OSError | TimeoutError)
