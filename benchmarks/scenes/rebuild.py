"""Rows that are made anew from the whole log."""

from collections.abc import AsyncGenerator
from functools import partial

from benchmarks.apart import result
from benchmarks.engine import rows
from benchmarks.load import filling
from benchmarks.measuring import Contender, Goal, Measured, Scene, Setting
from benchwire.events import nats_server


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    async with nats_server.running(setting.place / "nats") as nats:
        count, few = setting.of(1_000_000, 30_000), setting.of(100_000, 10_000)
        await result(filling.log, url=nats.url, events=count)
        ours = str(setting.place / "ours.sqlite")

        async def copied() -> Measured:
            taken: Measured = await result(
                rows.copied, source=ours, file=str(setting.place / "copy.sqlite"), count=count
            )
            return taken

        yield {
            "benchwire": partial(result, rows.projected, url=nats.url, file=ours, count=count),
            "SQLite, executemany": copied,
            "straightforward": partial(
                result, rows.straightforward, url=nats.url, file=str(setting.place / "straight.sqlite"), count=few
            ),
        }


SCENE = Scene(
    name="rebuild",
    about="1,000,000 events from the log into the tables of the observability service, with all indexes",
    prepared=_prepared,
    most_rounds=3,
    keeps_order=True,
    goals=[
        Goal(
            what="rebuild, against executemany of the same rows",
            of="benchwire",
            metric="events_per_s",
            against="SQLite, executemany",
            at_least=0.5,
            because="events are read, decoded and checked in the interpreter that also feeds SQLite, row by row",
        ),
        Goal(
            what="rebuild, against the straightforward way",
            of="benchwire",
            metric="events_per_s",
            against="straightforward",
            at_least=3,
            because="both pay the same for reading, decoding and the rows themselves; only acknowledgements and single statements are saved",
        ),
    ],
)
