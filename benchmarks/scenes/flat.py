"""Whether an event costs the same however many there are already."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.apart import result
from benchmarks.delivery import delivering
from benchmarks.lab import observability, searching
from benchmarks.load import filling
from benchmarks.measuring import Contender, Goal, Scene, Setting
from benchwire.events import nats_server


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    sizes = {"10,000 events": setting.of(10_000, 1_000), "1,000,000 events": setting.of(1_000_000, 20_000)}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        contenders: dict[str, Contender] = {}
        for name, size in sizes.items():
            place = setting.place / str(size)
            nats = await enter(nats_server.running(place / "nats"))
            await result(filling.log, url=nats.url, events=size)
            service = await enter(observability(nats.url, place / "data"))
            await searching(service)
            delivery = await enter(delivering(service))
            count = setting.of(10_000, 2_000)
            contenders[f"after {name}, one by one"] = partial(delivery.flooded, count, 64)
            contenders[f"after {name}, arrays of 100"] = partial(delivery.flooded, 2 * count, 4, each=100)
        yield contenders


SCENE = Scene(
    name="flat",
    about="posting to a service whose log holds 10,000 or 1,000,000 events",
    prepared=_prepared,
    goals=[
        Goal(
            what="one by one: speed at 1,000,000, against that at 10,000",
            of="after 1,000,000 events, one by one",
            metric="delivered_per_s",
            against="after 10,000 events, one by one",
            at_least=0.9,
            because="each small commit touches pages of larger indexes; the rounds differ by as much",
        ),
        Goal(
            what="arrays of 100: speed at 1,000,000, against that at 10,000",
            of="after 1,000,000 events, arrays of 100",
            metric="delivered_per_s",
            against="after 10,000 events, arrays of 100",
            at_least=0.9,
        ),
    ],
)
