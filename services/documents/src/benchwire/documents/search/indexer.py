"""Fills the full-text index behind the projection: what changed there, with the first of its bytes when they are text."""

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from nats.errors import Error as NatsError

from benchwire.documents import queries
from benchwire.documents.document import Document
from benchwire.documents.queries import Row, Wanted
from benchwire.documents.search.index import Hits, Index
from benchwire.documents.search.texts import LOOK_BYTES, MAX_TEXT_BYTES, looks_like_text, text_of
from benchwire.events.blobs import BlobMissing, Blobs
from benchwire.events.bus import STREAM, Bus
from benchwire.events.document import DocumentDeleted
from benchwire.events.log import LogUnavailable, Recorded
from benchwire.events.projection import Projection

log = logging.getLogger(__name__)

_ROWS = 200
_BATCH_BYTES = 4 << 20  # how much text is held at once
_FETCHING = 8
_RETRY_S = 1.0


class Indexer:
    """Keeps ``index`` up with ``projection``; ``done`` is the sequence of the last change that can be found."""

    def __init__(self, bus: Bus, projection: Projection, blobs: Blobs, index: Index) -> None:
        self._bus = bus
        self._projection = projection
        self._blobs = blobs
        self._index = index
        self._wake = asyncio.Event()
        self._deleted: list[tuple[str, int]] = []
        self._is_open = False
        self._is_broken = False
        self._fetching = asyncio.Semaphore(_FETCHING)
        self.done = 0
        projection.on_commit(self._take)

    def _take(self, events: Sequence[Recorded]) -> None:
        self._deleted += [
            (one.event.document_id, one.sequence) for one in events if isinstance(one.event, DocumentDeleted)
        ]
        self._wake.set()

    async def opened(self) -> None:
        """Opens the index, so that it can be asked; when that cannot be done now, ``run`` tries again."""
        try:
            await self._open()
        except (NatsError, OSError, TimeoutError, sqlite3.DatabaseError) as reason:
            log.warning("the search index cannot be opened: %s", reason)

    async def _open(self) -> None:
        info = await self._bus.js.stream_info(STREAM)
        self.done = await self._index.open(str(info.created), anew=self._is_broken)
        self._is_open, self._is_broken = True, False

    async def asked(self, text: str, wanted: Wanted) -> Hits:
        """As ``Index.asked``. Also raises ``LogUnavailable`` while the index is not open yet, or broken."""
        if not self._is_open:
            raise LogUnavailable("the search index is being made; try again")
        try:
            return await self._index.asked(text, wanted)
        except sqlite3.DatabaseError as error:
            self._give_up(error)
            self._wake.set()
            raise LogUnavailable(f"the search index cannot be read: {error}") from error

    def _give_up(self, error: sqlite3.DatabaseError) -> None:
        """Has the index opened anew, and made anew when it is the file that is broken, and not the machine that has no room or time."""
        self._is_open = False
        self._is_broken = self._is_broken or not isinstance(error, sqlite3.OperationalError)

    async def run(self) -> None:
        """Follows the projection until it is cancelled; what goes wrong is tried again."""
        try:
            while True:
                try:
                    await self._follow()
                except (LogUnavailable, NatsError, TimeoutError) as reason:
                    log.debug("the search index waits: %s", reason)
                except OSError as reason:
                    log.warning("the search index waits: %s", reason)
                except sqlite3.DatabaseError as reason:
                    log.warning("the search index is opened anew: %s", reason)
                    self._give_up(reason)
                await asyncio.sleep(_RETRY_S)
        finally:
            self._is_open = False
            await self._index.close()

    async def _follow(self) -> None:
        if not self._is_open:
            await self._open()
        await self._index.keep_only(await self._projection.read(partial(queries.unchanged, changed=self.done)))
        while self._is_open:
            self._wake.clear()
            while await self._advance():
                pass
            if self._deleted:
                gone, self._deleted = self._deleted, []
                await self._index.remove(gone)
            await self._wake.wait()

    async def _advance(self) -> bool:
        """Takes in some of what is new; False when nothing is."""
        rows = _some(await self._projection.read(partial(queries.changed_after, changed=self.done, limit=_ROWS)))
        if not rows:
            return False
        known = await self._index.has([row.sequence for row in rows])
        texts = await asyncio.gather(*(self._text(row, known) for row in rows))
        await self._index.put(list(zip(rows, texts, strict=True)))
        self.done = rows[-1].changed
        return True

    async def _text(self, row: Row, known: set[int]) -> str | None:
        if row.sequence in known:
            return None  # bytes never change, only what is said of them
        async with self._fetching:
            return await self._read(row.document)

    async def _read(self, document: Document) -> str:
        """The text of a document, as much of it as is searched; nothing when it is none, or gone."""
        data = bytearray()
        try:
            async with aclosing(self._blobs.span(document.digest, 0, MAX_TEXT_BYTES)) as pieces:
                async for piece in pieces:
                    data += piece
                    if not looks_like_text(bytes(data[:LOOK_BYTES])):
                        return ""
        except BlobMissing:
            return ""
        return text_of(bytes(data), document.content_type, cut=document.size_bytes > len(data)) or ""


def _some(rows: list[Row]) -> list[Row]:
    """As many of ``rows`` as can be held with their texts, at least one."""
    held, taken = 0, list[Row]()
    for row in rows:
        held += min(row.document.size_bytes, MAX_TEXT_BYTES)
        if taken and held > _BATCH_BYTES:
            break
        taken.append(row)
    return taken
