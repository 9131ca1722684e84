"""Many events to a POST."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.apart import result
from benchmarks.delivery import delivering
from benchmarks.engine import publishing
from benchmarks.lab import AS_IT_COMES, WAL_NORMAL, observability, plain
from benchmarks.measuring import Contender, Goal, Scene, Setting
from benchwire.events import nats_server


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nats = await enter(nats_server.running(setting.place / "nats"))
        slow = await enter(delivering(await enter(plain(setting.place / "plain", AS_IT_COMES))))
        wal = await enter(delivering(await enter(plain(setting.place / "wal", WAL_NORMAL))))
        ours = await enter(delivering(await enter(observability(nats.url, setting.place / "data"))))
        few, many = setting.of(4_000, 800), setting.of(50_000, 6_000)
        yield {
            "plain, one by one": partial(slow.flooded, few, 64),
            "plain, WAL, arrays of 100": partial(wal.flooded, many // 2, 4, each=100, path="/events/many"),
            "benchwire, arrays of 100": partial(ours.flooded, many, 4, each=100),
            "benchwire, NDJSON": partial(ours.flooded, many, 4, each=5_000, lines=True),
            "nats-py, publish_async": partial(result, publishing.pipelined, url=nats.url, count=many),
            "nats-py, publish awaited": partial(result, publishing.awaited, url=nats.url, count=many // 10),
        }


_AGAINST_ENGINE = "nats-py, publish_async : acked_per_s"

_ONE_PROCESS = "one interpreter checks, publishes, reads back, and makes rows, words for the search and frames; the other side does one thing"

SCENE = Scene(
    name="bulk",
    about="many events to a POST, 4 connections, one WebSocket client; acknowledged, in the rows and read by the client",
    prepared=_prepared,
    goals=[
        Goal(
            what="arrays of 100, against nats-py's publish_async",
            of="benchwire, arrays of 100",
            metric="delivered_per_s",
            against=_AGAINST_ENGINE,
            at_least=0.8,
            because=_ONE_PROCESS,
        ),
        Goal(
            what="NDJSON, against nats-py's publish_async",
            of="benchwire, NDJSON",
            metric="delivered_per_s",
            against=_AGAINST_ENGINE,
            at_least=0.8,
            because=_ONE_PROCESS,
        ),
        Goal(
            what="arrays of 100, against the plain POST",
            of="benchwire, arrays of 100",
            metric="delivered_per_s",
            against="plain, one by one",
            at_least=45,
            because=_ONE_PROCESS,
        ),
        Goal(
            what="arrays of 100, against the same of the plain design (WAL)",
            of="benchwire, arrays of 100",
            metric="delivered_per_s",
            against="plain, WAL, arrays of 100",
            at_least=3,
            because=_ONE_PROCESS,
        ),
    ],
)
