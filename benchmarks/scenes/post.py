"""One event to a POST."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack

from benchmarks.apart import result
from benchmarks.delivery import Delivery, delivering
from benchmarks.lab import AS_IT_COMES, WAL_FULL, WAL_NORMAL, app_of, durable_nats, observability, plain
from benchmarks.load.posting import flood
from benchmarks.measuring import Contender, Goal, Measured, Scene, Setting
from benchwire.events import nats_server

_CONNECTIONS = 64


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nats = await enter(nats_server.running(setting.place / "nats"))
        durable = await enter(durable_nats(setting.place / "durable"))
        services = {
            "plain": plain(setting.place / "plain", AS_IT_COMES),
            "plain, WAL": plain(setting.place / "wal", WAL_NORMAL),
            "plain, WAL, fsync": plain(setting.place / "full", WAL_FULL),
            "benchwire": observability(nats.url, setting.place / "data"),
            "benchwire, fsync": observability(durable, setting.place / "durable-data"),
        }
        listened = {
            name: await enter(
                delivering(await enter(service), nats_pid=nats.process.pid if name == "benchwire" else None)
            )
            for name, service in services.items()
        }
        empty = await enter(app_of("benchmarks.engine.empty:made", {}, setting.place / "nothing"))

        async def answered() -> Measured:
            count = setting.of(30_000, 5_000)
            posted = await result(flood, port=empty.port, count=count, connections=_CONNECTIONS)
            return {
                "acked_per_s": count / (posted["ended"] - posted["began"]), "p50_ms": posted["p50_ms"],
                "p99_ms": posted["p99_ms"],
            }  # fmt: skip

        few, many = setting.of(4_000, 800), setting.of(20_000, 3_000)
        yield {
            "plain": _at(listened["plain"], few),
            "plain, WAL": _at(listened["plain, WAL"], many // 2),
            "benchwire": _at(listened["benchwire"], many),
            "plain, WAL, fsync": _at(listened["plain, WAL, fsync"], few),
            "benchwire, fsync": _at(listened["benchwire, fsync"], many // 2),
            "plain, WAL, 1 connection": _at(listened["plain, WAL"], few, 1),
            "benchwire, 1 connection": _at(listened["benchwire"], few, 1),
            "an empty route of Litestar": answered,
        }


def _at(delivery: Delivery, count: int, connections: int = _CONNECTIONS) -> Callable[[], Awaitable[Measured]]:
    async def flooded() -> Measured:
        return await delivery.flooded(count, connections)

    return flooded


_HTTP = (
    "reading a call, guarding, counting and answering it takes half of what an event costs in the event loop; the log, rows, search, frames and the "
    "load share two cores, and a commit that waits for the disk costs the plain design little here"
)

SCENE = Scene(
    name="post",
    about="one event to a POST, 64 connections, one WebSocket client; acknowledged, in the rows and read by the client",
    prepared=_prepared,
    goals=[
        Goal(
            what="single POSTs, against the plain design",
            of="benchwire",
            metric="delivered_per_s",
            against="plain",
            at_least=13,
            because=_HTTP,
        ),
        Goal(
            what="p99 of a POST, against the p50 of the plain design",
            of="benchwire",
            metric="p99_ms",
            against="plain : p50_ms",
            at_most=1,
            because=_HTTP,
        ),
        Goal(
            what="the same without fsync (WAL, NORMAL)",
            of="benchwire",
            metric="delivered_per_s",
            against="plain, WAL",
            at_least=3.5,
            because=_HTTP,
        ),
        Goal(
            what="the same with fsync on both sides",
            of="benchwire, fsync",
            metric="delivered_per_s",
            against="plain, WAL, fsync",
            at_least=2.8,
            because="the server waits for the disk with each message; one that comes alone is not gathered with others",
        ),
        Goal(
            what="one connection, without fsync",
            of="benchwire, 1 connection",
            metric="delivered_per_s",
            against="plain, WAL, 1 connection",
            at_least=0.9,
            because="alone, an event is a round trip to nats-server, which wakes two processes in turn; a commit without fsync wakes none",
        ),
    ],
)
