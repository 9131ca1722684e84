"""Documents that are kept for a time only go when it is over, whichever instance notices first."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from benchwire.documents import queries
from benchwire.documents.store import Store
from benchwire.events.log import Contended, LogUnavailable, Recorded
from benchwire.events.projection import ProjectionBehind

log = logging.getLogger(__name__)

_AT_ONCE = 100
_LOOK_AGAIN_S = 60.0  # clocks are set, and machines sleep
_RETRY_S = 5.0


class Retention:
    """Deletes what expired; ``now`` tells the time."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._wake = asyncio.Event()
        store.projection.on_commit(self._take)

    def _take(self, _: Sequence[Recorded]) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Waits for the next document that expires, until it is cancelled."""
        while True:
            self._wake.clear()
            try:
                pause_s = await self.sweep()
            except (LogUnavailable, ProjectionBehind, Contended) as reason:
                log.debug("what expired stays for now: %s", reason)
                pause_s = _RETRY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def sweep(self) -> float:
        """Deletes what has expired, and returns in how many seconds to look again.

        Raises ``LogUnavailable``, ``ProjectionBehind`` and ``Contended``.
        """
        while True:
            soonest = await self._store.projection.read(partial(queries.expiring, limit=_AT_ONCE))
            now = self._now()
            due = [document_id for document_id, at in soonest if at <= now]
            for document_id in due:
                await self._store.expire(document_id, now=now)
            if not due:
                left_s = (soonest[0][1] - now).total_seconds() if soonest else _LOOK_AGAIN_S
                return min(_LOOK_AGAIN_S, max(0.05, left_s))
