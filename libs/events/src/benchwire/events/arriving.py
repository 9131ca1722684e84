"""Bytes that go into the artifact store while they come in, before anybody knows how many they are or what their digest is.

They are gathered in blocks, and each block is sent, and hashed, while the next one comes. Nobody sees chunks before a record names them; those
that none has named when whoever sends them is done are taken back.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable

from nats.errors import Error as NatsError
from nats.js.api import ObjectInfo

from benchwire.events.chunks import BLOCK_BYTES, Sending
from benchwire.events.log import LogUnavailable
from benchwire.events.objects import Objects, answering

_TAKE_BACK_S = 2.0
HELD_BYTES = 3 * BLOCK_BYTES  # the block that is gathered, the one that is hashed, and how that one stands on the wire


class BytesFreed(LogUnavailable):
    """Somebody freed the bytes after they were stored, and they cannot be stored once more: they came once."""

    def __init__(self) -> None:
        super().__init__("the same bytes were deleted by somebody at this moment; send them again")


class Arriving:
    """Bytes that come by ``write`` until they are ``complete``, and are stored by ``Blobs.store``; ``remove`` ends it in any case.

    ``may_send`` is asked before so many bytes go into the store. Once it says no, what comes is hashed and no more: bytes that are in the store
    already need no room. ``is_named`` is whether a record may name the chunks.
    """

    def __init__(self, objects: Objects, may_send: Callable[[int], Awaitable[bool]]) -> None:
        self._objects = objects
        self._may_send = may_send
        self._hashed = hashlib.sha256()
        self._gathered = bytearray()
        self._under_way: asyncio.Task[None] | None = None
        self._sending: Sending | None = None
        self._is_sent = True
        self._sent_bytes = 0
        self._ended: ObjectInfo | None = None
        self.size_bytes = 0
        self.is_named = False

    @property
    def nuid(self) -> str | None:
        """Of the chunks, when there are some."""
        return None if self._sending is None else self._sending.info.nuid

    @property
    def unnamed_bytes(self) -> int:
        """How much of the store they take that no record accounts for."""
        return 0 if self._sending is None or self.is_named else self._sent_bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes that were hashed: of all, once they are complete."""
        return self._hashed.hexdigest()

    @property
    def data(self) -> "bytes | Arriving":
        """What there is to store: the bytes themselves while they are few, because then nothing was sent yet."""
        return bytes(self._gathered) if self.size_bytes <= BLOCK_BYTES else self

    async def write(self, piece: bytes) -> None:
        """The next bytes. Raises ``LogUnavailable``."""
        self.size_bytes += len(piece)
        left = memoryview(piece)
        # The last block waits for the digest: few bytes are never sent for nothing, and a put has been heard of a moment before it is named.
        while len(self._gathered) + len(left) > BLOCK_BYTES:
            fits = BLOCK_BYTES - len(self._gathered)
            self._gathered += left[:fits]
            left = left[fits:]
            await self._pass_on()
        self._gathered += left

    async def complete(self) -> None:
        """Nothing more comes. Raises ``LogUnavailable``."""
        await self._settled()
        await asyncio.to_thread(self._hashed.update, self._gathered)

    async def ended(self) -> ObjectInfo:
        """Sends what is left; what a record has to say of the chunks. Raises ``LogUnavailable``, and what ``Objects`` raises."""
        if self._sending is None:
            raise LogUnavailable(
                "while these bytes came there was no room for them beside the documents and uploads of that time; send them again"
            )
        if self.is_named:
            raise BytesFreed
        if self._ended is None:
            await self._sending.add(self._gathered)
            await self._objects.check(self._sending.info)
            self._ended = self._sending.of(self.digest, self._hashed.digest())
        self.is_named = True
        return self._ended

    async def remove(self) -> None:
        """Takes back what was sent, unless a record may name it."""
        if self._under_way is not None:  # or chunks would come in behind the purge
            await asyncio.gather(asyncio.shield(self._under_way), return_exceptions=True)
        if not self.is_named:
            await self._take_back()

    async def _pass_on(self) -> None:
        block, self._gathered = self._gathered, bytearray()
        await self._settled()
        self._under_way = asyncio.create_task(self._take(block))

    async def _settled(self) -> None:
        if self._under_way is not None:
            await asyncio.shield(self._under_way)  # it ends by itself, within the time of an acknowledgement

    async def _take(self, block: bytearray) -> None:
        hashing = asyncio.create_task(asyncio.to_thread(self._hashed.update, block))
        try:
            with answering():
                await self._send(block)
        finally:
            await hashing

    async def _send(self, block: bytearray) -> None:
        if self._is_sent and not await self._may_send(len(block)):
            self._is_sent = False
            await self._take_back()
        if self._is_sent:
            self._sending = self._sending or self._objects.sending()
            self._sent_bytes += len(block)  # before anybody else asks for room
            await self._sending.add(block)

    async def _take_back(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            # Told once: a server that is away may hear of it later, and otherwise whoever sweeps does it.
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(_TAKE_BACK_S):
                    await self._objects.purge(sending.info)
