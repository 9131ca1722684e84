"""What the document store costs at size: many small documents, and one large one.

    .venv/bin/python -m benchmarks.documents_at_size --documents 100000 --tags 5 --mib 1024

Starts a nats-server and a document store of its own in a temporary directory, loads documents through ``POST /documents/bulk``, and prints
what loading, listing, tags, filters and search take from outside (the median of several calls, over HTTP), and how much memory the service
has. Then one file of ``--mib`` goes in and comes out again, whole and by a range near its end.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil

from benchmarks.lab import PATIENCE_S, call
from benchwire.documents.testing import Process, running
from benchwire.events import nats_server

WORDS = [
    "reset", "clock", "timer", "interrupt", "vector", "stack", "heap", "queue", "sensor", "voltage", "flash", "erase",
    "verify", "serial", "baud", "frame", "buffer", "driver", "board", "pin", "pull", "edge", "level", "mutex", "task",
    "node", "boot", "panic", "watchdog", "sleep", "wake", "radio", "packet", "crc", "dma", "adc", "dac", "pwm", "spi",
    "bus", "gpio", "uart", "trace",
]  # fmt: skip
TAG_NAMES = 1000
MIB = 1 << 20


def line(number: int, tags: int, chance: random.Random) -> bytes:
    """A document of a few hundred words."""
    text = f"run {number}\n" + " ".join(chance.choices(WORDS, k=120))
    own = chance.sample(range(TAG_NAMES), tags - 1) if tags else []
    return (
        json.dumps(
            {
                "filename": f"{chance.choice(WORDS)}-{chance.choice(WORDS)}-{number:06}.txt",
                "text": text,
                "tags": [f"half-{number % 2}", *(f"tag-{one}" for one in own)][:tags],
            }
        ).encode()
        + b"\n"
    )


async def load(http: httpx.AsyncClient, documents: int, tags: int) -> float:
    """Loads, and returns how many seconds that took."""
    chance = random.Random(7)  # noqa: S311 - the same documents each time

    async def lines() -> AsyncIterator[bytes]:
        for number in range(documents):
            yield line(number, tags, chance)

    begun = time.perf_counter()
    async with http.stream("POST", "/documents/bulk", content=lines()) as answer:
        statuses = [json.loads(one)["status_code"] async for one in answer.aiter_lines()]
    assert statuses == [201] * documents, statuses[:10]
    return time.perf_counter() - begun


def rss_mib(service: Process) -> float:
    """The memory of the service."""
    return psutil.Process(service.process.pid).memory_info().rss / MIB


async def until_indexed(http: httpx.AsyncClient, documents: int) -> float:
    """Waits for the full-text index, and returns how many seconds that took."""
    begun = time.perf_counter()
    while True:
        answer = await http.get("/documents", params={"q": "run", "limit": "1"})
        if int(answer.headers["x-total-count"]) >= documents:
            return time.perf_counter() - begun
        await asyncio.sleep(0.5)


async def large(http: httpx.AsyncClient, service: Process, mib: int) -> None:
    """One file in and out."""
    piece = os.urandom(MIB)
    seen = [rss_mib(service)]

    async def watch() -> None:
        while True:
            seen.append(rss_mib(service))
            await asyncio.sleep(0.02)

    async def body() -> AsyncIterator[bytes]:
        yield b'--abc\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
        for number in range(mib):
            yield number.to_bytes(8, "big") + piece[8:]
        yield b"\r\n--abc--\r\n"

    watching = asyncio.create_task(watch())
    begun = time.perf_counter()
    headers = {"content-type": "multipart/form-data; boundary=abc"}
    made = (await http.post("/documents", content=body(), headers=headers)).json()
    print(f"{mib} MiB in: {time.perf_counter() - begun:.1f} s")
    for at in (0, mib * MIB // 2, mib * MIB - 1000):
        begun = time.perf_counter()
        answer = await http.get(f"/documents/{made['id']}", headers={"range": f"bytes={at}-{at + 999}"})
        assert len(answer.content) == 1000
        print(f"1000 bytes from byte {at}, from the store: {1000 * (time.perf_counter() - begun):.1f} ms")
    for what in ("from the store", "from the cache"):
        begun, size = time.perf_counter(), 0
        async with http.stream("GET", f"/documents/{made['id']}") as answer:
            async for part in answer.aiter_raw(MIB):
                size += len(part)
        assert size == mib * MIB
        print(f"{mib} MiB out, {what}: {time.perf_counter() - begun:.1f} s")
    watching.cancel()
    print(f"memory before {seen[0]:.0f} MiB, peak {max(seen):.0f} MiB")


async def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--tags", type=int, default=5)
    parser.add_argument("--mib", type=int, default=1024)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bw-size-") as directory:
        data = Path(directory)
        async with (
            nats_server.running(data / "nats") as server,
            running(server.url, data / "data") as service,
            httpx.AsyncClient(base_url=service.url, timeout=PATIENCE_S, trust_env=False) as http,
        ):
            print(f"memory at the start {rss_mib(service):.0f} MiB")
            took = await load(http, asked.documents, asked.tags)
            print(f"{asked.documents} documents in: {took:.0f} s, {asked.documents / took:.0f} per second")
            print(f"memory after loading {rss_mib(service):.0f} MiB")
            print(f"searchable {await until_indexed(http, asked.documents):.0f} s after that")
            await call(http, "GET /documents (100)", "/documents")
            await call(http, "GET /documents?offset=", "/documents", offset=str(asked.documents - 200))
            await call(http, "GET /documents?cursor=", "/documents", cursor=str(asked.documents // 2))
            await call(http, "GET /documents?tags= one of many", "/documents", tags="tag-7")
            await call(http, "GET /documents?tags= half of all", "/documents", tags="half-1")
            await call(http, "GET /documents?tags= half, and one of many", "/documents", tags="half-1,tag-7")
            await call(http, "GET /documents?tags= two of many", "/documents", tags="tag-8,tag-7")
            await call(http, "GET /documents?filename= rare", "/documents", filename="0777")
            await call(http, "GET /documents?filename= in all", "/documents", filename=".txt")
            await call(http, "GET /documents?filename= two letters", "/documents", filename="77")
            await call(http, "GET /documents?filename=&tags=", "/documents", filename="watchdog", tags="half-1")
            await call(http, "GET /documents/tags", "/documents/tags")
            await call(http, "GET /documents?q= one document", "/documents", q=f"run {asked.documents // 3}")
            await call(http, "GET /documents?q= a phrase", "/documents", q='"watchdog panic boot"')
            await call(http, "GET /documents?q= a word in almost all", "/documents", q="watchdog")
            await call(http, "GET /documents?q=&tags=", "/documents", q="watchdog", tags="tag-7")
            print(f"memory {rss_mib(service):.0f} MiB")
            for file in ("projection.sqlite", "search.sqlite"):
                print(f"{file}: {(data / 'data' / 'documents' / file).stat().st_size / MIB:.0f} MiB")
            if asked.mib:
                await large(http, service, asked.mib)


if __name__ == "__main__":
    asyncio.run(main())
