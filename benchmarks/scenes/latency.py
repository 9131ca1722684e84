"""How soon a WebSocket client reads what was posted."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.delivery import delivering
from benchmarks.lab import AS_IT_COMES, WAL_NORMAL, observability, plain
from benchmarks.measuring import Contender, Goal, Scene, Setting
from benchwire.events import nats_server

_CLIENTS = 10
_RATE = 200


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nats = await enter(nats_server.running(setting.place / "nats"))
        services = {
            "plain": plain(setting.place / "plain", AS_IT_COMES),
            "plain, WAL": plain(setting.place / "wal", WAL_NORMAL),
            "benchwire": observability(nats.url, setting.place / "data"),
        }
        seconds = setting.of(10, 3)
        yield {
            name: partial((await enter(delivering(await enter(one), clients=_CLIENTS, every=1))).paced, _RATE, seconds)
            for name, one in services.items()
        }


SCENE = Scene(
    name="latency",
    about="200 events a second, 10 WebSocket clients; from the moment before a POST to the moment at which a client has read the frame",
    prepared=_prepared,
    goals=[
        Goal(
            what="p99 until a client has read it, in ms",
            of="benchwire",
            metric="p99_ms",
            at_most=3,
            because="an event that comes alone pays for each change of process by itself, and the clients use the same two cores",
        ),
        Goal(
            what="the same, against the plain design",
            of="benchwire",
            metric="p99_ms",
            against="plain",
            at_most=1,
            because="it goes through nats-server and back before it is told; the plain design tells it where it came in",
        ),
    ],
)
