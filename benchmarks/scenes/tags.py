"""Tags and how many documents have them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.apart import result
from benchmarks.lab import Service, documents, plain
from benchmarks.load import filling
from benchmarks.load.reading import read
from benchmarks.measuring import Contender, Goal, Measured, Scene, Setting
from benchwire.events import nats_server


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    count = setting.of(100_000, 5_000)
    file = setting.place / "documents.sqlite"
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(nats_server.running(setting.place / "nats"))
        await result(filling.log, url=nats.url, events=0, documents=count)
        await result(filling.plain_documents_file, file=str(file), documents=count)
        ours = await stack.enter_async_context(documents(nats.url, setting.place / "data"))
        theirs = await stack.enter_async_context(plain(setting.place, app="documents", file=file))
        yield {"plain": partial(_counted, theirs, count), "benchwire": partial(_counted, ours, count)}


async def _counted(service: Service, documents: int) -> Measured:
    answer = await service.http.get("/documents/tags")
    counts = {one["name"]: one["count"] for one in answer.json()["tags"]}
    assert counts["half-0"] + counts["half-1"] == documents
    taken = await result(read, port=service.port, path="/documents/tags", least_bytes=1000)
    return {"tags_ms": taken["ms"], "resident_mb": service.resident_mb}


SCENE = Scene(
    name="tags",
    about="GET /documents/tags with 100,000 documents of five tags each; the median of 15 calls",
    prepared=_prepared,
    goals=[
        Goal(
            what="tag counts over 100,000 documents: time, against a scan",
            of="benchwire",
            metric="tags_ms",
            against="plain",
            at_most=0.01,
        ),
    ],
)
