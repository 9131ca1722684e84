"""GET, again and again over one connection, with no more than the standard library: a client of many features costs more than a page."""

import asyncio
import http.client
import statistics
import time

from benchmarks.measuring import Measured

_CALLS = 15


async def read(port: int, *, path: str, least_bytes: int) -> Measured:
    """The median of some calls, from the request to the last byte. Raises ``RuntimeError`` when an answer is no success, or too short."""
    return await asyncio.to_thread(_read, port, path, least_bytes)


def _read(port: int, path: str, least_bytes: int) -> Measured:
    took_ms: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    for _ in range(_CALLS):
        begun = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        took_ms.append(1000 * (time.perf_counter() - begun))
        if answer.status != 200 or len(body) < least_bytes:
            raise RuntimeError(f"{path} is answered with {answer.status}, {body[:200].decode(errors='replace')}")
    connection.close()
    return {"ms": statistics.median(took_ms), "bytes": len(body)}
