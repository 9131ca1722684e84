"""A start without rows: from the first event of the log, against from a snapshot and what came since. ``python -m benchmarks.snapshots [EVENTS]``.

Both in one run, in turn, several times; the ratio is made within a round. A third way, the copying of a snapshot while the service stands
idle, is told for its time and its size.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchwire.events import catalog, codec, nats_server
from benchwire.events.bus import STREAM, Bus, connected
from benchwire.events.event import Event
from benchwire.events.projection import Projection, rows_of
from benchwire.events.session import MessageSent, SessionStarted, ToolCalled, ToolReturned
from benchwire.events.settings import NatsSettings
from benchwire.events.snapshots.keeper import Keeper, Policy
from benchwire.events.snapshots.shelf import Shelf
from benchwire.events.testing.eventually import eventually
from benchwire.observability.projection import SCHEMA

EVENTS = 200_000
TAIL = 1000
ROUNDS = 3
_OF_A_SESSION = 100
_TOGETHER = 2000  # published before somebody looks whether all are there


def events(count: int) -> Iterator[Event]:
    """A busy lab: sessions of some hundred events, with texts of a few hundred characters."""
    at = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
    for number in range(count):
        session, place = f"session-{number // _OF_A_SESSION}", number % _OF_A_SESSION
        if place == 0:
            yield SessionStarted(timestamp=at, session_id=session, session_name=session)
        elif place % 3 == 0:
            text = f"event {number}: " + "the second timer of the board counts on while the first one waits; " * 4
            yield MessageSent(
                timestamp=at, session_id=session, role="assistant", content=[{"type": "text", "text": text}]
            )
        elif place % 3 == 1:
            yield ToolCalled(
                timestamp=at,
                session_id=session,
                tool_name="bash",
                tool_use_id=f"u{number}",
                tool_input={"command": "make"},
            )
        else:
            yield ToolReturned(
                timestamp=at, session_id=session, tool_name="bash", tool_use_id=f"u{number - 1}", tool_output="ok " * 40
            )


async def published(bus: Bus, some: Iterator[Event]) -> None:
    """Puts events into the log as fast as it takes them, and returns when all are there."""
    number, before = -1, (await bus.js.stream_info(STREAM)).state.messages
    for number, event in enumerate(some):
        headers = codec.headers(event, codec.new_id(), None)
        await bus.nc.publish(catalog.subject_of(event), codec.encode(event), headers=headers)
        if number % _TOGETHER == 0:
            await bus.nc.flush()
    await eventually(lambda: _has(bus, before + number + 1), within_s=120)


async def _has(bus: Bus, count: int) -> bool:
    return (await bus.js.stream_info(STREAM)).state.messages >= count


async def timed(bus: Bus, path: Path, *, with_snapshots: bool) -> float:
    """Seconds until a projection without a file has everything that is in the log."""
    began = time.perf_counter()
    async with Projection(bus, path, SCHEMA, with_snapshots=with_snapshots).running():
        return time.perf_counter() - began


async def copied(bus: Bus, path: Path) -> str:
    """Makes a snapshot; says how long that took, and how large it is."""
    projection = Projection(bus, path, SCHEMA)
    async with projection.running():
        keeper = Keeper(
            Shelf(bus, SCHEMA.name, SCHEMA.file_version), path, Policy(events=1, every_s=0), projection.settled
        )
        began = time.perf_counter()
        made = await keeper.look()
        took_s = time.perf_counter() - began
    assert made is not None
    return f"snapshot of {made.file_bytes / 1e6:.0f} MB made in {took_s:.1f} s, {made.size / 1e6:.0f} MB in the store"


async def main(count: int) -> None:
    """Measures, and prints what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        async with (
            nats_server.running(place / "nats") as server,
            connected(NatsSettings(nats_url=server.url), name="benchmark") as bus,
        ):
            await published(bus, events(count))
            print(f"{(await bus.js.stream_info(STREAM)).state.messages} events in the log")
            await timed(bus, place / "live.sqlite", with_snapshots=False)
            print(await copied(bus, place / "live.sqlite"))
            await published(bus, events(TAIL))
            ratios = []
            for number in range(ROUNDS):
                whole, short = place / f"whole-{number}.sqlite", place / f"short-{number}.sqlite"
                whole_s = await timed(bus, whole, with_snapshots=False)
                short_s = await timed(bus, short, with_snapshots=True)
                ratios.append(whole_s / short_s)
                print(
                    f"from the log {whole_s:.2f} s, from the snapshot and {TAIL} events {short_s:.2f} s: {ratios[-1]:.1f} times"
                )
            same = await asyncio.to_thread(lambda: rows_of(whole) == rows_of(short))
            print(
                f"median {statistics.median(ratios):.1f} times; the rows are {'the same' if same else 'NOT the same'}"
            )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS))
