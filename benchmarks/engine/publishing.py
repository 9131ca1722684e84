"""Into a stream with nats-py alone."""

import asyncio
import time

import nats
from nats.js.api import PubAck, StorageType, StreamConfig

from benchmarks.load import bodies
from benchmarks.measuring import Measured

_WINDOW = 4000


async def pipelined(url: str, *, count: int) -> Measured:
    """``publish_async``: many on their way, every one acknowledged."""
    nc = await nats.connect(url)
    js = nc.jetstream(publish_async_max_pending=_WINDOW)
    await js.add_stream(_stream("PIPELINED"))
    begun = time.perf_counter()
    waiting: list[asyncio.Future[PubAck]] = []
    for number in range(count):
        waiting.append(await js.publish_async(f"pipelined.{number % 50}", bodies.event(number), wait_stall=60))
        if len(waiting) >= _WINDOW:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)
    took = time.perf_counter() - begun
    await nc.close()
    return {"acked_per_s": count / took}


async def awaited(url: str, *, count: int) -> Measured:
    """``publish``, one by one."""
    nc = await nats.connect(url)
    js = nc.jetstream()
    await js.add_stream(_stream("AWAITED"))
    begun = time.perf_counter()
    for number in range(count):
        await js.publish(f"awaited.{number % 50}", bodies.event(number))
    took = time.perf_counter() - begun
    await nc.close()
    return {"acked_per_s": count / took}


def _stream(name: str) -> StreamConfig:
    return StreamConfig(name=name, subjects=[f"{name.lower()}.>"], storage=StorageType.FILE, allow_direct=True)
