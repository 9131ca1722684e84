"""The connection, where it has to do better than the client library."""

import asyncio

import pytest
from nats.aio.msg import Msg

from benchwire.events.bus import Bus


async def test_a_cancel_that_comes_together_with_a_reply_is_not_forgotten(bus: Bus) -> None:
    """A node of a cancelled task went on for its whole length, because the cancel met the acknowledgement of an event."""

    async def answer(message: Msg) -> None:
        await message.respond(b"yes")

    await bus.nc.subscribe("ask.something", cb=answer)
    asking = asyncio.create_task(bus.nc.request("ask.something", b"", timeout=5))
    async with asyncio.timeout(5):
        while not bus.nc._resp_map:  # noqa: ASYNC110 - in each turn of the loop, for the reply comes within a millisecond
            await asyncio.sleep(0)
    reply = next(iter(bus.nc._resp_map.values()))
    reply.add_done_callback(lambda _: asking.cancel())
    with pytest.raises(asyncio.CancelledError):
        await asking
