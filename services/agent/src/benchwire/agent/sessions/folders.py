"""The directories of sessions: made for the first run, kept for the next one, gone with the session."""

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from benchwire.agent.sandbox import remove
from benchwire.events.log import Recorded
from benchwire.events.session import SessionDeleted, SessionRequested

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.2


class Folders:
    """Those below ``root``. ``saw`` follows the log; ``clear`` is the task that removes those of deleted sessions."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._deleted: set[str] = set()
        self._news = asyncio.Event()

    def of(self, session_id: str) -> Path:
        """Where that session works; an id may hold characters that a path must not."""
        plain = re.fullmatch(r"[A-Za-z0-9_-]{1,128}", session_id)
        return self._root / (session_id if plain else hashlib.sha256(session_id.encode()).hexdigest())

    def saw(self, events: Sequence[Recorded]) -> None:
        """Takes in what was committed: a session that was deleted, and one of the same name that was asked for afterwards."""
        for one in events:
            match one.event:
                case SessionDeleted(session_id=name):
                    self._deleted.add(name)
                    self._news.set()
                case SessionRequested(session_id=name):
                    self._deleted.discard(name)
                case _:
                    pass

    async def clear(self, is_at_work: Callable[[str], bool]) -> None:
        """Removes until it is cancelled. To be started when all that stands in the log was seen; ``is_at_work`` names who still writes."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._deleted:
                for name in [one for one in self._deleted if not is_at_work(one)]:
                    self._deleted.discard(name)
                    await asyncio.to_thread(_remove, self.of(name))
                if self._deleted:  # its runner is about to let go
                    await asyncio.sleep(LOOK_AGAIN_S)


def _remove(folder: Path) -> None:
    try:
        remove(folder)
    except OSError as error:
        log.warning("%s of a deleted session stays: %s", folder, error)
