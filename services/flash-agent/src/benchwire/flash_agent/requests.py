"""Requests to this host, as its queues deliver them."""

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from benchwire.events import codec
from benchwire.events.catalog import subject_of
from benchwire.events.event import IllegalToken, token
from benchwire.events.flash import FlashRequested
from benchwire.events.serial import CaptureRequested

log = logging.getLogger(__name__)

UNREACHABLE = (NatsError, OSError, TimeoutError)

Request = TypeVar("Request", FlashRequested, CaptureRequested)


def asked(delivery: Msg, kind: type[Request]) -> Request | None:
    """The request in a delivery; None when it is none, or none of which anything could be told."""
    try:
        event = codec.decode(delivery.data, delivery.headers, delivery.subject)
        if isinstance(event, kind):
            subject_of(event)  # whoever writes to the log himself may put anything into a name
            token(event.device, "device")
            return event
        log.warning("a request of a kind that this version does not know is left alone")
    except (codec.Malformed, IllegalToken) as error:
        log.warning("a request that cannot be read is left alone: %s", error)
    return None


async def settled(settle: Callable[[], Awaitable[None]]) -> None:
    """Acks a delivery, gives it back or terminates it; when that gets lost it comes again, and is seen to be settled."""
    with contextlib.suppress(*UNREACHABLE):
        await settle()
