"""Reading the log: what it holds on some filters, and from where on it holds anything."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from nats.errors import Error as NatsError

from benchwire.events import codec, streams
from benchwire.events.bus import Bus
from benchwire.events.follow import Silent, held, last_sequence
from benchwire.events.log.errors import BEHIND, SILENT, Behind, HistoryGone, LogUnavailable
from benchwire.events.log.records import Recorded, recorded
from benchwire.events.streams import Beginning


class Reading:
    """The log as whoever reads it sees it, through one connection."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def last_sequence(self, filter_: str) -> int:
        """The sequence of the newest fact on ``filter_``; 0 when there is none."""
        try:
            return await last_sequence(self.bus, filter_)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(SILENT) from error

    async def beginning(self) -> Beginning:
        """Where the log begins. Raises ``LogUnavailable``."""
        try:
            return await streams.beginning(self.bus.js)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable(SILENT) from error

    async def check_whole(self, first: int, what: str) -> None:
        """Raises ``HistoryGone`` unless the log still has everything from ``first`` on, where ``what`` begins; and ``LogUnavailable``."""
        begins = await self.beginning()
        if begins.hides(first - 1):
            raise HistoryGone(
                f"{what} begins at event {first}, and the log keeps only what is newer than event {begins.first - 1}"
            )

    async def read(
        self, filters: Sequence[str], *, after: int = 0, at_least: int = 0
    ) -> AsyncGenerator[Recorded, None]:
        """What the log holds on ``filters`` at this moment, oldest first; what cannot be read is passed over. Raises ``LogUnavailable``.

        ``at_least`` is a sequence at which there surely was something on ``filters``. Raises ``Behind`` in the end when nothing came that is
        as new as that.
        """
        reached = after
        try:
            async with aclosing(held(self.bus, filters, after=after)) as batches:
                async for batch in batches:
                    for message in batch.messages:
                        reached = message.sequence
                        with contextlib.suppress(codec.Malformed):
                            one = recorded(message)
                            if isinstance(one, Recorded):
                                yield one
        except Silent as error:
            raise LogUnavailable(SILENT) from error
        if reached < at_least:
            raise Behind(BEHIND)
