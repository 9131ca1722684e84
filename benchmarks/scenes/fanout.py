"""Each event to a hundred WebSocket clients."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.delivery import delivering
from benchmarks.lab import AS_IT_COMES, WAL_NORMAL, observability, plain
from benchmarks.measuring import Contender, Goal, Scene, Setting
from benchwire.events import nats_server

_CLIENTS = 100
_BATCHES = "benchwire, clients that take batches"


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nats = await enter(nats_server.running(setting.place / "nats"))
        other = await enter(nats_server.running(setting.place / "other"))  # or each would tell what the other is told
        services = {
            "plain": plain(setting.place / "plain", AS_IT_COMES),
            "plain, WAL": plain(setting.place / "wal", WAL_NORMAL),
            "benchwire": observability(nats.url, setting.place / "data"),
            _BATCHES: observability(other.url, setting.place / "other-data"),
        }
        listened = {
            name: await enter(
                delivering(await enter(one), clients=_CLIENTS, path="/ws?batch=1" if name == _BATCHES else "/ws")
            )
            for name, one in services.items()
        }
        few, many = setting.of(1_500, 300), setting.of(10_000, 2_000)
        yield {
            "plain": partial(listened["plain"].flooded, few, 64),
            "plain, WAL": partial(listened["plain, WAL"].flooded, few, 64),
            "benchwire": partial(listened["benchwire"].flooded, many, 64),
            "benchwire, arrays of 100": partial(listened["benchwire"].flooded, many, 4, each=100),
            _BATCHES: partial(listened[_BATCHES].flooded, many, 64),
            f"{_BATCHES}, arrays of 100": partial(listened[_BATCHES].flooded, many, 4, each=100),
        }


_POSTS = (
    "it is not the frames, which are encoded once and written many at a time: no more events come in, one to a POST"
)

SCENE = Scene(
    name="fanout",
    about="100 WebSocket clients, each of which reads every event: as a frame of its own, or in arrays (`?batch=1`); 64 connections post",
    prepared=_prepared,
    goals=[
        Goal(
            what="events to 100 clients, a frame for each, against the plain design",
            of="benchwire",
            metric="read_per_s",
            against="plain",
            at_least=2.5,
        ),
        Goal(
            what="events to 100 clients that take batches, against the plain design",
            of=_BATCHES,
            metric="read_per_s",
            against="plain",
            at_least=17,
            because=_POSTS,
        ),
        Goal(
            what="the same without fsync (WAL, NORMAL)",
            of=_BATCHES,
            metric="read_per_s",
            against="plain, WAL",
            at_least=10,
            because=_POSTS,
        ),
        Goal(
            what="events that come in arrays, a frame for each, against the plain design",
            of="benchwire, arrays of 100",
            metric="read_per_s",
            against="plain",
            at_least=17,
            because="reading that many frames takes the other core",
        ),
    ],
)
