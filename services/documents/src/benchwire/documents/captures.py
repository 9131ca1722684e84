"""What boards printed becomes documents: each capture that has ended, once, under the capture's id.

All document stores share one durable queue of ``capture_finished``. A document that was deleted is not made again, however often its
capture is told of: the log says that it was there.
"""

import logging
from contextlib import aclosing
from functools import partial

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from benchwire.documents import commands
from benchwire.documents.document import TYPES
from benchwire.events import codec, queue
from benchwire.events.bus import Bus
from benchwire.events.catalog import filter_of, queue_of
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.log import Contended, Log, LogUnavailable
from benchwire.events.serial import CaptureFinished

log = logging.getLogger(__name__)

QUEUE = queue_of(CaptureFinished)
_NEVER = False  # was there a document


class Captures:
    """Makes the documents. What a capture holds counts among all documents, but no limit for these refuses it: its bytes are there already."""

    def __init__(self, bus: Bus, log_: Log, *, ack_wait_s: float = queue.ACK_WAIT_S) -> None:
        self._bus = bus
        self._log = log_
        self._ack_wait_s = ack_wait_s

    async def run(self) -> None:
        """Works until cancelled. What cannot be done now comes again."""
        asked = queue.deliveries(self._bus, QUEUE, filter_of(CaptureFinished), batch=10, ack_wait_s=self._ack_wait_s)
        async with aclosing(asked) as deliveries:
            async for delivery in deliveries:
                try:
                    await self._take(delivery)
                except (LogUnavailable, Contended, NatsError, OSError, TimeoutError) as error:
                    log.warning("a capture becomes a document later: %s", error)

    async def _take(self, delivery: Msg) -> None:
        try:
            event = codec.decode(delivery.data, delivery.headers, delivery.subject)
        except codec.Malformed as error:
            log.warning("a capture that cannot be read is left alone: %s", error)
            await delivery.term()
            return
        if isinstance(event, CaptureFinished):
            await self._keep(event, (delivery.headers or {}).get(codec.MSG_ID))
            await delivery.ack()
        else:
            await delivery.term()

    async def _keep(self, event: CaptureFinished, event_id: str | None) -> None:
        decision = partial(commands.keep_capture, capture=event)
        await self._log.decide(TYPES, _NEVER, _was_made, decision, caused_by=event_id, document_id=event.capture_id)


def _was_made(made: bool, event: Event) -> bool:
    return made or isinstance(event, DocumentCreated)
