"""What each service holds in memory."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from benchmarks.apart import result
from benchmarks.delivery import delivering
from benchmarks.lab import agent, documents, flash_agent, observability, resident_mb, searching
from benchmarks.load import filling
from benchmarks.measuring import Contender, Goal, Measured, Scene, Setting
from benchwire.events import nats_server
from benchwire.events.bus import connected
from benchwire.events.settings import NatsSettings

_LIMIT_MB = 150


async def _prepared(setting: Setting) -> AsyncGenerator[dict[str, Contender], None]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nats = await enter(nats_server.running(setting.place / "nats"))
        events, sessions, many = setting.of(200_000, 5_000), setting.of(10_000, 500), setting.of(100_000, 2_000)
        await result(filling.log, url=nats.url, events=events, sessions=sessions, documents=many)
        watching = await enter(observability(nats.url, setting.place / "data"))
        storing = await enter(documents(nats.url, setting.place / "data"))
        bus = await enter(connected(NatsSettings(nats_url=nats.url), name="benchmark"))
        running = await enter(agent(bus, setting.place / "agent"))
        flashing = await enter(flash_agent(bus, setting.place / "flash"))
        await searching(watching)
        delivery = await enter(delivering(watching, clients=20))

        async def loaded() -> Measured:
            await delivery.flooded(setting.of(20_000, 2_000), 4, each=100)
            await watching.http.get("/sessions")
            await storing.http.get("/documents", params={"limit": 1000})
            return {
                "observability_mb": watching.resident_mb, "documents_mb": storing.resident_mb,
                "agent_mb": resident_mb(running), "flash_agent_mb": resident_mb(flashing),
            }  # fmt: skip

        yield {"benchwire": loaded}


SCENE = Scene(
    name="memory",
    about="resident memory with 200,000 events, 10,000 sessions and 100,000 documents, after a burst of events to 20 clients; both agents idle",
    prepared=_prepared,
    most_rounds=3,
    goals=[
        Goal(
            what=f"resident memory of {name} (MB)",
            of="benchwire",
            metric=f"{name.replace('-', '_')}_mb",
            at_most=_LIMIT_MB,
        )
        for name in ("observability", "documents", "agent", "flash-agent")
    ],
)
