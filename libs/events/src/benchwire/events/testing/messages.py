"""What stands in the log, with what came beside the events."""

from contextlib import aclosing
from itertools import cycle

from benchwire.events import catalog, codec
from benchwire.events.bus import STREAM, Bus
from benchwire.events.event import Event
from benchwire.events.follow import Message, held
from benchwire.events.testing.eventually import eventually


async def messages(bus: Bus, filter_: str) -> list[Message]:
    """The messages on ``filter_`` as they are, headers and all, oldest first."""
    async with aclosing(held(bus, [filter_])) as batches:
        return [message async for batch in batches for message in batch.messages]


async def traces(bus: Bus, filter_: str) -> dict[str, str | None]:
    """The last word of each subject on ``filter_``, and the ``traceparent`` of the newest message there."""
    return {
        message.subject.rsplit(".", 1)[1]: (message.headers or {}).get("traceparent")
        for message in await messages(bus, filter_)
    }


async def landed_again(bus: Bus, event: Event, event_id: str) -> None:
    """Publishes ``event`` under an id that was used before, as a retry does that comes after the server has forgotten the id."""
    config = (await bus.js.stream_info(STREAM)).config
    windows = cycle((0.1, 0.11))
    headers = codec.headers(event, event_id, None)

    async def landed() -> bool:
        # Every change has the server look for ids that are old by now; it may still go by the window of before, so that one change is not enough.
        await bus.js.update_stream(config, duplicate_window=next(windows))
        ack = await bus.acks.publish(catalog.subject_of(event), codec.encode(event), headers=headers, timeout_s=20.0)
        return not ack.duplicate

    await eventually(landed)
