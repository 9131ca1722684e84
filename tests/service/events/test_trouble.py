"""What the machinery does when NATS, the disk or a file is not as it should be."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from sqlite_utils import Database

from benchwire.events import child, codec, nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import STREAM, Bus, NatsUnreachable, connected
from benchwire.events.follow import StreamReplaced
from benchwire.events.log import EventTooLarge, Log, LogUnavailable, Recorded
from benchwire.events.projection import Projection, Schema
from benchwire.events.pull import Lost, Pull
from benchwire.events.session import MessageSent, SessionStarted
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
TABLES = "CREATE TABLE sessions (seq INTEGER, id TEXT);"


def apply(db: Database, one: Recorded) -> None:
    assert isinstance(one.event, SessionStarted)
    db.conn.execute("INSERT INTO sessions VALUES (?, ?)", (one.sequence, one.event.session_id))


SCHEMA = Schema(filters=["bench.session.*.started"], tables=TABLES, apply=apply)


def started(session: str) -> SessionStarted:
    return SessionStarted(timestamp=NOW, session_id=session)


def ids(db: Database) -> list[str]:
    return [row[0] for row in db.conn.execute("SELECT id FROM sessions ORDER BY seq")]


async def test_an_event_that_is_too_large_only_with_its_headers_does_not_cost_the_connection(
    log: Log, bus: Bus
) -> None:
    """The server counts headers too, and closes the connection of whoever sends more than it takes: nats-py counts the body alone."""
    empty = len(codec.encode(MessageSent(timestamp=NOW, session_id="s1", role="user", content=[{"text": ""}])))
    event = MessageSent(timestamp=NOW, session_id="s1", role="user", content=[{"text": "x" * ((1 << 20) - empty - 10)}])
    reconnections: list[None] = []
    with bus.on_reconnect(lambda: reconnections.append(None)):
        with pytest.raises(EventTooLarge):
            await log.append(event, deadline_s=2.0)
        await log.append(started("s1"))
    assert not reconnections


@pytest.mark.parametrize("what", ["read", "blob"])
async def test_reading_from_a_server_that_falls_silent_ends_in_time(
    what: str, log: Log, bus: Bus, nats: nats_server.Server
) -> None:
    digest = (await Blobs(bus).put(b"x" * 300_000, name="x")).digest
    await log.append(started("s1"))
    if what == "blob":
        reading = Blobs(bus).chunks(digest)
        await anext(reading)
        await reading.aclose()
        taken = _chunks_after_a_freeze(bus, digest, nats)
    else:
        await _frozen(nats)
        taken = _read(log)
    try:
        async with asyncio.timeout(30):
            with pytest.raises(LogUnavailable):
                await taken
    finally:
        os.kill(nats.process.pid, signal.SIGCONT)


async def _frozen(nats: nats_server.Server) -> None:
    """On a machine that is busy the signal needs a moment, in which the server would answer."""
    os.kill(nats.process.pid, signal.SIGSTOP)
    threads = Path(f"/proc/{nats.process.pid}/task")

    def stands_still() -> bool:
        stats = [(one / "stat").read_text() for one in threads.iterdir()]
        return all(one.rpartition(")")[2].split()[0] in "Tt" for one in stats)

    await eventually(stands_still, what="all threads of the server to stand still")


async def _read(log: Log) -> None:
    async with aclosing(log.read(["bench.>"])) as events:
        async for _ in events:
            pass


async def _chunks_after_a_freeze(bus: Bus, digest: str, nats: nats_server.Server) -> None:
    blobs = Blobs(bus)
    found = blobs._info

    async def then_frozen(digest: str) -> object:
        info = await found(digest)
        await _frozen(nats)
        return info

    blobs._info = then_frozen  # type: ignore[method-assign,assignment]
    async with aclosing(blobs.chunks(digest)) as chunks:
        async for _ in chunks:
            pass


async def test_a_log_that_is_replaced_while_it_is_followed_ends_the_projection(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    """The new log begins at 1 again: asked for what comes after the last sequence of the old one, it would be silent for long."""

    async def replaced() -> None:
        async with Projection(bus, tmp_path / "p.sqlite", SCHEMA).running():
            for number in range(3):
                await log.append(started(f"old{number}"))
            await bus.js.delete_stream(STREAM)
            await bus.ensure()
            await asyncio.Event().wait()  # until the projection ends this

    with pytest.raises(ExceptionGroup) as raised:
        await replaced()
    assert raised.group_contains(StreamReplaced)
    await bus.ensure()
    await log.append(started("new"))
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        assert await projection.read(ids) == ["new"]


async def test_a_full_disk_is_told_and_loses_nothing(log: Log, bus: Bus, tmp_path: Path) -> None:
    full = True

    def applied(db: Database, one: Recorded) -> None:
        db.conn.execute(f"PRAGMA max_page_count = {20 if full else 1 << 30}")
        apply(db, one)
        db.conn.execute("INSERT INTO sessions VALUES (?, ?)", (one.sequence, "x" * 200_000))

    projection = Projection(bus, tmp_path / "p.sqlite", Schema(filters=SCHEMA.filters, tables=TABLES, apply=applied))
    async with projection.running():
        sequence = await log.append(started("s1"))
        await eventually(lambda: projection.state.trouble, what="the trouble to be told")
        assert projection.state.malformed == 0
        full = False
        await projection.wait_for(sequence, timeout_s=30)
        assert projection.state.trouble is None
        assert [one for one in await projection.read(ids) if len(one) < 10] == ["s1"]


async def test_memory_that_runs_out_is_not_the_fault_of_an_event(log: Log, bus: Bus, tmp_path: Path) -> None:
    def applied(db: Database, one: Recorded) -> None:
        raise MemoryError

    projection = Projection(bus, tmp_path / "p.sqlite", Schema(filters=SCHEMA.filters, tables=TABLES, apply=applied))

    async def without_memory() -> None:
        async with projection.running():
            await log.append(started("s1"))
            await asyncio.Event().wait()  # until the projection ends this

    with pytest.raises(ExceptionGroup) as raised:
        await without_memory()
    assert raised.group_contains(MemoryError)
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        assert await projection.read(ids) == ["s1"]


async def test_a_file_that_is_no_database_is_built_again(log: Log, bus: Bus, tmp_path: Path) -> None:
    await log.append(started("s1"))
    path = tmp_path / "p.sqlite"
    path.write_bytes(b"power went away here" * 1000)
    projection = Projection(bus, path, SCHEMA)
    async with projection.running():
        assert await projection.read(ids) == ["s1"]


@contextlib.asynccontextmanager
async def plain_server(folder: Path, *more: str) -> AsyncIterator[NatsSettings]:
    argv = [nats_server.binary(), "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(folder), *more]
    async with child.spawn(argv, stderr=child.DEVNULL) as process:
        url = await eventually(lambda: nats_server.ports_of(folder, process.pid), what="a port")
        yield NatsSettings(nats_url=url, nats_connect_timeout_s=2.0)


async def test_a_server_without_jetstream_is_named_in_one_sentence(tmp_path: Path) -> None:
    async with plain_server(tmp_path) as settings:
        with pytest.raises(NatsUnreachable, match="JetStream"):
            async with connected(settings, name="test"):
                pass


async def test_a_wrong_password_is_named_in_one_sentence(tmp_path: Path) -> None:
    async with plain_server(tmp_path, "--auth", "right") as settings:
        with pytest.raises(NatsUnreachable, match=r"(?i)authorization"):
            async with connected(settings, name="test"):
                pass


async def test_what_came_before_a_pull_was_lost_is_taken_first(log: Log, bus: Bus) -> None:
    """Thrown away, the requests of a queue would come again only when their time to be acknowledged is over."""
    for number in range(3):
        await log.append(started(f"s{number}"))
    await bus.js.add_consumer(STREAM, ConsumerConfig(durable_name="q", ack_policy=AckPolicy.EXPLICIT))
    pull = Pull(bus, STREAM, "q", 10)
    async with pull.listening():
        await pull._ask()
        await eventually(lambda: len(pull._inbox) == 3, what="the messages")
        await bus.reconnected()
        assert len(await pull.messages()) == 3
        with pytest.raises(Lost):
            await pull.messages()


async def test_a_child_whose_owner_died_before_it_ran_does_not_run(tmp_path: Path) -> None:
    """Between the fork and the request to be killed with the owner there is a moment in which the owner may die."""
    argv = child.dying_with_owner(["touch", str(tmp_path / "ran")])
    orphaning = await asyncio.create_subprocess_exec(
        *child.dying_with_owner(["/bin/sh", "-c", '"$@"; true', "sh", *argv])
    )  # another owner than was meant
    await orphaning.wait()
    assert not (tmp_path / "ran").exists()
    async with child.spawn(["touch", str(tmp_path / "ran")], grace_s=5.0) as process:
        assert await process.wait() == 0
    assert (tmp_path / "ran").exists()
