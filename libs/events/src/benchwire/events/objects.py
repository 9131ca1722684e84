"""The objects of a JetStream object store, as records and chunks; what the bytes mean is for ``blobs`` to say.

A record (subject ``$O.<bucket>.M.…``, one per name) names the chunks (``$O.<bucket>.C.<nuid>``) and how many there are. Other clients of
the object store can read what is written here.
"""

import base64
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import ObjectInfo, RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from benchwire.events import clock
from benchwire.events.bus import ARTIFACTS, Bus
from benchwire.events.chunks import GivenUp, Sending, blocks_of, chunks_of
from benchwire.events.follow import Message, held, pending_after
from benchwire.events.log import LogUnavailable

ABANDONED_S = 900.0  # chunks of a put that sent nothing for so long belong to nobody
ALL_RECORDS = f"$O.{ARTIFACTS}.M.>"
ALL_CHUNKS = f"$O.{ARTIFACTS}.C.>"
_FEW = 2  # as many chunks are asked for one by one; for more, a consumer is worth its three requests
_NEAR = 16  # chunks that are passed over rather than looked for
_STREAM = f"OBJ_{ARTIFACTS}"
_INFO = f"$JS.API.STREAM.INFO.{_STREAM}"
_INFO_TIMEOUT_S = 10.0
_WRONG_LAST_SEQUENCE = (10071, 10164)  # nats-server's JSStreamWrongLastSequence…ErrF


class Record(msgspec.Struct, frozen=True):
    """What the store says of a name: ``info`` is None when it never heard of it; a deleted one keeps its record."""

    sequence: int
    info: ObjectInfo | None

    @property
    def there(self) -> ObjectInfo | None:
        """The object, when it is there."""
        return self.info if self.info is not None and not self.info.deleted else None


class Brief(msgspec.Struct):
    """The part of a record that matters where there are many: its name, the put whose chunks it names, and whether they were freed."""

    name: str
    nuid: str
    deleted: bool = False


_brief = msgspec.json.Decoder(Brief)


class _Counts(msgspec.Struct):
    subjects: dict[str, int] | None = None


class _Subjects(msgspec.Struct):
    """The part of the server's answer about a stream that lists subjects; ``total`` counts them over all pages."""

    state: _Counts
    total: int = 0


class Objects:
    """Records and chunks, through one connection. Everything raises what NATS raises."""

    def __init__(self, bus: Bus, *, may_purge: bool = True) -> None:
        """Without ``may_purge`` chunks that are removed leave an empty one behind, for whoever sweeps: a purge could as well empty the store."""
        self._bus = bus
        self._may_purge = may_purge

    async def now(self) -> datetime:
        """What time it is where the messages get theirs."""
        return await clock.of_stream(self._bus, _STREAM)

    async def record(self, name: str) -> Record:
        """What the store says of ``name``."""
        try:
            message = await self._bus.js.get_last_msg(_STREAM, record_of(name))
        except NotFoundError:
            return Record(0, None)
        return Record(int(message.seq or 0), ObjectInfo.from_response(json.loads(message.data or b"{}")))

    async def written(self, info: ObjectInfo, after: int) -> int | None:
        """The sequence of the record; None when it was not written, because another came after ``after``. Raises ``GivenUp``."""
        headers = {"Nats-Rollup": "sub", "Nats-Expected-Last-Subject-Sequence": str(after)}
        try:
            ack = await self._bus.js.publish(record_of(info.name), json.dumps(info.as_dict()).encode(), headers=headers)
        except APIError as error:
            if error.err_code not in _WRONG_LAST_SEQUENCE:
                raise
            if _last_told(error, after) < after:
                # A server that was cut off from the others refuses what it has not heard of; another may have taken the record.
                raise GivenUp(
                    "the server that answers for the artifact store does not know yet what it holds"
                ) from error
            return None
        return int(ack.seq)

    async def forgotten(self, name: str, upto: int) -> None:
        """Removes the records of ``name`` up to the sequence ``upto``."""
        await self._bus.js.purge_stream(_STREAM, seq=upto + 1, subject=record_of(name))

    async def records(self) -> AsyncGenerator[list[tuple[Message, Brief]], None]:
        """Every record, a few hundred at a time."""
        async with aclosing(held(self._bus, [ALL_RECORDS], stream=_STREAM)) as batches:
            async for batch in batches:
                yield [(one, _brief.decode(one.body)) for one in batch.messages]

    def sending(self) -> Sending:
        """A put that begins; to be taken back by ``purge`` unless it is named in the end."""
        return Sending(self._bus)

    async def sent(self, name: str, digest: bytes, data: bytes | Path) -> ObjectInfo:
        """Sends the chunks of ``data``. What was sent is taken back when it fails."""
        sending = self.sending()
        try:
            async with aclosing(blocks_of(data)) as blocks:
                async for block in blocks:
                    await sending.add(block)
            if sending.took_s > ABANDONED_S / 2:
                await self.check(sending.info)
        except BaseException:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await self.purge(sending.info)
            raise
        return sending.of(name, digest)

    async def check(self, info: ObjectInfo) -> None:
        """Whoever was frozen, or waited, for long may have been taken for dead, and his chunks for rubbish: raises ``GivenUp`` then."""
        if not await self.is_whole(info):
            raise GivenUp("storing took so long that it was given up")

    async def purge(self, info: ObjectInfo) -> None:
        """Removes the chunks that ``info`` names."""
        await self.purge_chunks(info.nuid)

    async def purge_chunks(self, nuid: str) -> None:
        """Removes the chunks of one put."""
        subject = f"$O.{ARTIFACTS}.C.{nuid}"
        if self._may_purge:
            await self._bus.js.purge_stream(_STREAM, subject=subject)
        else:
            await self._bus.js.publish(subject, b"", headers={"Nats-Rollup": "sub"})

    async def puts(self) -> set[str]:
        """The puts of which chunks are there, each by its nuid."""
        return {subject.rpartition(".")[2] for subject in await self._subjects(ALL_CHUNKS)}

    async def last_sent(self, nuid: str) -> datetime | None:
        """When the newest chunk of a put came in; None when none is there."""
        try:
            return (await self._bus.js.get_last_msg(_STREAM, f"$O.{ARTIFACTS}.C.{nuid}")).time
        except NotFoundError:
            return None

    async def is_whole(self, info: ObjectInfo) -> bool:
        """Whether as many chunks are there as ``info`` says."""
        return (await self._subjects(chunks_of(info))).get(chunks_of(info), 0) == (info.chunks or 0)

    async def _subjects(self, filter_: str) -> dict[str, int]:
        """How many messages are on each subject of ``filter_``."""
        found: dict[str, int] = {}
        while True:
            asked = {"subjects_filter": filter_, "offset": len(found)}  # nats-py's stream_info() takes no offset
            reply = await self._bus.nc.request(_INFO, json.dumps(asked).encode(), timeout=_INFO_TIMEOUT_S)
            page = msgspec.json.decode(reply.data, type=_Subjects)
            some = page.state.subjects or {}
            found |= some
            if not some or len(found) >= page.total:
                return found

    async def span(self, info: ObjectInfo, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` up to ``stop``, as far as they are there; only the chunks that hold them are read."""
        async with aclosing(self._chunks_from(info, start, stop)) as chunks:
            async for at, chunk in chunks:
                part = chunk[max(0, start - at) : max(0, stop - at)]
                if part:
                    yield part
                if at + len(chunk) >= stop:
                    return

    async def _chunks_from(self, info: ObjectInfo, start: int, stop: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """Chunks with the place of their first byte, beginning with, or before, the one that holds ``start``."""
        each = _chunk_bytes_of(info)
        after, index = await self._place(info, start // each if each else 0)
        needed = -(-stop // each) - index if each else info.chunks or 0
        at = index * each
        pieces = self._few(info, after, needed) if needed <= _FEW else self._many(info, after, needed)
        async with aclosing(pieces):
            async for piece in pieces:
                yield at, piece
                at += len(piece)

    async def _few(self, info: ObjectInfo, after: int, count: int) -> AsyncGenerator[bytes, None]:
        for _ in range(count):
            message = await self._next(info, after)
            if message is None:
                return
            yield message.data or b""
            after = int(message.seq or 0)

    async def _many(self, info: ObjectInfo, after: int, count: int) -> AsyncGenerator[bytes, None]:
        # The store's own get() collects everything in memory and stalls on flow control; a chunk is just a message.
        filters, batch = [chunks_of(info)], min(count, 16)
        async with aclosing(held(self._bus, filters, after=after, stream=_STREAM, batch=batch)) as batches:
            async for one in batches:
                for message in one.messages:
                    yield message.body

    async def _place(self, info: ObjectInfo, index: int) -> tuple[int, int]:
        """After which sequence of the stream chunk ``index``, or one a little before it, is the next; and which one that is.

        A chunk's sequence is that of the first chunk plus its index, if nobody else wrote at that time, and higher otherwise. How many
        chunks there are after a guess tells how far it was off.
        """
        first = await self._next(info, 0) if index else None
        if first is None:
            return 0, 0
        after, there = int(first.seq or 0) - 1, 0
        while index > there:
            guess = after + (index - there)
            seen = (info.chunks or 0) - await pending_after(self._bus, chunks_of(info), guess, stream=_STREAM)
            if not there < seen <= index:  # chunks are missing: read from what is known, and find that out
                break
            after, there = guess, seen
            if index - there <= _NEAR:
                break
        return after, there

    async def _next(self, info: ObjectInfo, after: int) -> RawStreamMsg | None:
        try:
            return await self._bus.js.get_msg(_STREAM, seq=after + 1, subject=chunks_of(info), next=True)
        except NotFoundError:
            return None


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Says ``LogUnavailable`` where NATS says that it cannot."""
    try:
        yield
    except (NatsError, OSError, TimeoutError) as error:
        raise LogUnavailable("the artifact store does not answer") from error


def record_of(name: str) -> str:
    """The subject of a record."""
    return f"$O.{ARTIFACTS}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def gone(name: str, nuid: str) -> ObjectInfo:
    """The record that says that ``name`` is there no more."""
    return ObjectInfo(
        name=name, bucket=ARTIFACTS, nuid=nuid, size=0, chunks=0, deleted=True, mtime=datetime.now(UTC).isoformat()
    )  # fmt: skip


def _last_told(error: APIError, default: int) -> int:
    """The sequence of the last record, by the server's "wrong last sequence: 7"."""
    told = (error.description or "").rpartition(": ")[2]
    return int(told) if told.isdecimal() else default


def _chunk_bytes_of(info: ObjectInfo) -> int:
    """How many bytes each chunk but the last has; 0 when they were cut in another way, and only reading from the start helps."""
    each = (info.options.max_chunk_size if info.options else None) or 0
    return each if each and -(-(info.size or 0) // each) == info.chunks else 0
