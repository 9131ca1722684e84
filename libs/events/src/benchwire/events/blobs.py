"""The artifact store: bytes by their SHA-256, in a JetStream object store.

An object is a record and its chunks (see ``objects``). Everything that changes a record says which one it saw, so that of two who put the
same bytes, or of one who puts and one who frees them, exactly one is heard.

Chunks go in before the record that names them, so a record that can be seen has its bytes. Whoever dies in between leaves chunks that no
record names; ``sweep_unnamed`` finds them by their age.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from weakref import WeakSet

import msgspec
from nats.js.api import ObjectInfo

from benchwire.events import objects
from benchwire.events.arriving import Arriving
from benchwire.events.bus import Bus
from benchwire.events.event import Artifact
from benchwire.events.objects import ABANDONED_S, Objects, answering

_READ_BYTES = 1 << 20


class BlobMissing(LookupError):
    """No bytes with that digest are in the store."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the artifact store has no bytes with digest {digest}")


class BlobIncomplete(BlobMissing):
    """The store names these bytes, and does not have them all; whoever puts them again heals it."""

    def __init__(self, digest: str) -> None:
        LookupError.__init__(
            self, f"the artifact store has only a part of the bytes with digest {digest}; storing them again heals it"
        )


class DigestMismatch(ValueError):
    """Bytes are not what their digest says."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"the bytes have digest {actual}, but {expected} was promised")


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What the store says of a digest, since when, and whether the bytes were freed."""

    digest: str
    sequence: int
    written_at: datetime
    freed: bool


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that are in the store, and the record that named them when they were put."""

    artifact: Artifact
    info: ObjectInfo
    sequence: int


Data = bytes | Path | Arriving


class Blobs:
    """Puts bytes in, gets them out, whole and checked."""

    def __init__(self, bus: Bus, *, may_purge: bool = True) -> None:
        """``may_purge`` is for the one service that frees and sweeps; all others put and get."""
        self._objects = Objects(bus, may_purge=may_purge)
        self._arriving: WeakSet[Arriving] = WeakSet()

    def arriving(self, may_send: Callable[[int], Awaitable[bool]]) -> Arriving:
        """Bytes that are going to come piece by piece; see there."""
        arriving = Arriving(self._objects, may_send)
        self._arriving.add(arriving)
        return arriving

    @property
    def unnamed_bytes(self) -> int:
        """How much of the store is taken by what is arriving here."""
        return sum(one.unnamed_bytes for one in self._arriving)

    async def put(self, data: bytes | Path, *, name: str, known: Artifact | None = None) -> Artifact:
        """Stores ``data`` under its digest; the same bytes are stored once. Raises ``LogUnavailable``.

        ``known`` spares the hashing to whoever has just hashed the same bytes. A ``free`` that was decided before this call, and does not
        know of it, no longer takes the bytes away. Bytes of which the store has lost a part are stored anew.
        """
        return (await self.store(data, name=name, known=known)).artifact

    async def store(self, data: Data, *, name: str, known: Artifact | None = None) -> Stored:
        """As ``put``, for whoever has to ``reaffirm`` it later. Raises ``LogUnavailable``.

        Bytes that are ``Arriving`` have to be complete. They can be stored again for as long as no record has named their chunks.
        """
        if known is None:
            digest, size = await asyncio.to_thread(_digest_of, data)
            known = Artifact(digest=digest, size_bytes=size, name=name)
        with answering():
            while True:
                if (stored := await self._kept(known, data)) is not None:
                    return stored
                # Somebody else wrote the record in between: look again.

    async def reaffirm(self, stored: Stored, data: Data) -> None:
        """A second ``put`` of what was stored a moment ago; one message, when nothing happened since. Raises ``LogUnavailable``."""
        with answering():
            if await self._objects.written(stored.info, stored.sequence) is None:
                await self.store(data, name=stored.artifact.name, known=stored.artifact)

    async def hold(self, artifact: Artifact) -> Stored:
        """As ``store``, for whoever has not got the bytes: what is there stays, whatever ``free`` was decided before this call.

        Raises ``BlobMissing``, ``BlobIncomplete`` and ``LogUnavailable``.
        """
        with answering():
            while True:
                record = await self._objects.record(artifact.digest)
                if record.there is None:
                    raise BlobMissing(artifact.digest)
                if not await self._objects.is_whole(record.there):
                    raise BlobIncomplete(artifact.digest)
                sequence = await self._objects.written(record.there, record.sequence)
                if sequence is not None:
                    return Stored(artifact=artifact, info=record.there, sequence=sequence)

    async def _kept(self, artifact: Artifact, data: Data) -> Stored | None:
        record = await self._objects.record(artifact.digest)
        there = record.there
        is_whole = there is not None and await self._objects.is_whole(there)
        if there is not None and is_whole:
            info = there  # written anew all the same, so that its sequence moves
        elif isinstance(data, Arriving):
            info = await data.ended()
        else:
            info = await self._objects.sent(artifact.digest, bytes.fromhex(artifact.digest), data)
        # No answer is not a no: the record may have landed, so only chunks that surely nobody names are taken back.
        sequence = await self._objects.written(info, record.sequence)
        unnamed = info if sequence is None else there
        if isinstance(data, Arriving) and sequence is None and not is_whole:
            unnamed = None  # they cannot be sent once more
            data.is_named = False
        if unnamed is not None and not is_whole:
            await self._objects.purge(unnamed)
        return None if sequence is None else Stored(artifact=artifact, info=info, sequence=sequence)

    async def has(self, digest: str) -> bool:
        """Whether bytes with this digest are there. Raises ``LogUnavailable``."""
        with answering():
            return (await self._objects.record(digest)).there is not None

    async def size_of(self, digest: str) -> int:
        """How many bytes these are. Raises ``BlobMissing`` and ``LogUnavailable``."""
        return (await self._info(digest)).size or 0

    async def chunks(self, digest: str) -> AsyncGenerator[bytes, None]:
        """The bytes, piece by piece, as they come.

        Raises ``BlobMissing`` (``BlobIncomplete`` when only a part is there), ``LogUnavailable``, and ``DigestMismatch`` after the last
        piece.
        """
        hashed = hashlib.sha256()
        async with aclosing(self.span(digest)) as pieces:
            async for piece in pieces:
                hashed.update(piece)
                yield piece
        if hashed.hexdigest() != digest:
            raise DigestMismatch(digest, hashed.hexdigest())

    async def span(self, digest: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to ``stop``; of the store, only the chunks that hold them are read.

        They are not checked: a digest is of the whole. (The server checks what it keeps, message by message.) Raises ``BlobMissing``,
        ``BlobIncomplete`` and ``LogUnavailable``.
        """
        info = await self._info(digest)
        size = info.size or 0
        stop = size if stop is None else min(stop, size)
        left = stop - start
        if left <= 0:
            return
        with answering():
            async with aclosing(self._objects.span(info, start, stop)) as pieces:
                async for piece in pieces:
                    left -= len(piece)
                    yield piece
            if left:
                raise BlobIncomplete(digest) if await self.has(digest) else BlobMissing(digest)

    async def get(self, digest: str) -> bytes:
        """All the bytes. Raises ``BlobMissing``, ``LogUnavailable`` and ``DigestMismatch``."""
        async with aclosing(self.chunks(digest)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def delete(self, digest: str) -> None:
        """Frees the bytes, whoever may count on them; nothing happens when they are not there. Raises ``LogUnavailable``."""
        await self.free(digest, _always)

    async def free(self, digest: str, unused: Callable[[], Awaitable[bool]]) -> bool:
        """Frees the bytes unless somebody needs them; returns whether they are gone. Raises ``LogUnavailable``.

        ``unused`` is asked after the record was read. Whoever says in the log that he needs the bytes, and then puts them, keeps them:
        ``unused`` sees what he said, or his put moves the record, and then ``unused`` is asked again.
        """
        with answering():
            while True:
                record = await self._objects.record(digest)
                if record.info is None:
                    return True
                if record.there is None:
                    await self._objects.purge(record.info)  # whoever wrote the record may have died before this step
                    return True
                if not await unused():
                    return False
                if await self._objects.written(objects.gone(digest, record.info.nuid), record.sequence) is not None:
                    await self._objects.purge(record.info)
                    return True

    async def named(self) -> AsyncGenerator[list[Named], None]:
        """Everything the store has a record of, a few hundred at a time. Raises ``LogUnavailable``."""
        with answering():
            async with aclosing(self._objects.records()) as batches:
                async for batch in batches:
                    yield [
                        Named(digest=info.name, sequence=message.sequence, written_at=message.received_at, freed=info.deleted)
                        for message, info in batch
                    ]  # fmt: skip

    async def forget(self, one: Named) -> None:
        """Removes the record of bytes that were freed, unless they came back. Raises ``LogUnavailable``."""
        with answering():
            await self._objects.forgotten(one.digest, one.sequence)

    async def now(self) -> datetime:
        """What time it is in the store, whose clock says how old things in it are. Raises ``LogUnavailable``."""
        with answering():
            return await self._objects.now()

    async def sweep_unnamed(self, *, now: datetime, idle_s: float = ABANDONED_S) -> int:
        """Removes the chunks of puts that died, and returns how many puts that were. Raises ``LogUnavailable``.

        A put in progress has sent something in the last ``idle_s``, or its bytes are arriving here.
        """
        with answering():
            # In this order: a put that ends meanwhile has its record before the records are read.
            unnamed = await self._objects.puts() - {one.nuid for one in self._arriving}
            if not unnamed:
                return 0
            async with aclosing(self._objects.records()) as batches:
                async for batch in batches:
                    unnamed -= {info.nuid for _, info in batch if not info.deleted}
            swept = 0
            for nuid in unnamed:
                last = await self._objects.last_sent(nuid)
                if last is not None and now - last >= timedelta(seconds=idle_s):
                    await self._objects.purge_chunks(nuid)
                    swept += 1
            return swept

    async def _info(self, digest: str) -> ObjectInfo:
        with answering():
            found = (await self._objects.record(digest)).there
        if found is None:
            raise BlobMissing(digest)
        return found


async def _always() -> bool:
    return True


def _digest_of(data: Data) -> tuple[str, int]:
    if isinstance(data, Arriving):
        return data.digest, data.size_bytes
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data)
    hashed, size = hashlib.sha256(), 0
    with data.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            hashed.update(piece)
            size += len(piece)
    return hashed.hexdigest(), size
