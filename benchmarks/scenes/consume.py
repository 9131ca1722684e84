"""Reading the log."""

from collections.abc import AsyncGenerator
from functools import partial

from benchmarks.apart import result
from benchmarks.engine import consuming
from benchmarks.load import filling
from benchmarks.measuring import Contender, Goal, Scene, Setting
from benchwire.events import nats_server


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    async with nats_server.running(setting.place / "nats") as nats:
        count = setting.of(100_000, 5_000)
        await result(filling.log, url=nats.url, events=count)
        yield {
            "nats-py, fetch(500)": partial(result, consuming.fetched, url=nats.url, count=count),
            "nats-py, ordered consumer": partial(result, consuming.ordered, url=nats.url, count=count),
            "benchwire": partial(result, consuming.followed, url=nats.url, count=count),
        }


SCENE = Scene(
    name="consume",
    about="100,000 events out of the log, in order, with their headers",
    prepared=_prepared,
    goals=[
        Goal(
            what="reading the log, against fetch(500)",
            of="benchwire",
            metric="read_per_s",
            against="nats-py, fetch(500)",
            at_least=3.5,
        ),
    ],
)
