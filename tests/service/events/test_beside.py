"""Rows that follow the log beside others, which read it for both."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlite_utils import Database

from benchwire.events import catalog, codec
from benchwire.events.bus import STREAM, Bus
from benchwire.events.follow import StreamReplaced
from benchwire.events.host import HostStopped
from benchwire.events.log import Log, Recorded
from benchwire.events.projection import Projection, Schema, rows_of
from benchwire.events.session import SessionStarted
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.messages import landed_again

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
TABLES = "CREATE TABLE heard (seq INTEGER, id TEXT);"


def apply(db: Database, one: Recorded) -> None:
    about = one.event.session_id if isinstance(one.event, SessionStarted) else "another"
    db.conn.execute("INSERT INTO heard VALUES (?, ?)", (one.sequence, about))


ALL = Schema(filters=["bench.>"], tables=TABLES, apply=apply)
SESSIONS = Schema(filters=["bench.session.*.*"], tables=TABLES, apply=apply)


def started(session: str) -> SessionStarted:
    return SessionStarted(timestamp=NOW, session_id=session)


@asynccontextmanager
async def both(bus: Bus, place: Path) -> AsyncIterator[tuple[Projection, Projection]]:
    first = Projection(bus, place / "all.sqlite", ALL)
    second = Projection(bus, place / "sessions.sqlite", SESSIONS, linger_s=0.01, beside=first)
    async with first.running(), second.running():
        yield first, second


async def readings(bus: Bus) -> int:
    return int((await bus.js.stream_info(STREAM)).state.consumer_count)


async def one_reading(bus: Bus) -> bool:
    return await readings(bus) == 1


def ids(db: Database) -> list[str]:
    return [row[0] for row in db.conn.execute("SELECT id FROM heard ORDER BY seq")]


async def test_the_log_is_read_once_for_both_and_each_has_what_is_its_own(bus: Bus, log: Log, tmp_path: Path) -> None:
    await log.append(started("before"))
    async with both(bus, tmp_path) as (first, second):
        await second.wait_for(await log.append(started("a")), timeout_s=30)
        await eventually(lambda: one_reading(bus))
        await log.append(HostStopped(timestamp=NOW, host="h"))
        await log.append_all([started(f"s{number}") for number in range(900)], event_ids=[None] * 900, deadline_s=30)
        last = await log.append(started("last"))
        await second.wait_for(last, timeout_s=30)
        await first.wait_for(last, timeout_s=30)
        expected = ["before", "a", *(f"s{number}" for number in range(900)), "last"]
        assert await second.read(ids) == expected
        assert await first.read(ids) == [*expected[:2], "another", *expected[2:]]
        assert await readings(bus) == 1


async def test_each_goes_on_from_its_own_place_after_a_restart_and_a_rebuild_equals_it(
    bus: Bus, log: Log, tmp_path: Path
) -> None:
    async with both(bus, tmp_path) as (_, second):
        await second.wait_for(await log.append(started("a")), timeout_s=30)
    async with Projection(bus, tmp_path / "all.sqlite", ALL).running():  # it alone
        await log.append(started("meanwhile"))
    async with both(bus, tmp_path) as (_, second):
        await second.wait_for(await log.append(started("b")), timeout_s=30)
        await second.wait_for(await log.append(started("c")), timeout_s=30)
        assert await second.read(ids) == ["a", "meanwhile", "b", "c"]
    async with Projection(bus, tmp_path / "new.sqlite", SESSIONS).running():
        pass
    assert rows_of(tmp_path / "new.sqlite") == rows_of(tmp_path / "sessions.sqlite")


async def test_an_event_that_comes_twice_makes_one_row_in_each(bus: Bus, log: Log, tmp_path: Path) -> None:
    async with both(bus, tmp_path) as (first, second):
        await second.wait_for(await log.append(started("a"), event_id="once"), timeout_s=30)
        await eventually(lambda: one_reading(bus))
        await landed_again(bus, started("a"), event_id="once")
        last = await log.append(started("b"), deadline_s=30)
        for one in (first, second):
            await one.wait_for(last, timeout_s=30)
            assert await one.read(ids) == ["a", "b"]


async def test_both_go_on_when_the_connection_comes_back(bus: Bus, log: Log, tmp_path: Path) -> None:
    async with both(bus, tmp_path) as (_, second):
        await second.wait_for(await log.append(started("a")), timeout_s=30)
        await eventually(lambda: one_reading(bus))
        await bus.nc.force_reconnect()
        await eventually(lambda: bus.reconnects == 1 and bus.connected)
        await second.wait_for(await log.append(started("b"), deadline_s=30), timeout_s=30)
        assert await second.read(ids) == ["a", "b"]


async def test_who_reads_by_himself_again_notices_that_the_log_has_lost_what_he_had_not_read(
    bus: Bus, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchwire.events.relay._MOST_BYTES", 2_000)
    monkeypatch.setattr("benchwire.events.projection.projection.FEW", 0)  # or it would be the loop that is stuck
    is_stuck, may_go_on = threading.Event(), threading.Event()

    def slowly(db: Database, one: Recorded) -> None:
        if one.event == started("stuck"):
            is_stuck.set()
            may_go_on.wait(30)
        apply(db, one)

    async def behind() -> None:
        first = Projection(bus, tmp_path / "all.sqlite", ALL)
        slow = Schema(filters=SESSIONS.filters, tables=TABLES, apply=slowly)
        second = Projection(bus, tmp_path / "sessions.sqlite", slow, beside=first)
        try:
            async with first.running(), second.running():
                await second.wait_for(await log.append(started("a")), timeout_s=30)
                await eventually(lambda: one_reading(bus))
                await log.append(started("stuck"))
                await eventually(is_stuck.is_set)
                many = [started(f"s{number}") for number in range(50)]
                await log.append_all(many, event_ids=[None] * 50, deadline_s=30)
                await first.wait_for(await log.append(started("last"), deadline_s=30), timeout_s=30)
                await bus.js.purge_stream(STREAM, keep=5)
                may_go_on.set()
                await asyncio.Event().wait()  # until this is ended
        finally:
            may_go_on.set()

    with pytest.raises(ExceptionGroup) as raised:
        await behind()
    assert raised.group_contains(StreamReplaced, match="no longer in the log")


async def test_an_event_with_a_header_of_the_servers_own_is_an_event_like_any_other(
    bus: Bus, log: Log, tmp_path: Path
) -> None:
    one = started("a")
    async with both(bus, tmp_path) as (_, second):
        await bus.nc.publish(
            catalog.subject_of(one), codec.encode(one), headers={"Status": "100", "Description": "Idle"}
        )
        await bus.nc.flush()
        await second.wait_for(await log.append(started("b"), deadline_s=30), timeout_s=30)
        assert await second.read(ids) == ["a", "b"]
