"""Clients whose connection breaks in the middle of a call: of its head, of its body, or before the answer."""

import asyncio
import contextlib
import random
from urllib.parse import urlsplit

_AT_ONCE = 8
_BOUNDARY = "faults"


async def cut_calls(url: str, chance: random.Random, *, for_s: float) -> int:
    """Breaks off calls for so long, several at a time; returns how many."""
    count = 0
    loop = asyncio.get_running_loop()
    end = loop.time() + for_s
    while loop.time() < end:
        calls = [_call(url, chance) for _ in range(_AT_ONCE)]
        await asyncio.gather(*(_cut(url, call, chance.randrange(1, len(call) + 1)) for call in calls))
        count += _AT_ONCE
        await asyncio.sleep(0.05)
    return count


def _call(url: str, chance: random.Random) -> bytes:
    """An upload of a document, or of firmware for a board that is not there."""
    part = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="cut.bin"\r\n\r\n'.encode()
    body = part + chance.randbytes(chance.choice((100, 300_000))) + f"\r\n--{_BOUNDARY}--\r\n".encode()
    path = chance.choice(("/documents", "/api/flash/start?device_id=nobody"))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}\r\n\r\n"
    )
    return head.encode() + body


async def _cut(url: str, call: bytes, after: int) -> None:
    place = urlsplit(url)
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2.0):
            _, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(call[:after])
            await writer.drain()
        writer.transport.abort()
