"""The bytes of documents and artifacts: into the store, out of it in pieces, and away when nobody needs them.

The order of steps keeps what is visible whole, whatever dies in between:

- an upload puts its bytes, appends ``document_created``, and puts the bytes once more. Dying before the event leaves bytes that no
  document shows, and that the sweep frees when they are old. The second put costs one small message; it is for the case that somebody
  freed the same bytes just before the event. Many bytes go into the store while they come, and are not there to be put once more: then
  ``document_deleted`` follows, and whoever sent them is asked to send them again.
- a delete appends ``document_deleted``, then frees. Dying in between leaves bytes that no document shows; the next sweep frees them.
- freeing reads the object's record, asks the log who needs the bytes, and writes the record only if it is still the one that was read.
- rows that lack what the log had lost do not tell what is needed: then nothing is freed.
- while a backup is made nothing is freed: the log that it holds may still need the bytes. The next sweep comes back to them.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import BinaryIO

from nats.errors import Error as NatsError

from benchwire.documents import queries
from benchwire.documents.cache import Cache
from benchwire.documents.projection import CLAIMING
from benchwire.events import catalog
from benchwire.events.blobs import Blobs
from benchwire.events.log import Log, LogUnavailable
from benchwire.events.presence import BACKUP, Presence
from benchwire.events.projection import Projection, ProjectionBehind

log = logging.getLogger(__name__)

_STALL_S = 15.0
_FILE_BYTES = 256 * 1024
_SWEEP_RETRY_S = 5.0


class Source:
    """Where bytes are read from: the cache of this machine when it has them, else the store."""

    def __init__(self, blobs: Blobs, cache: Cache) -> None:
        self._blobs = blobs
        self._cache = cache

    async def pieces(
        self, digest: str, size_bytes: int, start: int = 0, stop: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to ``stop``, in pieces, none of them kept for longer than it takes to pass it on.

        The last piece of the whole comes only after the digest was found right, so that a damaged object never arrives complete. Of a
        part, only that part is read. Raises ``BlobMissing``, ``DigestMismatch``, and ``LogUnavailable`` when the store falls silent.
        """
        stop = size_bytes if stop is None else min(stop, size_bytes)
        file = await self._cache.opened(digest)
        if file is not None:
            async with aclosing(_read(file, start, stop)) as read:
                async for piece in read:
                    start += len(piece)
                    yield piece
            if start >= stop:
                return
            await self._cache.drop(digest)  # the disk cannot give the rest; the store can
        whole = start == 0 and stop == size_bytes
        rest = self._whole(digest, size_bytes) if whole else _patient(self._blobs.span(digest, start, stop))
        async with aclosing(rest):
            async for piece in rest:
                yield piece

    async def _whole(self, digest: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
        filling = await self._cache.filling(digest, size_bytes)
        complete, held = False, b""
        try:
            async with aclosing(_patient(self._blobs.chunks(digest))) as chunks:
                async for piece in chunks:
                    if filling is not None:
                        await filling.add(piece)
                    if held:
                        yield held
                    held = piece
            complete = True
        finally:
            if filling is not None:
                await filling.end(complete=complete)
        if held:
            yield held


async def _read(file: BinaryIO, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """The bytes of ``file``, as far as they can be read."""
    try:
        await asyncio.to_thread(file.seek, start)
        while start < stop and (piece := await asyncio.to_thread(file.read, min(_FILE_BYTES, stop - start))):
            start += len(piece)
            yield piece
    except OSError as error:
        log.warning("a file of the cache cannot be read: %s", error)
    finally:
        file.close()


async def _patient(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """``chunks``, for as long as they come."""
    async with aclosing(chunks):
        while True:
            try:
                async with asyncio.timeout(_STALL_S):
                    piece = await anext(chunks, None)
            except TimeoutError:
                raise LogUnavailable("the artifact store does not answer") from None
            if piece is None:
                return
            yield piece


class Opened(AsyncIterator[bytes]):
    """Pieces of which the first is already there, so that what can be wrong is known before the answer begins."""

    def __init__(self, first: bytes | None, rest: AsyncGenerator[bytes, None]) -> None:
        self._first = first
        self._rest = rest

    async def __anext__(self) -> bytes:
        """The next piece."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._rest)

    async def aclose(self) -> None:
        """Lets go of the store; to be called whether or not the pieces were read."""
        await self._rest.aclose()


async def opened(rest: AsyncGenerator[bytes, None]) -> Opened:
    """Reads the first piece. Raises what reading it raises."""
    return Opened(await anext(rest, None), rest)


class Freeing:
    """Frees bytes that nobody needs any more. ``grace_s`` is how long bytes that no event names yet are waited for."""

    def __init__(self, log_: Log, projection: Projection, blobs: Blobs, cache: Cache, *, grace_s: float) -> None:
        self._log = log_
        self._projection = projection
        self._blobs = blobs
        self._cache = cache
        self._grace_s = grace_s
        self._presence = Presence(log_.bus)

    async def free(self, digest: str) -> None:
        """Frees the bytes unless a document, a task, a flash job or a backup needs them. Raises ``LogUnavailable`` and ``ProjectionBehind``."""
        if await self._backed_up():
            return
        if await self._blobs.free(digest, partial(self._is_unneeded, digest)):
            await self._cache.drop(digest)

    async def _backed_up(self) -> bool:
        try:
            return await self._presence.is_there(*BACKUP)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable("nobody can say whether a backup is being made") from error

    async def _is_unneeded(self, digest: str) -> bool:
        if self._projection.state.lacking:  # what names these bytes may be among what the rows lack
            return False
        # As of now, not as of what this instance happens to know: another one may have taken an upload a moment ago.
        last = max([await self._log.last_sequence(catalog.filter_of(kind)) for kind in CLAIMING])
        await self._projection.wait_for(last)
        return not await self._projection.read(partial(queries.is_needed, digest=digest))

    async def run(self) -> None:
        """Sweeps at once, and then again and again, until it is cancelled."""
        while True:
            try:
                await self.sweep(await self._blobs.now())
                pause_s = max(1.0, self._grace_s)
            except (LogUnavailable, ProjectionBehind) as reason:
                log.debug("the sweep waits: %s", reason)
                pause_s = _SWEEP_RETRY_S
            await asyncio.sleep(pause_s)

    async def sweep(self, now: datetime) -> None:
        """Frees what processes that died left behind, here or on other hosts. Raises ``LogUnavailable`` and ``ProjectionBehind``.

        ``now`` is the store's: the clock of this machine may be ahead of it, and an upload of another host would look old.
        Bytes that documents had, and have no more, go at once. Bytes that no event ever named, chunks that no record names, and records of
        freed bytes go when they are older than an upload can be in progress.
        """
        await self._blobs.sweep_unnamed(now=now, idle_s=self._grace_s)
        old = now - timedelta(seconds=self._grace_s)
        async with aclosing(self._blobs.named()) as batches:
            async for batch in batches:
                needs = await self._projection.read(partial(queries.needs, digests=[one.digest for one in batch]))
                for one, needed in zip(batch, needs, strict=True):
                    is_old = one.written_at < old
                    if one.freed and is_old:
                        await self._blobs.forget(one)
                    elif not one.freed and (needed is False or (needed is None and is_old)):
                        await self.free(one.digest)
