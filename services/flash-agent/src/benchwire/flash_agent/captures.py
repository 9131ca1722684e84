"""Captures of this host: takes what is asked for, keeps what boards print in files of its own, and puts it into the artifact store.

A capture outlives its flash agent in those files: the next one ends it with what it has. The same capture is asked for, spooled and told
of once, wherever the process dies: a request is acknowledged when its spool stands, and the spool goes when the log has the end.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from benchwire.events import cancels, codec, queue
from benchwire.events.blobs import Blobs
from benchwire.events.bus import STREAM, Bus
from benchwire.events.catalog import filter_of, subject_of
from benchwire.events.clock import Clock
from benchwire.events.event import Artifact, Event, IllegalToken, token
from benchwire.events.follow import follow
from benchwire.events.log import Contended, Log, LogUnavailable
from benchwire.events.patterns import BadPattern
from benchwire.events.serial import CaptureRequested, CaptureStopRequested
from benchwire.flash_agent import capture, spool
from benchwire.flash_agent.capture import Capture, Collector
from benchwire.flash_agent.errors import DeviceNotAttached, NoPort
from benchwire.flash_agent.inventory import Inventory
from benchwire.flash_agent.spool import Spool

log = logging.getLogger(__name__)

MOST_CAPTURES = 64
_FLUSH_S = 0.2
_FLUSH_BYTES = 256 << 10
_AGAIN_S = 0.5
_UNREACHABLE = (LogUnavailable, Contended, NatsError, OSError, TimeoutError)

Decision = Callable[[Capture], Event | None]


class Held(msgspec.Struct):
    """A capture that this agent works on. ``moved`` is set when there is something to look at."""

    stop_asked: bool = False
    moved: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """Somebody wants it to end."""
        self.stop_asked = True
        self.moved.set()


class Captures:
    """Those of one host; ``directory`` is where spools lie, ``clock`` that of the log, which says when a capture was asked for."""

    def __init__(self, bus: Bus, log_: Log, inventory: Inventory, host: str, *, directory: Path, clock: Clock) -> None:
        self._bus = bus
        self._log = log_
        self._blobs = Blobs(bus)
        self._inventory = inventory
        self._host = host
        self._directory = directory
        self._clock = clock
        self._held: dict[str, Held] = {}

    async def run(self) -> None:
        """Works until cancelled."""
        after = (await self._bus.js.stream_info(STREAM)).state.last_seq
        left = await asyncio.to_thread(spool.left_in, self._directory)
        async with asyncio.TaskGroup() as tasks:
            for one in left:
                self._held[one.note.asked.capture_id] = Held()
                tasks.create_task(self._end_left(one))
            tasks.create_task(self._heeding_stops(after))
            requests = filter_of(CaptureRequested, host=self._host)
            asked = queue.deliveries(self._bus, f"capture-{self._host}", requests, batch=10)
            async with aclosing(asked) as deliveries:
                async for delivery in deliveries:
                    await self._take(delivery, tasks)

    async def _heeding_stops(self, after: int) -> None:
        filters = [filter_of(CaptureStopRequested, host=self._host)]
        async with aclosing(follow(self._bus, filters, after=after)) as batches:
            async for batch in batches:
                for message in batch.messages:
                    with contextlib.suppress(codec.Malformed):
                        event = codec.decode(message.body, message.headers)
                        held = self._held.get(getattr(event, "capture_id", ""))
                        if held is not None:
                            held.stop()

    async def _take(self, delivery: Msg, tasks: asyncio.TaskGroup) -> None:
        asked = _asked(delivery)
        if asked is None:
            await _settled(delivery.term)
        elif asked.capture_id not in self._held:
            self._held[asked.capture_id] = held = Held()
            tasks.create_task(self._see_through(capture.bounded(asked), held, delivery), name=asked.capture_id)

    async def _see_through(self, asked: CaptureRequested, held: Held, delivery: Msg) -> None:
        try:
            await self._seen_through(asked, held, delivery)
        except Exception as error:
            log.exception("capture %s met a fault of the flash agent itself", asked.capture_id)
            await self._fail(asked, f"fault of the flash agent: {error!r}")
            await _settled(delivery.ack)
        finally:
            del self._held[asked.capture_id]

    async def _seen_through(self, asked: CaptureRequested, held: Held, delivery: Msg) -> None:
        try:
            collector = self._collector(asked, delivery.metadata.timestamp)
        except (_Impossible, BadPattern) as why:
            await self._fail(asked, str(why))
            await _settled(delivery.ack)
            return

        def heard(data: bytes, lost_bytes: int) -> None:
            collector.hear(data, lost_bytes, _now())
            if collector.reason is not None or collector.waiting_bytes > _FLUSH_BYTES:
                held.moved.set()

        # Before anything is waited for: whoever asked may reset the board in this moment.
        with self._inventory.taps.listening(asked.device, heard):
            spooled, reason = await self._captured(asked, held, collector, delivery)
        if reason is not None:
            await self._finish(asked, spooled, reason)

    def _collector(self, asked: CaptureRequested, received_at: datetime) -> Collector:
        """Raises ``_Impossible`` and ``BadPattern``."""
        if capture.is_too_late(asked, received_at.astimezone(UTC), self._clock.now()):
            raise _Impossible(f"no flash agent was there on {self._host} in that time")
        if len(self._held) > MOST_CAPTURES:
            raise _Impossible(f"{self._host} has {MOST_CAPTURES} captures under way; stop one, or wait")
        board = self._inventory.board(asked.device)
        if board is None:
            raise _Impossible(str(DeviceNotAttached(asked.device, self._host)))
        if board.console is None:
            raise _Impossible(str(NoPort(asked.device)))
        return Collector(asked)

    async def _captured(
        self, asked: CaptureRequested, held: Held, collector: Collector, delivery: Msg
    ) -> tuple[Spool, str | None]:
        """The spool with what was heard, and why nothing more is wanted; None when the capture has ended in another way."""
        spooled = Spool(self._directory, spool.Note(asked))
        state = await self._decide(asked, lambda _: None)
        if state.is_over:
            await _settled(delivery.ack)
            return spooled, None
        held.stop_asked |= state.stop_asked
        try:
            await asyncio.to_thread(spooled.begin)
            await _settled(delivery.ack)
            reason = await self._listened(asked, held, collector, spooled)
            await self._spooled(spooled, collector)
        except OSError as error:
            await self._give_up(asked, spooled, self._of_disk(error))
            await _settled(delivery.ack)
            return spooled, None
        except asyncio.CancelledError:
            # What is in memory is small, and the agent ends now: the spool is what the next one finds.
            with contextlib.suppress(OSError):
                spooled.add(collector.take(), collector.lost_bytes)
            spooled.close()
            raise
        return spooled, reason

    async def _listened(self, asked: CaptureRequested, held: Held, collector: Collector, spooled: Spool) -> str:
        """Why nothing more is wanted. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        end = loop.time() + asked.for_s
        while collector.reason is None and not held.stop_asked:
            left_s = end - loop.time()
            if left_s <= 0:
                return f"its {asked.for_s:g} s were over"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _FLUSH_S)):
                    await held.moved.wait()
            held.moved.clear()
            if collector.waiting_bytes:
                await self._spooled(spooled, collector)
        return collector.reason or capture.STOPPED

    async def _spooled(self, spooled: Spool, collector: Collector) -> None:
        """What waits is in the file. Raises ``OSError``."""
        await cancels.to_the_end(asyncio.to_thread(spooled.add, collector.take(), collector.lost_bytes))

    def _of_disk(self, error: OSError) -> str:
        return f"what the board printed could not be kept on the disk of {self._host}: {error.strerror or error}"

    # -- ends

    async def _end_left(self, left: Spool) -> None:
        asked = left.note.asked
        try:
            await self._finish(asked, left, capture.CUT_OFF)
        except Exception as error:
            log.exception("what is left of capture %s cannot be ended", asked.capture_id)
            await self._fail(asked, f"fault of the flash agent: {error!r}")
        finally:
            del self._held[asked.capture_id]

    async def _finish(self, asked: CaptureRequested, spooled: Spool, reason: str) -> None:
        spooled.close()
        try:
            artifact = await self._stored(asked, spooled.path)
        except OSError as error:
            await self._give_up(asked, spooled, self._of_disk(error))
            return
        lost_bytes = spooled.note.lost_bytes
        await self._decide(
            asked,
            lambda state: capture.finish(state, asked, artifact, lost_bytes=lost_bytes, reason=reason, now=_now()),
        )
        await asyncio.to_thread(spooled.remove)

    async def _stored(self, asked: CaptureRequested, path: Path) -> Artifact:
        """The bytes, in the artifact store; however long it is away. Raises ``OSError`` when the file cannot be read."""
        while True:
            try:
                return await self._blobs.put(path, name=capture.name_of(asked))
            except LogUnavailable as error:
                log.warning("capture %s waits for the artifact store: %s", asked.capture_id, error)
                await asyncio.sleep(_AGAIN_S)

    async def _give_up(self, asked: CaptureRequested, spooled: Spool, reason: str) -> None:
        await asyncio.to_thread(spooled.remove)  # first: on a full disk the room is needed
        await self._fail(asked, reason)

    async def _fail(self, asked: CaptureRequested, reason: str) -> None:
        log.warning("capture %s of %s failed: %s", asked.capture_id, asked.device, reason)
        await self._decide(asked, lambda state: capture.fail(state, asked, reason=reason, now=_now()))

    async def _decide(self, asked: CaptureRequested, decide: Decision) -> Capture:
        """The capture after a decision about it, however long the log is away."""
        while True:
            try:
                decided = await self._log.decide(
                    capture.TYPES, capture.NEW, capture.evolve, decide, host=asked.host, capture_id=asked.capture_id
                )
            except _UNREACHABLE as error:
                log.warning("capture %s: the log cannot be written, trying again: %s", asked.capture_id, error)
                await asyncio.sleep(_AGAIN_S)
            else:
                return decided.state


class _Impossible(Exception):
    """It cannot begin; the sentence says why."""


def _asked(delivery: Msg) -> CaptureRequested | None:
    """The request in a delivery; None when it is none, or none of which anything could be told."""
    try:
        event = codec.decode(delivery.data, delivery.headers)
        if isinstance(event, CaptureRequested):
            subject_of(event)  # whoever writes to the log himself may put anything into a name
            token(event.device, "device")
            return event
        log.warning("a request of a kind that this version does not know is left alone")
    except (codec.Malformed, IllegalToken) as error:
        log.warning("a request that cannot be read is left alone: %s", error)
    return None


async def _settled(settle: Callable[[], Awaitable[None]]) -> None:
    """Acks or terminates a delivery; one that is lost comes again, and is seen to be settled."""
    with contextlib.suppress(NatsError, OSError, TimeoutError):
        await settle()


def _now() -> datetime:
    return datetime.now(UTC)
