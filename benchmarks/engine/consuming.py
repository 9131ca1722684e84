"""Out of the log of a lab: with nats-py alone, and with what the services use."""

import time
from contextlib import aclosing

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from benchmarks.measuring import Measured
from benchwire.events.bus import STREAM, connected
from benchwire.events.catalog import FACTS
from benchwire.events.follow import held
from benchwire.events.settings import NatsSettings

_FETCH = 500


async def fetched(url: str, *, count: int) -> Measured:
    """``fetch(500)`` of a pull consumer that acknowledges nothing."""
    nc = await nats.connect(url)
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, filter_subject=FACTS)
    subscription = await nc.jetstream().pull_subscribe(FACTS, stream=STREAM, config=config)
    begun, read = time.perf_counter(), 0
    while read < count:
        read += len(await subscription.fetch(min(_FETCH, count - read), timeout=30))
    took = time.perf_counter() - begun
    await nc.close()
    return {"read_per_s": count / took}


async def ordered(url: str, *, count: int) -> Measured:
    """The ordered push consumer."""
    nc = await nats.connect(url)
    subscription = await nc.jetstream().subscribe(FACTS, stream=STREAM, ordered_consumer=True)
    begun = time.perf_counter()
    for _ in range(count):
        await subscription.next_msg(timeout=30)
    took = time.perf_counter() - begun
    await nc.close()
    return {"read_per_s": count / took}


async def followed(url: str, *, count: int) -> Measured:
    """The lab's own reader."""
    async with connected(NatsSettings(nats_url=url), name="benchmark") as bus:
        begun, read = time.perf_counter(), 0
        async with aclosing(held(bus, [FACTS])) as batches:
            async for batch in batches:
                read += len(batch.messages)
                if read >= count:
                    break
        took = time.perf_counter() - begun
    return {"read_per_s": read / took}
