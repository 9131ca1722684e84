"""What stands in the log, with what came beside the events."""

from contextlib import aclosing

from benchwire.events.bus import Bus
from benchwire.events.follow import Message, held


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
