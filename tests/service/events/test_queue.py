"""How many requests of a queue are handed out at once."""

from contextlib import aclosing
from datetime import UTC, datetime

from benchwire.events import queue
from benchwire.events.bus import STREAM, Bus
from benchwire.events.catalog import filter_of
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Log

IMAGE = Artifact(digest="0" * 64, size_bytes=9, name="a.bin")


async def test_what_is_beyond_the_limit_waits_and_a_wider_one_holds_also_for_a_queue_that_is_there_already(
    bus: Bus, log: Log
) -> None:
    for number in range(5):
        await log.append(
            FlashRequested(
                timestamp=datetime.now(UTC), host="h", job_id=f"j{number}", device="d", image=IMAGE, address=0
            )
        )
    places: list[int] = []
    for limit in (2, 4):
        asked = queue.deliveries(bus, "flash-h", filter_of(FlashRequested, host="h"), batch=10, max_held=limit)
        async with aclosing(asked) as deliveries:
            while len(places) < limit:
                places.append((await anext(deliveries)).metadata.sequence.stream)
            info = await bus.js.consumer_info(STREAM, "flash-h")
            assert (info.num_ack_pending, info.num_pending) == (limit, 5 - limit)
    assert places == [1, 2, 3, 4]
