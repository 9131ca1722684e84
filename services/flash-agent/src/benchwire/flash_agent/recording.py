"""One capture, from its request to its end: what the board prints goes into the spool, and then into the artifact store."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from nats.aio.msg import Msg

from benchwire.events import cancels
from benchwire.events.blobs import Blobs
from benchwire.events.event import Artifact, Event
from benchwire.events.log import Log, LogUnavailable
from benchwire.events.patterns import BadPattern
from benchwire.events.serial import CaptureRequested
from benchwire.flash_agent import capture, requests, spool
from benchwire.flash_agent.capture import Capture, Collector
from benchwire.flash_agent.deciding import AGAIN_S, decided
from benchwire.flash_agent.errors import DeviceNotAttached, NoPort
from benchwire.flash_agent.inventory import Inventory
from benchwire.flash_agent.spool import Spool

log = logging.getLogger(__name__)

_FLUSH_S = 0.2
_FLUSH_BYTES = 256 << 10


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What the captures of a host share. ``directory`` is where spools lie."""

    log: Log
    blobs: Blobs
    inventory: Inventory
    directory: Path


class Recording:
    """A capture that this agent works on."""

    def __init__(self, means: Means, asked: CaptureRequested) -> None:
        self.asked = asked
        self._means = means
        self._stop_asked = False
        self._moved = asyncio.Event()  # there is something to look at

    def stop(self) -> None:
        """Somebody wants it to end."""
        self._stop_asked = True
        self._moved.set()

    async def work(self, delivery: Msg) -> None:
        """Brings it to its end; the ``delivery`` is acknowledged when the spool stands, or when there will be none."""
        try:
            collector = self._collector()
        except (DeviceNotAttached, NoPort, BadPattern) as why:
            await self.fail(str(why))
            await requests.settled(delivery.ack)
            return

        def heard(data: bytes, lost_bytes: int) -> None:
            collector.hear(data, lost_bytes, _now())
            if collector.reason is not None or collector.waiting_bytes > _FLUSH_BYTES:
                self._moved.set()

        # Before anything is waited for: whoever asked may reset the board in this moment.
        with self._means.inventory.taps.listening(self.asked.device, heard):
            spooled, reason = await self._captured(collector, delivery)
        if reason is not None:
            await self.finish(spooled, reason)

    def _collector(self) -> Collector:
        """Raises ``DeviceNotAttached``, ``NoPort`` and ``BadPattern``."""
        self._means.inventory.console(self.asked.device)
        return Collector(self.asked)

    async def _captured(self, collector: Collector, delivery: Msg) -> tuple[Spool, str | None]:
        """The spool with what was heard, and why nothing more is wanted; None when the capture has ended in another way."""
        spooled = Spool(self._means.directory, spool.Note(self.asked))
        state = await self._decide(lambda _: None)
        if state.is_over:
            await requests.settled(delivery.ack)
            return spooled, None
        self._stop_asked |= state.stop_asked
        try:
            await asyncio.to_thread(spooled.begin)
            await requests.settled(delivery.ack)
            reason = await self._listened(collector, spooled)
            await self._spooled(spooled, collector)
        except OSError as error:
            await self._give_up(spooled, error)
            await requests.settled(delivery.ack)
            return spooled, None
        except asyncio.CancelledError:
            # What is in memory is small, and the agent ends now: the spool is what the next one finds.
            with contextlib.suppress(OSError):
                spooled.add(collector.take(), collector.lost_bytes)
            spooled.close()
            raise
        return spooled, reason

    async def _listened(self, collector: Collector, spooled: Spool) -> str:
        """Why nothing more is wanted. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.asked.for_s
        while collector.reason is None and not self._stop_asked:
            left_s = end - loop.time()
            if left_s <= 0:
                return f"its {self.asked.for_s:g} s were over"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _FLUSH_S)):
                    await self._moved.wait()
            self._moved.clear()
            if collector.waiting_bytes:
                await self._spooled(spooled, collector)
        return collector.reason or capture.STOPPED

    async def _spooled(self, spooled: Spool, collector: Collector) -> None:
        """What waits is in the file. Raises ``OSError``."""
        await cancels.to_the_end(asyncio.to_thread(spooled.add, collector.take(), collector.lost_bytes))

    # -- ends

    async def finish(self, spooled: Spool, reason: str) -> None:
        """Keeps what the spool holds; ``reason`` is why it is no more."""
        spooled.close()
        try:
            artifact = await self._stored(spooled.path)
        except OSError as error:
            await self._give_up(spooled, error)
            return
        asked, lost_bytes = self.asked, spooled.note.lost_bytes
        await self._decide(
            lambda state: capture.finish(state, asked, artifact, lost_bytes=lost_bytes, reason=reason, now=_now())
        )
        await asyncio.to_thread(spooled.remove)

    async def _stored(self, path: Path) -> Artifact:
        """The bytes, in the artifact store; however long it is away. Raises ``OSError`` when the file cannot be read."""
        while True:
            try:
                return await self._means.blobs.put(path, name=capture.name_of(self.asked))
            except LogUnavailable as error:
                log.warning("capture %s waits for the artifact store: %s", self.asked.capture_id, error)
                await asyncio.sleep(AGAIN_S)

    async def _give_up(self, spooled: Spool, error: OSError) -> None:
        await asyncio.to_thread(spooled.remove)  # first: on a full disk the room is needed
        said = error.strerror or error
        await self.fail(f"what the board printed could not be kept on the disk of {self.asked.host}: {said}")

    async def fail(self, reason: str) -> None:
        """Ends it with nothing to keep."""
        log.warning("capture %s of %s failed: %s", self.asked.capture_id, self.asked.device, reason)
        await self._decide(lambda state: capture.fail(state, self.asked, reason=reason, now=_now()))

    async def _decide(self, decide: Callable[[Capture], Event | None]) -> Capture:
        asked, log_ = self.asked, self._means.log
        made = await decided(
            lambda: log_.decide(
                capture.TYPES, capture.NEW, capture.evolve, decide, host=asked.host, capture_id=asked.capture_id
            ),
            about=f"capture {asked.capture_id}",
        )
        return made.state


def _now() -> datetime:
    return datetime.now(UTC)
