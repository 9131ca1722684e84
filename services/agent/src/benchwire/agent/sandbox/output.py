"""What a command prints: read to its end, kept up to a cap."""

import asyncio
from collections.abc import Callable


def text(data: bytes | bytearray) -> str:
    """Bytes from a tool or a board, as text; what is no UTF-8 is replaced, not refused."""
    return data.decode("utf-8", errors="replace")


async def keep(
    reader: asyncio.StreamReader | None, max_bytes: int, heard: Callable[[int], None] = lambda count: None
) -> bytes:
    """The first ``max_bytes`` of a stream; what comes after is read and dropped, so that the writer never blocks."""
    kept = bytearray()
    await collect(reader, kept, max_bytes, heard)
    return bytes(kept)


async def collect(
    reader: asyncio.StreamReader | None,
    kept: bytearray,
    max_bytes: int,
    heard: Callable[[int], None] = lambda count: None,
) -> None:
    """As ``keep``, into ``kept``, for whoever may not want to wait for the end. ``heard`` is told of every piece's size in bytes."""
    assert reader is not None, "spawn always makes pipes"
    while data := await reader.read(1 << 16):
        heard(len(data))
        kept += data[: max_bytes - len(kept)]
