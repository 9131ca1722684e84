"""Bytes into a JetStream object store with nats-py alone."""

import time

import nats

from benchmarks.measuring import Measured


async def put(url: str, *, file: str) -> Measured:
    """The file, as nats-py stores one; what was stored is taken out again."""
    nc = await nats.connect(url)
    js = nc.jetstream(timeout=30)
    store = await js.create_object_store("plain")
    begun = time.perf_counter()
    with open(file, "rb") as source:  # noqa: ASYNC230, PTH123 - nats-py reads it on its own loop
        info = await store.put("big", source)
    took = time.perf_counter() - begun
    assert info.size
    await js.delete_object_store("plain")
    await nc.close()
    return {"mb_per_s": info.size / 1e6 / took}
