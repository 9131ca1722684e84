"""A queue of requests: a JetStream durable consumer, read for as long as one likes by any number of workers.

Each delivery is acknowledged by whoever brought it to an end. What was delivered and not acknowledged in time comes again.
"""

import logging
from collections.abc import AsyncGenerator

import stamina
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig

from benchwire.events.bus import STREAM, Bus
from benchwire.events.pull import Lost, Pull

log = logging.getLogger(__name__)

ACK_WAIT_S = 10.0
MAX_HELD = 500


async def deliveries(
    bus: Bus, name: str, filter_: str, *, batch: int = 1, ack_wait_s: float = ACK_WAIT_S, max_held: int = MAX_HELD
) -> AsyncGenerator[Msg, None]:
    """The requests on ``filter_``, oldest first, each until it is acknowledged. ``name`` is the consumer's, and outlives the caller.

    A worker holds up to ``batch`` requests that the caller has not asked for yet. All workers together have up to ``max_held`` that are
    not acknowledged; what is asked for beyond that waits.
    """
    config = ConsumerConfig(
        durable_name=name,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=-1,
        max_ack_pending=max_held,
        filter_subject=filter_,
    )
    while True:
        async for attempt in stamina.retry_context(
            on=(NatsError, OSError, TimeoutError), attempts=None, timeout=None, wait_initial=0.1, wait_max=1.0
        ):
            with attempt:
                await bus.js.add_consumer(STREAM, config, timeout=2.0)
        pull = Pull(bus, STREAM, name, batch)
        try:
            async with pull.listening():
                while True:
                    for one in await pull.messages():
                        yield Msg(bus.nc, one.subject, one.reply, one.data, one.headers)
        except (Lost, NatsError, OSError) as reason:
            log.info("the queue %s is read anew: %s", name, str(reason) or "no answer")
