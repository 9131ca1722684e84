"""Captures of this host: takes what is asked for off the queue, hears who wants one to end, and ends what an agent before this one left.

A capture outlives its flash agent in its spool: the next one ends it with what it has. The same capture is asked for, spooled and told
of once, wherever the process dies: a request is acknowledged when its spool stands, and the spool goes when the log has the end.
"""

import asyncio
import contextlib
import logging
from contextlib import aclosing
from datetime import UTC
from pathlib import Path

from nats.aio.msg import Msg

from benchwire.events import codec, queue
from benchwire.events.blobs import Blobs
from benchwire.events.bus import STREAM, Bus
from benchwire.events.catalog import filter_of, queue_of
from benchwire.events.clock import Clock
from benchwire.events.follow import follow
from benchwire.events.log import Log
from benchwire.events.serial import CaptureRequested, CaptureStopRequested
from benchwire.flash_agent import capture, requests, spool
from benchwire.flash_agent.inventory import Inventory
from benchwire.flash_agent.recording import Means, Recording
from benchwire.flash_agent.spool import Spool

log = logging.getLogger(__name__)

MOST_CAPTURES = 64


class Captures:
    """Those of one host; ``directory`` is where spools lie, ``clock`` that of the log, which says when a capture was asked for."""

    def __init__(self, bus: Bus, log_: Log, inventory: Inventory, host: str, *, directory: Path, clock: Clock) -> None:
        self._bus = bus
        self._host = host
        self._directory = directory
        self._clock = clock
        self._means = Means(log=log_, blobs=Blobs(bus, may_purge=False), inventory=inventory, directory=directory)
        self._held: dict[str, Recording] = {}

    async def run(self) -> None:
        """Works until cancelled."""
        after = (await self._bus.js.stream_info(STREAM)).state.last_seq
        left = await asyncio.to_thread(spool.left_in, self._directory)
        async with asyncio.TaskGroup() as tasks:
            for one in left:
                recording = Recording(self._means, one.note.asked)
                self._held[one.note.asked.capture_id] = recording
                tasks.create_task(self._end_left(recording, one))
            tasks.create_task(self._heeding_stops(after))
            asked = queue.deliveries(
                self._bus,
                queue_of(CaptureRequested, host=self._host),
                filter_of(CaptureRequested, host=self._host),
                batch=10,
            )
            async with aclosing(asked) as deliveries:
                async for delivery in deliveries:
                    await self._take(delivery, tasks)

    async def _heeding_stops(self, after: int) -> None:
        filters = [filter_of(CaptureStopRequested, host=self._host)]
        async with aclosing(follow(self._bus, filters, after=after)) as batches:
            async for batch in batches:
                for message in batch.messages:
                    with contextlib.suppress(codec.Malformed):
                        event = codec.decode(message.body, message.headers, message.subject)
                        recording = self._held.get(getattr(event, "capture_id", ""))
                        if recording is not None:
                            recording.stop()

    async def _take(self, delivery: Msg, tasks: asyncio.TaskGroup) -> None:
        asked = requests.asked(delivery, CaptureRequested)
        if asked is None:
            await requests.settled(delivery.term)
        elif asked.capture_id not in self._held:
            recording = Recording(self._means, capture.bounded(asked))
            self._held[asked.capture_id] = recording
            tasks.create_task(self._see_through(recording, delivery), name=asked.capture_id)

    async def _see_through(self, recording: Recording, delivery: Msg) -> None:
        asked = recording.asked
        try:
            refused = self._refusal(asked, delivery)
            if refused is None:
                await recording.work(delivery)
            else:
                await recording.fail(refused)
                await requests.settled(delivery.ack)
        except Exception as error:
            log.exception("capture %s met a fault of the flash agent itself", asked.capture_id)
            await recording.fail(f"fault of the flash agent: {error!r}")
            await requests.settled(delivery.ack)
        finally:
            del self._held[asked.capture_id]

    def _refusal(self, asked: CaptureRequested, delivery: Msg) -> str | None:
        """Why it cannot begin, whatever its board; None when it can."""
        if capture.is_too_late(asked, delivery.metadata.timestamp.astimezone(UTC), self._clock.now()):
            return f"no flash agent was there on {self._host} in that time"
        if len(self._held) > MOST_CAPTURES:
            return f"{self._host} has {MOST_CAPTURES} captures under way; stop one, or wait"
        return None

    async def _end_left(self, recording: Recording, left: Spool) -> None:
        asked = recording.asked
        try:
            await recording.finish(left, capture.CUT_OFF)
        except Exception as error:
            log.exception("what is left of capture %s cannot be ended", asked.capture_id)
            await recording.fail(f"fault of the flash agent: {error!r}")
        finally:
            del self._held[asked.capture_id]
