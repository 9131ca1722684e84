"""Reading a stream in order, from any sequence, for as long as one likes.

A throw-away pull consumer without acks, asked for batches over one plain subscription. It is made anew, after the last message seen,
whenever the connection came back, the consumer is gone, its heartbeat fails or a message is missing; so a reader sees every message
once, in order, and never has to know.
"""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime

import msgspec
import stamina
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.errors import NotFoundError

from benchwire.events.bus import STREAM, Bus
from benchwire.events.pull import Lost, Pull
from benchwire.events.streams import beginning

log = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_FAREWELL_S = 1.0
_NS = 1_000_000_000
_STEPS_DOWN_S = 20.0  # longer than a server that has lost the others takes itself for the leader
_LOOK_AGAIN_S = 0.5
_ENOUGH = 4  # times as many messages as are wanted are read rather than searched


class StreamReplaced(Exception):
    """The stream is gone, or another one has its name, or it lost its end: sequences no longer mean what they meant."""


class Silent(TimeoutError):
    """The server was asked what a stream holds, and says nothing."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of a stream: its place, where it was published, when the server took it, and what it holds."""

    sequence: int
    subject: str
    received_at: datetime
    headers: dict[str, str] | None
    body: bytes


class Batch(msgspec.Struct, frozen=True):
    """Messages that came together, oldest first. ``pending`` is how many more the stream held at that moment.

    ``of_copy``: it is read from one of several copies of the stream, which may lag behind what was acknowledged.
    """

    messages: list[Message]
    pending: int
    of_copy: bool = False


async def follow(
    bus: Bus,
    filters: Sequence[str],
    *,
    after: int = 0,
    stream: str = STREAM,
    batch: int = 500,
    created: str | None = None,
    is_checked: bool = True,
    reached: Callable[[], int] | None = None,
) -> AsyncGenerator[Batch, None]:
    """Everything on ``filters`` with a sequence above ``after``, then what comes, until the caller leaves.

    The first batch comes at once, and is empty when there is nothing. Whoever says when the log was ``created`` is told by
    ``StreamReplaced`` that it is no longer the same, or that it lost something before it was read here; unless ``is_checked``, which is
    for who has just looked himself, also before the first message. ``reached`` says up to where there was nothing more to read.
    """
    first = True
    while True:
        async for attempt in stamina.retry_context(
            on=(NatsError, OSError, TimeoutError), attempts=None, timeout=None, wait_initial=0.05, wait_max=1.0
        ):
            with attempt:
                if created is not None and not is_checked:
                    await _check(bus, stream, created, max(after, reached() if reached else 0))
                consumer = await bus.js.add_consumer(stream, _throw_away(filters, after), timeout=5.0)
        is_checked = False
        try:
            of_copy = consumer.cluster is not None
            if first and not consumer.num_pending:
                yield Batch([], 0, of_copy)
            first = False
            async with aclosing(_batches(bus, stream, consumer.name, batch, of_copy=of_copy)) as parts:
                async for part in parts:
                    after = part.messages[-1].sequence
                    yield part
        except (Lost, NatsError, OSError) as reason:
            log.debug("following %s after %d anew: %s", stream, after, reason)
        finally:
            await _forgotten(bus, stream, consumer.name)


async def held(
    bus: Bus, filters: Sequence[str], *, after: int = 0, stream: str = STREAM, batch: int = 500
) -> AsyncGenerator[Batch, None]:
    """What the stream holds at this moment, whichever of its copies it is read from.

    Raises ``Silent`` when nothing comes for a while, where ``follow`` would wait for ever.
    """
    seen, upto = after, None
    async with aclosing(follow(bus, filters, after=after, stream=stream, batch=batch)) as batches:
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    part = await anext(batches)
            except TimeoutError:
                if upto is not None and seen >= await _newest_on(bus, filters, stream):
                    return  # what was waited for was taken out of the stream meanwhile
                raise Silent(f"{stream} does not answer") from None
            if upto is None:
                upto = await _newest_on(bus, filters, stream) if part.of_copy else 0
            seen = part.messages[-1].sequence if part.messages else seen
            yield part
            if part.pending == 0 and seen >= upto:
                return


async def last_sequence(bus: Bus, filter_: str, *, stream: str = STREAM) -> int:
    """The sequence of the newest message on ``filter_``, as the stream's leader has it; 0 without any. Raises what NATS raises."""
    try:
        message = await bus.js.get_last_msg(stream, filter_)
    except NotFoundError:
        return 0
    return int(message.seq or 0)


async def _newest_on(bus: Bus, filters: Sequence[str], stream: str) -> int:
    try:
        return max(await asyncio.gather(*(last_sequence(bus, one, stream=stream) for one in filters)))
    except (NatsError, OSError, TimeoutError) as error:
        raise Silent(f"{stream} does not answer") from error


async def pending_after(bus: Bus, filter_: str, after: int, *, stream: str = STREAM) -> int:
    """How many messages with a sequence above ``after`` the stream holds on ``filter_``. Raises what NATS raises."""
    consumer = await bus.js.add_consumer(stream, _throw_away([filter_], after), timeout=5.0)
    await _forgotten(bus, stream, consumer.name)
    return int(consumer.num_pending or 0)


async def newest(bus: Bus, filter_: str, limit: int, *, stream: str = STREAM) -> list[Message]:
    """The last ``limit`` messages on ``filter_``, oldest first. Raises what NATS raises, and ``Silent``.

    A server tells how many messages a filter has after a given sequence, so the place to read from is searched for, and what lies before
    it is never read.
    """
    async with asyncio.timeout(_PATIENCE_S):
        state = (await bus.js.stream_info(stream)).state
    first, last = max(0, state.first_seq - 1), state.last_seq
    back = limit
    while (after := max(first, last - back)) > first and await pending_after(
        bus, filter_, after, stream=stream
    ) < limit:
        back *= 8
    too_late = max(after, last - back // 8)  # fewer than ``limit`` stand behind it
    while too_late - after > limit and await pending_after(bus, filter_, after, stream=stream) > _ENOUGH * limit:
        middle = (after + too_late) // 2
        if await pending_after(bus, filter_, middle, stream=stream) < limit:
            too_late = middle
        else:
            after = middle
    kept: deque[Message] = deque(maxlen=limit)
    async with aclosing(held(bus, [filter_], after=after, stream=stream)) as batches:
        async for batch in batches:
            kept.extend(batch.messages)
    return list(kept)


async def _check(bus: Bus, stream: str, created: str, after: int) -> None:
    info = await _info_of(bus, stream)
    began = time.monotonic()
    while str(info.created) == created and info.state.last_seq < after:
        if (info.config.num_replicas or 1) == 1 or time.monotonic() - began > _STEPS_DOWN_S:
            break
        await asyncio.sleep(_LOOK_AGAIN_S)
        info = await _info_of(bus, stream)
    if str(info.created) != created or info.state.last_seq < after:
        raise StreamReplaced(f"the stream {stream} is another one than before; what was made of it has to be made anew")
    begins = await beginning(bus.js, info)
    if begins.hides(after):
        raise StreamReplaced(f"{begins.why(after)}, and were not read here before")


async def _info_of(bus: Bus, stream: str) -> StreamInfo:
    try:
        return await bus.js.stream_info(stream)
    except NotFoundError:
        raise StreamReplaced(f"the stream {stream} is gone") from None


def _throw_away(filters: Sequence[str], after: int) -> ConsumerConfig:
    return ConsumerConfig(
        name=f"reader-{secrets.token_hex(12)}",  # whoever may read may read from any consumer whose name he knows
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        filter_subjects=list(filters) if len(filters) > 1 else None,
        filter_subject=filters[0] if len(filters) == 1 else None,
        inactive_threshold=60.0,
        mem_storage=True,
        num_replicas=1,
    )


async def _batches(bus: Bus, stream: str, consumer: str, batch: int, *, of_copy: bool) -> AsyncGenerator[Batch, None]:
    pull = Pull(bus, stream, consumer, batch)
    delivered = 0
    async with pull.listening():
        while True:
            messages = []
            for one in await pull.messages():
                delivered += 1
                in_stream, in_consumer, at_ns, pending = _place(one.reply)
                if in_consumer != delivered:
                    raise Lost(f"message {delivered} of the consumer did not come")
                received_at = datetime.fromtimestamp(at_ns / _NS, UTC)
                messages.append(Message(in_stream, one.subject, received_at, one.headers, one.data))
            yield Batch(messages, pending, of_copy)


def _place(reply: str) -> tuple[int, int, int, int]:
    """What the reply subject of a message says of it: its place in the stream, its place in the consumer, when it came (ns), how many follow.

    nats-py reads it, too, and takes a third of the time of a read for that.
    """
    tokens = reply.split(".")
    first = 5 if len(tokens) == 9 else 7  # newer servers put domain and account in front
    return int(tokens[first]), int(tokens[first + 1]), int(tokens[first + 2]), int(tokens[first + 3])


async def _forgotten(bus: Bus, stream: str, consumer: str) -> None:
    try:
        if bus.connected:
            async with asyncio.timeout(_FAREWELL_S):
                await bus.js.delete_consumer(stream, consumer)
    except (NatsError, OSError, TimeoutError) as error:
        log.debug("a consumer that is left alone ends by itself: %r", error)
