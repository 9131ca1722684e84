"""What reading sessions costs at size: many sessions, and one with very many events.

    .venv/bin/python -m benchmarks.sessions_at_size --sessions 10000 --events 1000000

Starts a nats-server and an observability service of its own in a temporary directory, fills the log, and prints what pages, lists, searches
and the whole history take from outside (the median of several calls, over HTTP), and how much memory the service has. The sessions come
through ``POST /events`` as lines, and say how quick that is; the events of the large session are put into the log directly, which is
quicker, and the service finds them there when it starts.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from benchmarks.lab import PATIENCE_S, call, observability
from benchwire.events import catalog, codec, nats_server
from benchwire.events.bus import STREAM, Bus, connected
from benchwire.events.session import MessageSent, SessionEvent, SessionStarted, ToolCalled, ToolReturned
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

AT = datetime(2026, 1, 17, tzinfo=UTC)
WORDS = [
    "the", "quick", "firmware", "sets", "gpio", "pins", "and", "reads", "uart", "registers", "while", "compiler", "warns", "about",
    "volatile", "access", "timers", "interrupts", "flash", "sector", "erase", "write", "verify", "board", "probe", "serial", "monitor",
    "panic", "watchdog", "reset",
]  # fmt: skip
LARGE = "large"
RARE_EVERY = 50_000
PAGE = 200
NDJSON = {"Content-Type": "application/x-ndjson"}


def texts() -> list[str]:
    """Some hundred texts of sixty words."""
    chance = random.Random(7)  # noqa: S311 - the same texts each time
    return [" ".join(chance.choices(WORDS, k=60)) for _ in range(997)]


def event(number: int, said: list[str]) -> SessionEvent:
    """An event of the large session: messages and tools in turn, and now and then a message with a word of its own."""
    at = AT + timedelta(seconds=number)
    text = said[number % len(said)]
    if number % RARE_EVERY == RARE_EVERY - 1:
        return MessageSent(timestamp=at, session_id=LARGE, role="user", content=[{"type": "text", "text": "milestone"}])
    match number % 4:
        case 0:
            return MessageSent(
                timestamp=at, session_id=LARGE, role="assistant", content=[{"type": "text", "text": text}]
            )
        case 1:
            return ToolCalled(
                timestamp=at, session_id=LARGE, tool_name="bash", tool_input={"command": f"step {number}"}
            )
        case _:
            return ToolReturned(timestamp=at, session_id=LARGE, tool_name="bash", tool_output=text)


async def fill(bus: Bus, events: int) -> None:
    """Puts the events of the large session into the log."""
    said = texts()
    before = (await bus.js.stream_info(STREAM)).state.messages
    for number in range(events):
        one = event(number, said)
        await bus.nc.publish(
            catalog.subject_of(one), codec.encode(one), headers=codec.headers(one, f"{LARGE}-{number}")
        )
        if number % 2000 == 0:
            await bus.nc.flush(120)
    await bus.nc.flush(120)

    async def landed() -> bool:
        return (await bus.js.stream_info(STREAM)).state.messages >= before + events

    await eventually(landed, within_s=PATIENCE_S)


async def bulk(http: httpx.AsyncClient, sessions: int) -> None:
    """Starts sessions, all in one call."""

    async def lines() -> AsyncIterator[bytes]:
        for number in range(sessions):
            at = AT - timedelta(days=1) + timedelta(seconds=number)
            one = SessionStarted(
                timestamp=at, session_id=f"s{number}", session_name=f"Session {number}", agent_name=f"agent{number % 7}"
            )
            yield codec.encode(one) + b"\n"

    begun = time.perf_counter()
    answer = await http.post("/events", content=lines(), headers=NDJSON)
    assert answer.json()["accepted"] == sessions, answer.text
    print(f"{sessions} sessions as lines: {sessions / (time.perf_counter() - begun):.0f} a second")


async def read(http: httpx.AsyncClient, events: int) -> None:
    """Reads in every way there is."""
    path = f"/sessions/{LARGE}/events"
    first = (await http.get(path, params={"limit": 1})).json()["events"][0]["id"]
    for what, after in (("beginning", 0), ("middle", first + events // 2), ("end", first + events - PAGE - 10)):
        await call(http, f"{PAGE} events at the {what}", path, limit=PAGE, after=after)
    await call(http, f"the last {PAGE} events", path, limit=PAGE, before=1 << 53)
    await call(http, "events of a type that is not there", path, limit=PAGE, event_type="session_stop")
    await call(http, "all sessions", "/sessions")
    await call(http, "100 sessions", "/sessions", limit=100)
    await call(http, "100 sessions of an agent", "/sessions", limit=100, agent_name="agent3")
    await call(http, "100 sessions by a piece of the name", "/sessions", limit=100, q="99")
    for q in ("milestone", "gpio uart", '"sets gpio"', "wat*", "gpio -uart"):
        await call(http, f"search {q}", "/events", q=q)
        await call(http, f"search {q}, in a small session", "/events", q=q, session_id="s5")
    begun, size, first_ms = time.perf_counter(), 0, 0.0
    async with http.stream("GET", path) as answer:
        async for part in answer.aiter_raw():
            first_ms = first_ms or 1000 * (time.perf_counter() - begun)
            size += len(part)
    print(
        f"all events: {size >> 20} MiB in {time.perf_counter() - begun:.1f} s, the first byte after {first_ms:.1f} ms"
    )


async def run(sessions: int, events: int) -> None:
    """The whole scene."""
    with tempfile.TemporaryDirectory(prefix="sessions-at-size-") as home:
        data = Path(home) / "data"
        async with nats_server.running(Path(home) / "nats") as nats:
            async with observability(nats.url, data) as service:
                await bulk(service.http, sessions)
                print(f"{service.resident_mb} MB resident")
            async with connected(NatsSettings(nats_url=nats.url), name="scene") as bus:
                await fill(bus, events)
            begun = time.perf_counter()
            async with observability(nats.url, data) as service:
                print(f"healthy after {time.perf_counter() - begun:.1f} s")

                async def searches() -> bool:
                    return (await service.http.get("/events", params={"q": "gpio"})).status_code == 200

                await eventually(searches, within_s=PATIENCE_S)
                print(f"searches after {time.perf_counter() - begun:.1f} s; {service.resident_mb} MB resident")
                await read(service.http, events)
                print(f"{service.resident_mb} MB resident")


def main() -> None:
    """Reads the command line, and runs the scene."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args()
    asyncio.run(run(given.sessions, given.events))


if __name__ == "__main__":
    main()
