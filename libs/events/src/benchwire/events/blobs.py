"""The artifact store: bytes by their SHA-256, in a JetStream object store.

An object is a record (subject ``$O.artifacts.M.…``, one per digest) and its chunks (``$O.artifacts.C.<nuid>``). Everything that changes
a record says which one it saw, so that of two who put the same bytes, or of one who puts and one who frees them, exactly one is heard.
"""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import ObjectInfo, ObjectMetaOptions
from nats.js.errors import APIError, NotFoundError

from benchwire.events.bus import ARTIFACTS, Bus
from benchwire.events.event import Artifact
from benchwire.events.follow import held
from benchwire.events.log import LogUnavailable

_READ_BYTES = 1 << 20
_CHUNK_BYTES = 128 * 1024  # what other clients of the object store use
_STREAM = f"OBJ_{ARTIFACTS}"
_WRONG_LAST_SEQUENCE = (10071, 10164)  # nats-server's JSStreamWrongLastSequence…ErrF


class BlobMissing(LookupError):
    """No bytes with that digest are in the store."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the artifact store has no bytes with digest {digest}")


class DigestMismatch(ValueError):
    """Bytes are not what their digest says."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"the bytes have digest {actual}, but {expected} was promised")


class _Record(msgspec.Struct, frozen=True):
    """What the store says of a digest: ``info`` is None when it never heard of it; a deleted one keeps its record."""

    sequence: int
    info: ObjectInfo | None

    @property
    def is_there(self) -> bool:
        return self.info is not None and not self.info.deleted


class Blobs:
    """Puts bytes in, gets them out, whole and checked."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, data: bytes | Path, *, name: str, known: Artifact | None = None) -> Artifact:
        """Stores ``data`` under its digest; the same bytes are stored once. Raises ``LogUnavailable``.

        ``known`` spares the hashing to whoever has just hashed the same bytes. A ``free`` that was decided before this call, and does not
        know of it, no longer takes the bytes away.
        """
        if known is None:
            digest, size = await asyncio.to_thread(_digest_of, data)
            known = Artifact(digest=digest, size_bytes=size, name=name)
        with _unavailable():
            while not await self._kept(known.digest, data):
                pass  # somebody else wrote the record in between: look again
        return known

    async def _kept(self, digest: str, data: bytes | Path) -> bool:
        record = await self._record(digest)
        if record.is_there and record.info is not None:
            return await self._written(record.info, record.sequence)  # anew, so that its sequence moves
        info = await self._sent(digest, data)
        # No answer is not a no: the record may have landed, so only chunks that surely nobody names are taken back.
        written = await self._written(info, record.sequence)
        if not written:
            await self._purge(info)
        return written

    async def _sent(self, digest: str, data: bytes | Path) -> ObjectInfo:
        """Sends the chunks; nobody sees them before the record is written."""
        info = ObjectInfo(
            name=digest, bucket=ARTIFACTS, nuid=self._bus.nc._nuid.next().decode(),  # noqa: SLF001 - nats-py has no public one
            size=0, chunks=0, mtime=datetime.now(UTC).isoformat(), options=ObjectMetaOptions(max_chunk_size=_CHUNK_BYTES),
        )  # fmt: skip
        source: BinaryIO = io.BytesIO(data) if isinstance(data, bytes) else await asyncio.to_thread(data.open, "rb")
        size, chunks = 0, 0
        try:
            while piece := await asyncio.to_thread(source.read, _CHUNK_BYTES):
                await self._bus.js.publish(_chunks_of(info), piece)
                size, chunks = size + len(piece), chunks + 1
        except BaseException:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await self._purge(info)
            raise
        finally:
            source.close()
        info.size, info.chunks = size, chunks
        info.digest = "SHA-256=" + base64.urlsafe_b64encode(bytes.fromhex(digest)).decode()
        return info

    async def has(self, digest: str) -> bool:
        """Whether bytes with this digest are there. Raises ``LogUnavailable``."""
        with _unavailable():
            return (await self._record(digest)).is_there

    async def size_of(self, digest: str) -> int:
        """How many bytes these are. Raises ``BlobMissing`` and ``LogUnavailable``."""
        return (await self._info(digest)).size or 0

    async def chunks(self, digest: str) -> AsyncGenerator[bytes, None]:
        """The bytes, piece by piece, as they come. Raises ``BlobMissing``, ``LogUnavailable``, and ``DigestMismatch`` after the last piece."""
        info = await self._info(digest)
        hashed = hashlib.sha256()
        left = info.size or 0
        if left:
            # The store's own get() collects everything in memory and stalls on flow control; a chunk is just a message.
            with _unavailable():
                async with aclosing(held(self._bus, [_chunks_of(info)], stream=_STREAM, batch=16)) as batches:
                    async for batch in batches:
                        for message in batch.messages:
                            hashed.update(message.body)
                            left -= len(message.body)
                            yield message.body
                        if left <= 0:
                            break
        if hashed.hexdigest() != digest:
            if not await self.has(digest):
                raise BlobMissing(digest)  # freed while it was read
            raise DigestMismatch(digest, hashed.hexdigest())

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
        with _unavailable():
            while True:
                record = await self._record(digest)
                if record.info is None:
                    return True
                if not record.is_there:
                    await self._purge(record.info)  # whoever wrote the record may have died before this step
                    return True
                if not await unused():
                    return False
                gone = ObjectInfo(
                    name=digest, bucket=ARTIFACTS, nuid=record.info.nuid, size=0, chunks=0, deleted=True,
                    mtime=datetime.now(UTC).isoformat(),
                )  # fmt: skip
                if await self._written(gone, record.sequence):
                    await self._purge(gone)
                    return True

    async def _info(self, digest: str) -> ObjectInfo:
        with _unavailable():
            record = await self._record(digest)
        if record.info is None or not record.is_there:
            raise BlobMissing(digest)
        return record.info

    async def _record(self, digest: str) -> _Record:
        try:
            message = await self._bus.js.get_last_msg(_STREAM, _record_of(digest))
        except NotFoundError:
            return _Record(0, None)
        return _Record(int(message.seq or 0), ObjectInfo.from_response(json.loads(message.data or b"{}")))

    async def _written(self, info: ObjectInfo, after: int) -> bool:
        """Whether the record was written; it is not when another came after ``after``."""
        headers = {"Nats-Rollup": "sub", "Nats-Expected-Last-Subject-Sequence": str(after)}
        try:
            await self._bus.js.publish(_record_of(info.name), json.dumps(info.as_dict()).encode(), headers=headers)
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                return False
            raise
        return True

    async def _purge(self, info: ObjectInfo) -> None:
        await self._bus.js.purge_stream(_STREAM, subject=_chunks_of(info))


async def _always() -> bool:
    return True


def _record_of(digest: str) -> str:
    return f"$O.{ARTIFACTS}.M.{base64.urlsafe_b64encode(digest.encode()).decode()}"


def _chunks_of(info: ObjectInfo) -> str:
    return f"$O.{ARTIFACTS}.C.{info.nuid}"


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise LogUnavailable("the artifact store does not answer") from error


def _digest_of(data: bytes | Path) -> tuple[str, int]:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest(), len(data)
    hashed, size = hashlib.sha256(), 0
    with data.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            hashed.update(piece)
            size += len(piece)
    return hashed.hexdigest(), size
