"""The bucket as one projection uses it: a few slots, each a record and its bytes.

A slot is used again and again. The first piece of a new copy takes the old bytes away, and every piece says behind which one it comes, so a
writer that was frozen and overtaken is refused by the server, and nothing is left of one that died. The record comes last.
"""

import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import msgspec
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from benchwire.events import clock
from benchwire.events.bus import Bus
from benchwire.events.follow import held
from benchwire.events.snapshots.record import (
    BUCKET,
    SLOTS,
    Snapshot,
    chunks_of,
    empty,
    record_of,
    subjects_of,
    turn_of,
)

PIECE_BYTES = 256 * 1024
_ACK_S = 10.0
_PIECES_AHEAD = 16
_FORGOTTEN_AFTER = timedelta(days=30)  # copies for code of another version, which may be started again
_FREE = b""


class Broken(Exception):
    """The bytes of a copy are not those that its record names."""


class Overtaken(Exception):
    """Somebody else writes to the same slot."""


class Turn(msgspec.Struct, frozen=True):
    """The right to make the next copy: where it stands."""

    sequence: int


class Shelf:
    """The copies of one projection in one version of the code. Everything raises what NATS raises."""

    def __init__(self, bus: Bus, projection: str, version: int) -> None:
        self._bus = bus
        self._projection = projection
        self._version = version

    async def slots(self) -> list[Snapshot]:
        """What stands in each slot; one in which nothing stands is ``deleted``."""
        return [await self._slot(number) for number in range(SLOTS)]

    async def _slot(self, number: int) -> Snapshot:
        nothing = empty(self._projection, self._version, number)
        message = await self._last(record_of(nothing))
        try:
            return nothing if message is None else msgspec.json.decode(message.data or b"", type=Snapshot)
        except msgspec.MsgspecError:
            return nothing

    async def take_turn(self, *, every_s: float) -> Turn | None:
        """The right to make a copy now; None while somebody else makes one, or when the last is younger than ``every_s``."""
        subject = turn_of(self._projection, self._version)
        last = await self._last(subject)
        if last is not None and last.data != _FREE and last.time is not None:
            age = await clock.of_stream(self._bus, BUCKET) - last.time.astimezone(UTC)
            if age < timedelta(seconds=every_s):
                return None
        try:
            return Turn(await self._rolled(subject, self._bus.name.encode(), 0 if last is None else int(last.seq or 0)))
        except Overtaken:
            return None

    async def give_back(self, turn: Turn) -> None:
        """Lets the next one try at once: this copy came to nothing."""
        await self._rolled(turn_of(self._projection, self._version), _FREE, turn.sequence)

    async def put(self, into: Snapshot, pieces: AsyncIterable[bytes]) -> Snapshot:
        """Puts a copy into its slot, and returns what its record says. Raises ``Overtaken``.

        ``into`` has what is known of it but its ``size``, ``chunks`` and ``digest``.
        """
        before = await self._last(record_of(into))
        last = await self._last(chunks_of(into))
        hashed, size, chunks, sequence = hashlib.sha256(), 0, 0, 0 if last is None else int(last.seq or 0)
        async for piece in pieces:
            hashed.update(piece)
            size, chunks = size + len(piece), chunks + 1
            headers = {"Nats-Rollup": "sub"} if chunks == 1 else {}
            sequence = await self._sent(chunks_of(into), piece, sequence, headers)
        digest = "SHA-256=" + base64.urlsafe_b64encode(hashed.digest()).decode()
        made = msgspec.structs.replace(
            into, size=size, chunks=chunks, digest=digest, deleted=False, mtime=datetime.now(UTC).isoformat()
        )
        await self._rolled(record_of(made), msgspec.json.encode(made), 0 if before is None else int(before.seq or 0))
        return made

    async def pieces(self, snapshot: Snapshot) -> AsyncGenerator[bytes, None]:
        """The compressed bytes, a few pieces in memory. Raises ``Broken`` after the last, when they are not those of the record."""
        hashed, chunks = hashlib.sha256(), 0
        parts = held(self._bus, [chunks_of(snapshot)], stream=BUCKET, batch=_PIECES_AHEAD)
        async with aclosing(parts):
            async for part in parts:
                for message in part.messages:
                    hashed.update(message.body)
                    chunks += 1
                    yield message.body
        if "SHA-256=" + base64.urlsafe_b64encode(hashed.digest()).decode() != snapshot.digest:
            raise Broken(f"its digest is another one; {chunks} of {snapshot.chunks} pieces are there")

    async def empty(self, snapshot: Snapshot) -> None:
        """Takes a copy away: first its record, so that nobody begins to read it."""
        nothing = msgspec.structs.replace(
            snapshot, deleted=True, size=0, chunks=0, mtime=datetime.now(UTC).isoformat(), digest=""
        )
        for subject, body in ((record_of(snapshot), msgspec.json.encode(nothing)), (chunks_of(snapshot), b"")):
            if (last := await self._last(subject)) is not None:
                await self._rolled(subject, body, int(last.seq or 0))

    async def forget_old(self, forgotten: int) -> None:
        """Takes copies away that code of other versions made long ago, or that hold what the log was made to forget at ``forgotten``."""
        now = await clock.of_stream(self._bus, BUCKET)
        records, _ = subjects_of(self._projection)
        for told, at in await standing(self._bus, records):
            is_stale = now - at > _FORGOTTEN_AFTER or told.sequence < forgotten
            if told.version != self._version and not told.deleted and is_stale:
                await self.empty(told)

    async def _last(self, subject: str) -> RawStreamMsg | None:
        try:
            return await self._bus.js.get_last_msg(BUCKET, subject)
        except NotFoundError:
            return None

    async def _rolled(self, subject: str, body: bytes, after: int) -> int:
        return await self._sent(subject, body, after, {"Nats-Rollup": "sub"})

    async def _sent(self, subject: str, body: bytes, after: int, headers: dict[str, str]) -> int:
        guard = {"Nats-Expected-Last-Subject-Sequence": str(after)}
        try:
            ack = await self._bus.js.publish(subject, body, headers=headers | guard, timeout=_ACK_S)
        except APIError as error:
            if error.err_code in (10071, 10164):  # nats-server's JSStreamWrongLastSequence…ErrF
                raise Overtaken(f"somebody else writes to {subject}") from error
            raise
        return int(ack.seq)


async def standing(bus: Bus, filter_: str) -> list[tuple[Snapshot, datetime]]:
    """The records on ``filter_``, and when each was written; what cannot be read is passed over. Raises what NATS raises."""
    info = await bus.js.stream_info(BUCKET, subjects_filter=filter_)
    found = []
    for subject in info.state.subjects or {}:
        message = await bus.js.get_last_msg(BUCKET, subject)
        try:
            told = msgspec.json.decode(message.data or b"", type=Snapshot)
        except msgspec.MsgspecError:
            continue
        if message.time is not None:
            found.append((told, message.time.astimezone(UTC)))
    return found
