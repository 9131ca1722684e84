"""Takes work off a durable consumer that all runners share: explicit acks, a beat while it lasts, redelivery when a runner is gone.

What a handler does not bring to an end is never acknowledged, so it comes back: to another runner, or to this one after a restart.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from benchwire.agent.work import Seat
from benchwire.events import codec, queue, tracing
from benchwire.events.bus import Bus
from benchwire.events.catalog import filter_of, ids_of
from benchwire.events.event import Event
from benchwire.events.log import LogUnavailable

log = logging.getLogger(__name__)

AGAIN_S = 2.0  # until work that another runner seems to have is looked at again


class Later(msgspec.Struct, frozen=True):
    """A handler's answer: not now; deliver it again in ``delay_s``."""

    delay_s: float = AGAIN_S


class Elsewhere(msgspec.Struct, frozen=True):
    """A handler's answer: somebody else has it, or has ended it.

    Nothing is said to the queue, which would take it for the word of who has it now: a message that is acknowledged does not come again, and
    when that runner died, nobody would go on with its work.
    """


Answer = Later | Elsewhere | None  # None: it is done


class Delivery(msgspec.Struct, frozen=True):
    """A request as it came off the queue, with its event's id, its ``sequence`` in the log, and the place that its handler has."""

    event: Event
    id: str | None
    sequence: int
    seat: Seat


Handler = Callable[[Delivery], Awaitable[Answer]]


class Worker:
    """One queue: up to ``limit`` requests of one type at a time, each given to ``handle``."""

    def __init__(
        self, bus: Bus, durable: str, request: type[Event], handle: Handler, *, limit: int, ack_wait_s: float
    ) -> None:
        self._bus = bus
        self._durable = durable
        self._filter = filter_of(request)
        self._handle = handle
        self._room = asyncio.Semaphore(limit)
        self._ack_wait_s = ack_wait_s

    async def run(self) -> None:
        """Works until it is cancelled; what is under way then is given back."""
        asked = queue.deliveries(self._bus, self._durable, self._filter, ack_wait_s=self._ack_wait_s)
        # The queue is left before work is given back, or the server would deliver it to a request that nobody waits for.
        async with asyncio.TaskGroup() as tasks, aclosing(asked) as deliveries:
            async for message in deliveries:
                await self._room.acquire()  # at once, unless somebody who had left a place came back in this moment
                tasks.create_task(self._one(message))
                await self._free()

    async def _free(self) -> None:
        """Waits until there is a place. It is not kept while nothing is asked for: whoever left one comes back to it."""
        await self._room.acquire()
        self._room.release()

    async def _one(self, message: Msg) -> None:
        seat = Seat(self._room)
        try:
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beat(message))
                answer = await self._handled(message, seat)
                beating.cancel()
            await self._settle(message, answer)
        except asyncio.CancelledError:
            await self._settle(message, Later(0.0))
            raise
        finally:
            seat.leave()

    async def _beat(self, message: Msg) -> None:
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            with contextlib.suppress(NatsError, OSError):
                await message.in_progress()

    async def _handled(self, message: Msg, seat: Seat) -> Answer:
        try:
            event = codec.decode(message.data, message.headers, message.subject)
        except codec.Malformed as error:
            log.error("%s: a request that cannot be read is passed over: %s", self._durable, error)  # noqa: TRY400
            return None
        if isinstance(event, codec.Unknown):
            log.warning("%s: a request of version %d is left to a newer runner", self._durable, event.version)
            return Later(30.0)
        with tracing.work(f"handle {codec.tag_of(event)}", message.headers, **ids_of(event)):
            sequence = int(message.metadata.sequence.stream)
            return await self._worked(Delivery(event, (message.headers or {}).get(codec.MSG_ID), sequence, seat))

    async def _worked(self, delivery: Delivery) -> Answer:
        try:
            return await self._handle(delivery)
        except LogUnavailable as error:
            log.warning("%s: given back, because %s", self._durable, error)
            tracing.failed(f"given back: {error}")
            return Later()
        except Exception as error:
            log.exception("%s: given back after an error", self._durable)
            tracing.failed(f"given back: {error!r}")
            return Later(5.0)

    async def _settle(self, message: Msg, answer: Answer) -> None:
        try:
            if answer is None:
                await message.ack()
            elif isinstance(answer, Later):
                await message.nak(delay=answer.delay_s)
        except (NatsError, OSError) as error:
            log.debug("%s: not settled, so it comes again: %r", self._durable, error)
