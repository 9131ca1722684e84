"""The bytes of documents and artifacts: into the store, out of it in pieces, and away when nobody needs them.

The order of steps keeps what is visible whole, whatever dies in between:

- an upload puts its bytes, appends ``document_created``, and puts the bytes once more. Dying before the event leaves bytes that no
  document shows. The second put costs one small message; it is for the case that somebody freed the same bytes just before the event.
- a delete appends ``document_deleted``, then frees. Dying in between leaves bytes that no document shows; the sweep at the next start
  frees them.
- freeing reads the object's record, asks the log who needs the bytes, and writes the record only if it is still the one that was read.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial

from benchwire.documents import queries
from benchwire.documents.projection import CLAIMING
from benchwire.events import catalog
from benchwire.events.blobs import Blobs
from benchwire.events.log import Log, LogUnavailable
from benchwire.events.projection import Projection, ProjectionBehind

log = logging.getLogger(__name__)

_STALL_S = 15.0
_SWEEP_RETRY_S = 5.0


async def pieces(blobs: Blobs, digest: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
    """The bytes from ``start`` up to ``stop``, in pieces, none of them kept for longer than it takes to pass it on.

    The last piece of the whole comes only after the digest was found right, so that a damaged object never arrives complete.
    Raises ``BlobMissing``, ``DigestMismatch``, and ``LogUnavailable`` when the store falls silent.
    """
    at, held = 0, b""
    async with aclosing(blobs.chunks(digest)) as chunks:
        while stop is None or at < stop:
            piece = await _next(chunks)
            if piece is None:
                break
            part = piece[max(0, start - at) : None if stop is None else stop - at]
            at += len(piece)
            if held:
                yield held
            held = part
    if held:
        yield held


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes | None:
    try:
        async with asyncio.timeout(_STALL_S):
            return await anext(chunks, None)
    except TimeoutError:
        raise LogUnavailable("the artifact store does not answer") from None


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
    """Frees bytes that nobody needs any more."""

    def __init__(self, log_: Log, projection: Projection, blobs: Blobs) -> None:
        self._log = log_
        self._projection = projection
        self._blobs = blobs

    async def free(self, digest: str) -> None:
        """Frees the bytes unless a document, a task or a flash job needs them. Raises ``LogUnavailable`` and ``ProjectionBehind``."""
        await self._blobs.free(digest, partial(self._is_unneeded, digest))

    async def _is_unneeded(self, digest: str) -> bool:
        # As of now, not as of what this instance happens to know: another one may have taken an upload a moment ago.
        last = max([await self._log.last_sequence(catalog.filter_of(kind)) for kind in CLAIMING])
        await self._projection.wait_for(last)
        return not await self._projection.read(partial(queries.is_needed, digest=digest))

    async def sweep(self) -> None:
        """Frees what a process that died did not come to free; goes on where it was when NATS comes back."""
        for digest in await self._projection.read(queries.unneeded):
            while True:
                try:
                    await self.free(digest)
                    break
                except (LogUnavailable, ProjectionBehind) as reason:
                    log.debug("the sweep waits: %s", reason)
                    await asyncio.sleep(_SWEEP_RETRY_S)
