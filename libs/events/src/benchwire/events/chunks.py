"""The chunks of a put, on their way into the artifact store: nobody sees them before a record names them."""

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from nats.js.api import ObjectInfo, ObjectMetaOptions

from benchwire.events.acks import Ack
from benchwire.events.bus import ARTIFACTS, Bus
from benchwire.events.outgoing import Outgoing

CHUNK_BYTES = 128 * 1024  # what other clients of the object store use
BLOCK_BYTES = 8 * CHUNK_BYTES  # chunks on their way at once: their acks are waited for together
_ACK_TIMEOUT_S = 5.0


class GivenUp(OSError):
    """Nobody can say whether the object is there, or will be."""


class Sending:
    """One put: ``info`` says what of it is there."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._begun = time.monotonic()
        self._last = 0  # the sequence of the last chunk
        self.info = ObjectInfo(
            name="", bucket=ARTIFACTS, nuid=bus.nc._nuid.next().decode(),  # noqa: SLF001 - nats-py has no public one
            size=0, chunks=0, mtime=datetime.now(UTC).isoformat(), options=ObjectMetaOptions(max_chunk_size=CHUNK_BYTES),
        )  # fmt: skip

    @property
    def took_s(self) -> float:
        """How long this has been going on."""
        return time.monotonic() - self._begun

    async def add(self, block: bytes | bytearray) -> None:
        """Sends ``block``: whole chunks, unless it is the last. Raises ``GivenUp``, and what NATS raises."""
        view = memoryview(block)
        pieces = [view[at : at + CHUNK_BYTES] for at in range(0, len(view), CHUNK_BYTES)]
        subject = chunks_of(self.info)
        messages = [Outgoing(subject, one) for one in pieces]
        answers = await self._bus.acks.publish_all(messages, timeout_s=_ACK_TIMEOUT_S)
        sequences = [self._last, *(_sequence(one) for one in answers)]
        if any(later <= earlier for earlier, later in pairwise(sequences)):
            raise GivenUp("the artifact store took pieces out of order")
        self._last = sequences[-1]
        self.info.size, self.info.chunks = (self.info.size or 0) + len(view), (self.info.chunks or 0) + len(pieces)

    def of(self, name: str, digest: bytes) -> ObjectInfo:
        """What a record under ``name`` has to say of what was sent."""
        self.info.name, self.info.digest = name, "SHA-256=" + base64.urlsafe_b64encode(digest).decode()
        return self.info


def _sequence(answer: Ack | Exception) -> int:
    if isinstance(answer, Exception):
        raise answer
    return answer.seq


def chunks_of(info: ObjectInfo) -> str:
    """The subject of the chunks."""
    return f"$O.{ARTIFACTS}.C.{info.nuid}"


async def blocks_of(data: bytes | Path) -> AsyncGenerator[bytes, None]:
    """``data`` in blocks."""
    if isinstance(data, bytes):
        for start in range(0, len(data), BLOCK_BYTES):
            yield data[start : start + BLOCK_BYTES]
        return
    source: BinaryIO = await asyncio.to_thread(data.open, "rb")
    try:
        while block := await asyncio.to_thread(source.read, BLOCK_BYTES):
            yield block
    finally:
        source.close()
