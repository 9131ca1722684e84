"""Takes flash jobs off this host's queue: side by side over devices, one after the other on each, those of higher priority first."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing

import msgspec
from nats.aio.msg import Msg

from benchwire.events import codec, flash, queue, tracing
from benchwire.events.bus import Bus
from benchwire.events.catalog import filter_of, ids_of, queue_of
from benchwire.events.log import Recorded
from benchwire.events.projection import Projection
from benchwire.flash_agent import job, queries, requests
from benchwire.flash_agent.errors import FlashError
from benchwire.flash_agent.run import Means, Run

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0
_LATE_S = 2.0  # how long after its time the queue may give a request again, on a host that has much to do
MAX_HELD = 2000  # what is asked for beyond that waits in the log, for whichever board and of whatever priority it is


class Held(msgspec.Struct):
    """A job that the queue gave to this agent, and the newest delivery of it. ``moved`` is set when it may be its turn, or over."""

    run: Run
    delivery: Msg
    moved: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    @property
    def place(self) -> int:
        """Where its request stands in the log."""
        return int(self.delivery.metadata.sequence.stream)

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Its place in the queue of its device: the smallest goes first."""
        return not self.run.has_begun, -self.run.request.priority, self.place


class Worker:
    """``ack_wait_s`` is after how long an agent that was killed is given up, and its jobs come to the next."""

    def __init__(self, bus: Bus, projection: Projection, host: str, means: Means, *, ack_wait_s: float) -> None:
        self._bus = bus
        self._projection = projection
        self._host = host
        self._means = means
        self._ack_wait_s = ack_wait_s
        self._all_back_at = 0.0
        self._held: dict[str, Held] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._settling: asyncio.Queue[Held] = asyncio.Queue()
        self.interrupted: list[str] = []

    async def run(self) -> None:
        """Works until cancelled. Jobs that are not over then go back to the queue; ``interrupted`` says which had begun."""
        self._all_back_at = asyncio.get_running_loop().time() + self._ack_wait_s + _LATE_S
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._beating())
                tasks.create_task(self._settling_cancels())
                tasks.create_task(self._looking_again())
                await self._taking(tasks)
        finally:
            for held in self._held.values():
                await requests.settled(held.delivery.nak)

    # -- the queue

    async def _taking(self, tasks: asyncio.TaskGroup) -> None:
        asked = queue.deliveries(
            self._bus, queue_of(flash.FlashRequested, host=self._host), filter_of(flash.FlashRequested, host=self._host),
            batch=10, ack_wait_s=self._ack_wait_s, max_held=MAX_HELD,
        )  # fmt: skip
        async with aclosing(asked) as deliveries:
            async for delivery in deliveries:
                await self._take(delivery, tasks)

    async def _take(self, delivery: Msg, tasks: asyncio.TaskGroup) -> None:
        asked = requests.asked(delivery, flash.FlashRequested)
        if asked is None:
            await requests.settled(delivery.term)
            return
        held = self._held.get(asked.job_id)
        if held is not None:  # a beat was lost, and the queue gave it again
            held.delivery = delivery
            return
        held = Held(Run(self._means, job.bounded(asked), (delivery.headers or {}).get(codec.MSG_ID)), delivery)
        self._held[asked.job_id] = held
        tasks.create_task(self._see_through(held), name=asked.job_id)

    async def _beating(self) -> None:
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for held in list(self._held.values()):
                with contextlib.suppress(*requests.UNREACHABLE):
                    await held.delivery.in_progress()

    # -- control

    def heard(self, events: Sequence[Recorded]) -> None:
        """What the log says about jobs; for ``Projection.on_commit``."""
        self._wake()
        for one in events:
            held = self._held.get(getattr(one.event, "job_id", ""))
            if held is None:
                continue
            match one.event:
                case flash.FlashCancelRequested():
                    held.run.wishes.ask(cancel=True)
                    self._settling.put_nowait(held)
                case flash.FlashPauseRequested():
                    held.run.wishes.ask(pause=True)
                case flash.FlashResumeRequested():
                    held.run.wishes.ask(pause=False)
                case flash.FlashThrottleRequested(max_bytes_per_s=limit):
                    held.run.wishes.throttle(job.bounded_rate(limit))

    async def _settling_cancels(self) -> None:
        """A job that waits for its device need not wait to be cancelled."""
        while True:
            held = await self._settling.get()
            with tracing.within(held.delivery.headers, **ids_of(held.run.request)):
                await held.run.end_if_cancelled()
            held.moved.set()

    # -- one job

    async def _see_through(self, held: Held) -> None:
        with tracing.work("handle flash_requested", held.delivery.headers, **ids_of(held.run.request)):
            await self._seen_through(held)
        await self._finished(held)

    async def _seen_through(self, held: Held) -> None:
        run = held.run
        self._settling.put_nowait(held)  # a cancel that came before the request was taken was heard by nobody
        try:
            await self._in_turn(held)
        except asyncio.CancelledError:
            if run.flash_state is not None:
                self.interrupted.append(f"{run.names.job_id} (flash {run.flash_state})")
            raise
        except Exception as error:
            log.exception("%s met a fault of the flash agent itself", run.names.job_id)
            await run.fail(FlashError(f"fault of the flash agent: {error!r:.400}"))

    async def _in_turn(self, held: Held) -> None:
        while not held.run.is_over:
            await self._is_next(held)
            async with self._turns[held.run.names.device]:
                # One of higher priority may have come while another had the device.
                if not await self._has_to_wait(held):
                    await held.run.work()
                    return

    async def _is_next(self, held: Held) -> None:
        """Returns when no other job of the device goes first, or when it was cancelled."""
        while True:
            held.moved.clear()
            known = self._projection.state.applied >= held.place
            if held.run.is_over or (known and not await self._has_to_wait(held)):
                return
            await held.moved.wait()

    async def _has_to_wait(self, held: Held) -> bool:
        """Whether another job of the device goes first: one that is here, or one that will come again.

        What a killed agent had comes again only when its time to acknowledge has run out, so a newer request may be here first. Were it
        done first, the board would end up with the older image, or two jobs would be at work on it by what the log says. For one that is
        more urgent and was asked for later, this waits only until all that the killed agent had is here: the queue gives only so many at once.
        """
        of = held.run.names
        rivals = (one for one in self._held.values() if one.run.names.device == of.device)
        if any(one.rank < held.rank for one in rivals):
            return True
        returning = asyncio.get_running_loop().time() < self._all_back_at
        return await self._projection.read(lambda db: queries.comes_again(db, of.job_id, returning=returning))

    def _wake(self) -> None:
        """Of each device the first in its queue looks whether it may begin; were all woken by each fact, many would keep the host busy."""
        first: dict[str, Held] = {}
        for held in self._held.values():
            device = held.run.names.device
            if device not in first or held.rank < first[device].rank:
                first[device] = held
        for held in first.values():
            held.moved.set()

    async def _looking_again(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            self._wake()

    async def _finished(self, held: Held) -> None:
        del self._held[held.run.names.job_id]
        device = held.run.names.device
        if not any(other.run.names.device == device for other in self._held.values()):
            self._turns.pop(device, None)  # anybody may name anything
        self._wake()
        await requests.settled(held.delivery.ack)
