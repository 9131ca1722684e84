import asyncio
import contextlib
import signal
import sqlite3
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlite_utils import Database

from benchwire.events import catalog, child, codec, nats_server, rows
from benchwire.events.bus import Bus, connected
from benchwire.events.log import Log, Recorded
from benchwire.events.projection import Projection, ProjectionBehind, ProjectionDamaged, Schema, pace, rows_of
from benchwire.events.projection.pace import FEW
from benchwire.events.session import SessionStarted
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.messages import landed_again

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def apply(db: Database, one: Recorded) -> None:
    if isinstance(one.event, SessionStarted):
        if one.event.session_name == "poison":
            raise ValueError("cannot be applied")
        db.conn.execute("INSERT INTO sessions VALUES (?, ?)", (one.sequence, one.event.session_id))


# No "IF NOT EXISTS": the tables are created once, with the file, and a restart finds them.
SCHEMA = Schema(filters=["bench.session.>"], tables="CREATE TABLE sessions (seq INTEGER, id TEXT);", apply=apply)


# Builds such rows, and is killed in the middle of a transaction, at the event with a given place in the log.
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from benchwire.events.bus import connected
from benchwire.events.projection import Projection, Schema
from benchwire.events.settings import NatsSettings

def apply(db, one):
    if one.sequence == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    db.conn.execute("INSERT INTO sessions VALUES (?, ?)", (one.sequence, one.event.session_id))

async def build():
    schema = Schema(filters=["bench.session.>"], tables="CREATE TABLE sessions (seq INTEGER, id TEXT);", apply=apply)
    async with connected(NatsSettings(nats_url=sys.argv[1]), name="killed") as bus:
        async with Projection(bus, Path(sys.argv[2]), schema).running():
            pass

asyncio.run(build())
"""


def started(session: str, name: str | None = None) -> SessionStarted:
    return SessionStarted(timestamp=NOW, session_id=session, session_name=name)


def ids(db: Database) -> list[str]:
    return [row[0] for row in db.conn.execute("SELECT id FROM sessions ORDER BY seq")]


async def test_a_reader_sees_what_it_waited_for_and_listeners_hear_it_after_the_commit(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    heard: list[str] = []
    projection.on_commit(lambda events: heard.extend(one.id for one in events))
    async with projection.running():
        sequence = await log.append(started("a"))
        await projection.wait_for(sequence)
        assert await projection.read(ids) == ["a"]
        assert len(heard) == 1


def writing_in(threads: list[str], slow: float = 0.0) -> Schema:
    """Notes the thread in which each event became rows; one of a session named "slow" takes ``slow`` seconds."""

    def applied(db: Database, one: Recorded) -> None:
        assert isinstance(one.event, SessionStarted)
        if one.event.session_name == "slow":
            time.sleep(slow)
        apply(db, one)
        threads.append(threading.current_thread().name)

    return Schema(filters=SCHEMA.filters, tables=SCHEMA.tables, apply=applied)


@pytest.mark.parametrize("again_s", [3600.0, 0.0])
async def test_a_few_rows_need_no_thread_until_the_disk_is_slow(
    log: Log, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again_s: float
) -> None:
    monkeypatch.setattr(pace, "_AGAIN_S", again_s)
    threads: list[str] = []
    here = threading.current_thread().name
    projection = Projection(bus, tmp_path / "p.sqlite", writing_in(threads, slow=0.1))
    async with projection.running():
        for number, name in enumerate(["slow", None, None]):
            await projection.wait_for(await log.append(started(f"s-{number}", name)))
        assert threads[0] == here
        assert [one == here for one in threads[1:]] == [not again_s] * 2
        assert await projection.read(ids) == ["s-0", "s-1", "s-2"]


async def test_what_comes_in_bulk_does_not_hold_up_the_loop(log: Log, bus: Bus, tmp_path: Path) -> None:
    threads: list[str] = []
    for number in range(3 * FEW):
        await log.append(started(f"s-{number}"))
    projection = Projection(bus, tmp_path / "p.sqlite", writing_in(threads))
    async with projection.running():
        assert len(threads) == 3 * FEW
        assert threading.current_thread().name not in threads[:FEW]


async def test_a_listener_reads_what_he_was_told_of(log: Log, bus: Bus, tmp_path: Path) -> None:
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    told: list[Recorded] = []
    projection.on_commit(told.extend)
    async with projection.running():
        await projection.wait_for(await log.append(started("a")))
        assert await projection.read_again(ids, told) == ["a"]
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await projection.read_again(lambda db: db.conn.execute("SELECT * FROM nowhere"), told)
        await projection.wait_for(await log.append(started("b")))
        assert await projection.read_again(ids, told * FEW) == ["a", "b"]


async def test_rows_that_somebody_has_locked_are_written_once_they_are_free(log: Log, bus: Bus, tmp_path: Path) -> None:
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        await projection.wait_for(await log.append(started("a")))
        with contextlib.closing(sqlite3.connect(tmp_path / "p.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            sequence = await log.append(started("b"))
            await eventually(lambda: "locked" in (projection.state.trouble or ""), within_s=20)
            assert await projection.read(ids) == ["a"]
            other.execute("ROLLBACK")
        await projection.wait_for(sequence, timeout_s=20)
        await eventually(lambda: projection.state.trouble is None, within_s=5)
        assert await projection.read(ids) == ["a", "b"]


async def test_what_is_committed_gets_into_the_file_beside_the_writer_long_before_he_has_to_move_it(
    log: Log, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.sqlite"
    monkeypatch.setattr("benchwire.events.projection.file._MOVED_PAGES", 20)

    def in_the_file() -> bool:
        with contextlib.closing(sqlite3.connect(rows.uri(path, "immutable=1"), uri=True)) as db:
            with contextlib.suppress(sqlite3.OperationalError):  # not even its tables
                return bool(db.execute("SELECT count(*) FROM sessions").fetchone()[0])
            return False

    live = Projection(bus, path, SCHEMA)
    async with live.running():
        for number in range(20):
            await live.wait_for(await log.append(started(f"s{number}")))
        await eventually(lambda: asyncio.to_thread(in_the_file))
        assert await live.read(ids) == [f"s{number}" for number in range(20)]
    assert len(rows_of(path)["sessions"]) == 20


async def test_what_was_applied_is_not_applied_again_after_a_restart_and_a_rebuild_equals_it(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    path = tmp_path / "p.sqlite"
    for number in range(1200):
        await log.append(started(f"s{number}"))
    for _ in range(2):
        async with Projection(bus, path, SCHEMA).running():
            pass
    live = rows_of(path)
    assert len(live["sessions"]) == 1200
    path.unlink()
    async with Projection(bus, path, SCHEMA).running():
        pass
    assert rows_of(path) == live


async def test_a_file_of_another_layout_is_built_anew_wherever_it_lies(
    log: Log, bus: Bus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it knows of applied events is written in another way, so that one that came again would be applied again."""
    path = tmp_path / "a #1 100%41?" / "p.sqlite"
    await log.append(started("a"))
    async with Projection(bus, path, SCHEMA).running():
        pass
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE applied SET version = ?", (SCHEMA.version,))
    assert "rebuilding" not in caplog.text
    async with Projection(bus, path, SCHEMA).running():
        assert rows_of(path) == {"sessions": [(1, "a")]}
    assert "rebuilding" in caplog.text
    standing = rows.stood_in(path)
    assert standing is not None
    assert standing.version == rows.version_of(SCHEMA.version)


async def test_an_id_counts_once_for_each_subject_whatever_is_in_it(log: Log, bus: Bus, tmp_path: Path) -> None:
    """One with a NUL that came again looked new, could not be written down twice, and ended every service that heard of it."""
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        for session in ("a", "a", "b"):
            await landed_again(bus, started(session), "nul\0more")
        last = await log.append(started("c"))
        await projection.wait_for(last, timeout_s=20)
        assert await projection.read(ids) == ["a", "b", "c"]


async def test_a_rebuild_that_is_killed_in_the_middle_is_gone_on_with_and_makes_the_same_rows(
    nats: nats_server.Server, bus: Bus, tmp_path: Path
) -> None:
    path, whole, many = tmp_path / "p.sqlite", tmp_path / "whole.sqlite", 5000
    for number in range(1, many + 1):
        one = started(f"s{number}")
        await bus.nc.publish(catalog.subject_of(one), codec.encode(one), headers=codec.headers(one, f"id-{number}"))
    await bus.nc.flush(60)
    async with child.spawn([sys.executable, "-c", KILLED, nats.url, str(path), str(many - 100)]) as killed:
        assert await killed.wait() == -signal.SIGKILL
    standing = rows.stood_in(path)
    assert standing is not None
    assert 0 < standing.sequence < many - 100
    for file in (path, whole):
        async with Projection(bus, file, SCHEMA).running():
            pass
    assert len(rows_of(whole)["sessions"]) == many
    assert rows_of(path) == rows_of(whole)


async def test_whoever_waited_in_vain_leaves_nothing_behind(bus: Bus, tmp_path: Path) -> None:
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        for _ in range(3):
            with pytest.raises(ProjectionBehind):
                await projection.wait_for(1_000_000, timeout_s=0)
        assert not projection._waiting


async def test_bodies_that_cannot_be_read_or_applied_are_parked_and_stop_nothing(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    await bus.js.publish("bench.session.x.started", b'{"event_type":"session_start"}')
    await bus.js.publish("bench.session.x.novelty", b'{"event_type":"novelty"}')
    await bus.js.publish("bench.session.x.started", b"\xff not json")
    await log.append(started("bad", "poison"))
    await log.append(started("good"))
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        assert await projection.read(ids) == ["good"]
        assert (projection.state.unknown, projection.state.malformed) == (1, 3)
        assert projection.state.applied == 5


async def test_a_server_that_is_killed_and_comes_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with nats_server.running(tmp_path / "nats") as server:
        port = server.port
        async with connected(NatsSettings(nats_url=server.url), name="t") as bus:
            log = Log(bus)
            projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
            async with projection.running():
                await log.append(started("before"))
                server.process.kill()
                await server.process.wait()
                writing = asyncio.create_task(log.append(started("meanwhile"), deadline_s=20))
                async with nats_server.running(tmp_path / "nats", port=port):
                    await writing
                    last = await log.append(started("after"))
                    await projection.wait_for(last, timeout_s=30)
                    assert await projection.read(ids) == ["before", "meanwhile", "after"]
                    await eventually(lambda: projection.state.behind == 0)


async def test_a_projection_ends_when_it_is_told_to_even_if_an_event_arrives_at_that_moment(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    """A service that wrote its last word and then stopped hung: the word's arrival swallowed the cancel."""
    for number in range(20):
        async with asyncio.timeout(30), Projection(bus, tmp_path / "p.sqlite", SCHEMA).running():
            await log.append(started(f"last-{number}"))


async def test_rows_that_were_damaged_while_nobody_looked_are_built_anew(log: Log, bus: Bus, tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    for number in range(200):
        await log.append(started(f"s{number}"))
    async with Projection(bus, path, SCHEMA).running():
        pass
    whole = rows_of(path)
    scribbled(path)
    async with Projection(bus, path, SCHEMA).running():
        assert rows_of(path) == whole


async def test_damage_that_a_reader_runs_into_ends_the_projection_and_the_next_one_builds_it_anew(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    path = tmp_path / "p.sqlite"
    for number in range(200):
        await log.append(started(f"s{number}"))
    projection = Projection(bus, path, SCHEMA)
    with pytest.raises(ExceptionGroup) as ended:  # noqa: PT012 - it ends in the middle
        async with projection.running():
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            scribbled(path)
            with pytest.raises(ProjectionDamaged):
                await projection.read(ids)
            await asyncio.sleep(30.0)
    assert ended.group_contains(ProjectionDamaged)
    async with Projection(bus, path, SCHEMA).running():
        assert len(rows_of(path)["sessions"]) == 200


def scribbled(path: Path) -> None:
    """Spoils every page but the first."""
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        for page in range(1, pages):
            file.seek(page * 4096)
            file.write(bytes([255]) * 512)
