"""Rows that start from a snapshot are the rows that the log makes, whatever became of the log's beginning or of the snapshot."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from nats.js.api import StreamConfig
from sqlite_utils import Database

from benchwire.agent.projection import SCHEMA as AGENT
from benchwire.documents.projection import SCHEMA as DOCUMENTS
from benchwire.events import catalog, streams
from benchwire.events.bus import STREAM, Bus
from benchwire.events.event import Event
from benchwire.events.log import Log, Recorded
from benchwire.events.projection import Projection, Schema, rows_of
from benchwire.events.session import SessionDeleted, SessionStarted
from benchwire.events.snapshots import file
from benchwire.events.snapshots.keeper import Keeper, Policy, Reach
from benchwire.events.snapshots.record import BUCKET, Snapshot, chunks_of
from benchwire.events.snapshots.shelf import Overtaken, Shelf
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.messages import landed_again
from benchwire.events.testing.samples import AT, sample
from benchwire.flash_agent.projection import schema as flash_agent
from benchwire.observability.projection import SCHEMA as OBSERVABILITY
from benchwire.observability.projection.search import SCHEMA as SEARCH

SCHEMAS = [OBSERVABILITY, SEARCH, DOCUMENTS, AGENT, flash_agent("host-1")]
FACTS = [
    entry.event for entry in catalog.CATALOG if entry.subject.startswith("bench.") and entry.event is not SessionDeleted
]


def facts(number: int) -> list[Event]:
    """One of each, of aggregates of their own; of some of them, so that rows change that are there already."""
    made = []
    for kind in FACTS:
        names = {field.name for field in msgspec.structs.fields(kind)}
        own = {
            name: f"{name}-{number}"
            for name in ("session_id", "task_id", "job_id", "lease_id", "document_id")
            if name in names
        }
        made.append(sample(kind, **own, **({"host": "host-1"} if "host" in names else {})))
    return made


async def appended(log: Log, number: int) -> int:
    last = 0
    for event in facts(number):
        last = await log.append(event)
    return last


def shelf_of(bus: Bus, schema: Schema) -> Shelf:
    return Shelf(bus, schema.name, schema.file_version)


def keeper_of(bus: Bus, projection: Projection, path: Path, schema: Schema, *, events: int = 1) -> Keeper:
    """One that makes a snapshot whenever it looks, once there are so many ``events`` more."""
    policy = Policy(events=events, every_s=0)
    return Keeper(shelf_of(bus, schema), path, policy, projection.settled, projection.forgotten)


async def copied(bus: Bus, schema: Schema, path: Path) -> Snapshot:
    """Brings the rows of ``path`` to the present, and makes a snapshot of them."""
    projection = Projection(bus, path, schema)
    async with projection.running():
        made = await keeper_of(bus, projection, path, schema).look()
    assert made is not None
    return made


async def started(bus: Bus, schema: Schema, path: Path, *, with_snapshots: bool = True) -> Projection:
    projection = Projection(bus, path, schema, with_snapshots=with_snapshots)
    async with projection.running():
        pass
    return projection


@pytest.mark.parametrize("schema", SCHEMAS, ids=[one.name for one in SCHEMAS])
async def test_rows_from_a_snapshot_and_the_tail_are_those_of_a_rebuild_also_when_the_beginning_is_gone(
    schema: Schema, log: Log, bus: Bus, tmp_path: Path
) -> None:
    await appended(log, 1)
    again = sample(SessionStarted, session_id="twice", session_name="twice")
    await log.append(again, event_id="the-same")
    made = await copied(bus, schema, tmp_path / "live.sqlite")
    await landed_again(bus, again, "the-same")
    await appended(log, 2)
    await log.append(SessionDeleted(timestamp=AT, session_id="session_id-1"))

    await started(bus, schema, tmp_path / "rebuilt.sqlite", with_snapshots=False)
    await started(bus, schema, tmp_path / "whole.sqlite")
    await bus.js.purge_stream(STREAM, seq=made.sequence + 1)
    cut = await started(bus, schema, tmp_path / "cut.sqlite")
    assert cut.state.lacking is None
    await started(bus, schema, tmp_path / "live.sqlite")

    rebuilt = rows_of(tmp_path / "rebuilt.sqlite")
    assert sum(map(len, rebuilt.values()))
    for name in ("live", "whole", "cut"):
        assert rows_of(tmp_path / f"{name}.sqlite") == rebuilt, name


def kept(db: Database, one: Recorded) -> None:
    db.conn.execute("INSERT INTO sessions VALUES (?, ?)", (one.sequence, one.id))


MINE = Schema(
    name="mine", filters=["bench.session.>"], tables="CREATE TABLE sessions (seq INTEGER, id TEXT);", apply=kept
)


async def some(log: Log, count: int = 10) -> int:
    last = 0
    for number in range(count):
        last = await log.append(SessionStarted(timestamp=AT, session_id=f"s{number}"))
    return last


@pytest.fixture
async def twice_copied(log: Log, bus: Bus, tmp_path: Path) -> tuple[Snapshot, Snapshot]:
    """An older and a newer snapshot, and a few events behind them."""
    await some(log)
    older = await copied(bus, MINE, tmp_path / "live.sqlite")
    await some(log)
    newer = await copied(bus, MINE, tmp_path / "live.sqlite")
    await some(log)
    return older, newer


async def broken(bus: Bus, snapshot: Snapshot) -> None:
    """Takes a piece out of it."""
    last = await bus.js.get_last_msg(BUCKET, chunks_of(snapshot))
    assert last.seq
    await bus.js.delete_msg(BUCKET, last.seq)


async def test_a_broken_snapshot_is_said_and_the_next_one_is_taken_and_then_the_log(
    twice_copied: tuple[Snapshot, Snapshot], bus: Bus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    older, newer = twice_copied
    await started(bus, MINE, tmp_path / "live.sqlite")
    for bad, said in (
        (newer, f"starts from the snapshot {older.name} at 10"),
        (older, f"{older.name} at 10 is of no use"),
    ):
        await broken(bus, bad)
        caplog.clear()
        await started(bus, MINE, tmp_path / f"{bad.sequence}.sqlite")
        assert f"{newer.name} at 20 is of no use" in caplog.text
        assert said in caplog.text
        assert rows_of(tmp_path / f"{bad.sequence}.sqlite") == rows_of(tmp_path / "live.sqlite")
        assert not _left(tmp_path)


async def test_what_the_log_lost_before_it_was_applied_is_said_for_good(log: Log, bus: Bus, tmp_path: Path) -> None:
    await some(log)
    path = tmp_path / "p.sqlite"
    await started(bus, MINE, path)
    await some(log)
    await bus.js.purge_stream(STREAM, seq=16)
    for _ in range(2):
        projection = await started(bus, MINE, path)
        assert projection.state.lacking is not None
        assert "events 11 to 15 are no longer in the log" in projection.state.lacking
    assert len(rows_of(path)["sessions"]) == 15
    # Rows that lack something are copied only while nobody has whole ones: of a host that came later there are no others.
    assert (await copied(bus, MINE, path)).lacks
    fresh = await started(bus, MINE, tmp_path / "fresh.sqlite")
    assert "events 11 to 15" in (fresh.state.lacking or "")


async def test_rows_that_lack_something_are_whole_again_once_a_snapshot_reaches(
    twice_copied: tuple[Snapshot, Snapshot], log: Log, bus: Bus, tmp_path: Path
) -> None:
    _, newer = twice_copied
    await bus.js.purge_stream(STREAM, seq=newer.sequence)
    alone = Projection(bus, tmp_path / "p.sqlite", MINE, with_snapshots=False)
    async with alone.running():
        assert alone.state.lacking
        keeper = keeper_of(bus, alone, tmp_path / "p.sqlite", MINE)
        assert await keeper.look() is None, "it does not take the place of a snapshot that lacks nothing"
    again = await started(bus, MINE, tmp_path / "p.sqlite")
    assert again.state.lacking is None
    await started(bus, MINE, tmp_path / "live.sqlite")
    assert rows_of(tmp_path / "p.sqlite") == rows_of(tmp_path / "live.sqlite")


async def test_a_log_that_only_lost_a_deleted_session_lacks_nothing(log: Log, bus: Bus, tmp_path: Path) -> None:
    await log.append(SessionStarted(timestamp=AT, session_id="s1"))
    await some(log, 3)
    tombstone = await log.append(SessionDeleted(timestamp=AT, session_id="s1"))
    await bus.js.purge_stream(STREAM, seq=tombstone, subject="bench.session.s1.*")
    assert (await bus.js.stream_info(STREAM)).state.first_seq > 1
    assert (await started(bus, MINE, tmp_path / "p.sqlite")).state.lacking is None


async def test_events_that_grew_too_old_count_as_gone_and_those_of_a_younger_log_do_not(log: Log, bus: Bus) -> None:
    await some(log, 3)
    tombstone = await log.append(SessionDeleted(timestamp=AT, session_id="s1"))
    config = (await bus.js.stream_info(STREAM)).config
    await bus.js.update_stream(config, max_age=3600.0)
    await bus.js.purge_stream(STREAM, seq=tombstone)
    assert not (await streams.beginning(bus.js)).is_gone, "the log is younger than that"
    await bus.js.update_stream(config, max_age=0.1, duplicate_window=0.1)
    await eventually(lambda: _is_gone(bus))
    await bus.js.update_stream(config, max_age=0, metadata=streams.marks({}, 0.1, 0))
    assert (await streams.beginning(bus.js)).is_gone, "the limit was lifted, and what it took is still gone"


async def _is_gone(bus: Bus) -> bool:
    return (await streams.beginning(bus.js)).is_gone


async def test_of_several_that_have_the_same_rows_one_makes_the_snapshot(log: Log, bus: Bus, tmp_path: Path) -> None:
    await some(log)
    projections = [Projection(bus, tmp_path / f"{number}.sqlite", MINE) for number in range(4)]
    for one in projections:
        async with one.running():
            pass
    keepers = [
        Keeper(
            shelf_of(bus, MINE),
            tmp_path / f"{number}.sqlite",
            Policy(events=1, every_s=60),
            _at(bus, 10),
        )
        for number in range(4)
    ]
    made = await asyncio.gather(*(keeper.look() for keeper in keepers))
    assert len([one for one in made if one is not None]) == 1
    assert not _left(tmp_path)


def _left(place: Path) -> list[Path]:
    return [*place.glob("*.incoming*"), *place.glob("*.copy*")]


def _at(bus: Bus, sequence: int) -> Callable[[], Awaitable[Reach | None]]:
    async def settled() -> Reach | None:
        return Reach(sequence, streams.origin_of(await bus.js.stream_info(STREAM)))

    return settled


async def test_the_two_newest_stay_and_one_who_was_overtaken_is_refused(
    twice_copied: tuple[Snapshot, Snapshot], log: Log, bus: Bus, tmp_path: Path
) -> None:
    _, newer = twice_copied
    newest = await copied(bus, MINE, tmp_path / "live.sqlite")
    shelf = shelf_of(bus, MINE)
    standing = [one for one in await shelf.slots() if not one.deleted]
    assert sorted(one.sequence for one in standing) == [newer.sequence, newest.sequence]
    state = (await bus.js.stream_info(BUCKET)).state
    assert state.messages <= 3 + 2 + 1 + 1, "records, one piece each, what is left of the third, and whose turn it is"

    async def pieces() -> AsyncIterator[bytes]:
        yield b"begun"
        async for _ in _others():
            yield b"and overtaken"

    async def _others() -> AsyncIterator[None]:
        await shelf.put(newest, _of(b"another"))
        yield None

    with pytest.raises(Overtaken):
        await shelf.put(newest, pieces())


async def _of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_rows_of_another_version_or_log_are_not_started_from(
    twice_copied: tuple[Snapshot, Snapshot], log: Log, bus: Bus, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await started(bus, msgspec.structs.replace(MINE, version=2), tmp_path / "2.sqlite")
    assert "starts from" not in caplog.text
    await bus.js.delete_stream(STREAM)
    await bus.ensure()
    await some(log, 30)
    await started(bus, MINE, tmp_path / "other.sqlite")
    assert "starts from" not in caplog.text
    assert len(rows_of(tmp_path / "other.sqlite")["sessions"]) == 30
    assert (await copied(bus, MINE, tmp_path / "other.sqlite")).sequence == 30, (
        "what stands there of the old log is no matter"
    )


async def test_a_host_where_nothing_happens_lacks_nothing_of_what_others_lost(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    quiet = msgspec.structs.replace(MINE, name="quiet", filters=["bench.device.host-1.>"])
    await some(log)
    path = tmp_path / "p.sqlite"
    assert (await copied(bus, quiet, path)).sequence == 10
    await bus.js.purge_stream(STREAM, seq=11)
    assert (await started(bus, quiet, path)).state.lacking is None
    assert (await started(bus, quiet, tmp_path / "fresh.sqlite")).state.lacking is None


async def test_what_is_lacking_is_said_once_however_often_a_service_starts(log: Log, bus: Bus, tmp_path: Path) -> None:
    quiet = msgspec.structs.replace(MINE, name="", filters=["bench.device.host-1.>"])
    await some(log)
    await bus.js.purge_stream(STREAM, seq=8)
    for _ in range(3):
        one = await started(bus, quiet, tmp_path / "p.sqlite")
        assert (one.state.lacking or "").count("events 1 to 7") == 1


async def test_rows_whose_disk_has_no_room_for_a_copy_are_left_in_peace(
    log: Log, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await some(log)
    projection = Projection(bus, tmp_path / "p.sqlite", MINE)
    async with projection.running():
        keeper = keeper_of(bus, projection, tmp_path / "p.sqlite", MINE)
        monkeypatch.setattr(file, "disk_usage", lambda _: Full())
        with pytest.raises(OSError, match="no room"):
            await keeper.look()
        monkeypatch.undo()
        assert not _left(tmp_path)
        assert await keeper.look() is not None


class Full:
    free = 100


async def test_a_file_that_is_larger_than_memory_wants_is_copied_and_unpacked_piece_by_piece(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    def apply(db: Database, one: Recorded) -> None:
        db.conn.execute("INSERT INTO sessions VALUES (?, hex(randomblob(200000)))", (one.sequence,))

    large = msgspec.structs.replace(MINE, name="large", apply=apply)
    await some(log)
    made = await copied(bus, large, tmp_path / "p.sqlite")
    assert made.chunks > 4
    assert made.file_bytes > 4_000_000 > made.size // 2
    await started(bus, large, tmp_path / "fresh.sqlite")
    assert rows_of(tmp_path / "fresh.sqlite") == rows_of(tmp_path / "p.sqlite")


async def test_streams_are_made_with_the_limits_of_the_settings_and_keep_those_that_they_have(bus: Bus) -> None:
    made = {
        str(one.name): one
        for one in streams.wanted(msgspec.structs.replace(bus.settings, log_max_age_days=30, log_max_bytes=1 << 30))
    }
    log = made[STREAM]
    assert (log.max_age, log.max_bytes) == (30 * 86_400, 1 << 30)
    bus.settings = msgspec.structs.replace(bus.settings, log_max_age_days=30)
    await bus.ensure()
    assert not (await bus.js.stream_info(STREAM)).config.max_age
    await bus.js.delete_stream(STREAM)
    await bus.ensure()
    there: StreamConfig = (await bus.js.stream_info(STREAM)).config
    assert there.max_age == 30 * 86_400
    assert (there.metadata or {})[streams.LEAST_AGE_S] == "2592000"


async def test_what_a_deleted_session_said_does_not_stay_in_a_snapshot(log: Log, bus: Bus, tmp_path: Path) -> None:
    keeping = msgspec.structs.replace(MINE, forgets=catalog.filter_of(SessionDeleted))
    await some(log)
    for _ in range(2):
        await copied(bus, keeping, tmp_path / "p.sqlite")
        await some(log, 1)
    tombstone = await log.append(SessionDeleted(timestamp=AT, session_id="s1"))
    projection = Projection(bus, tmp_path / "p.sqlite", keeping)
    async with projection.running():
        shelf = shelf_of(bus, keeping)
        keeper = keeper_of(bus, projection, tmp_path / "p.sqlite", keeping, events=1_000_000)
        assert await keeper.look() is not None, "long before it is time for one"
        assert [one.sequence for one in await shelf.slots() if not one.deleted] == [tombstone]
        assert await keeper.look() is None


async def test_a_busy_log_keeps_nobody_from_making_a_snapshot(log: Log, bus: Bus, tmp_path: Path) -> None:
    await some(log)
    projection = Projection(bus, tmp_path / "p.sqlite", MINE)
    async with projection.running(), asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(some(log, 300))
        keeper = keeper_of(bus, projection, tmp_path / "p.sqlite", MINE)
        assert await keeper.look() is not None
        await projection.wait_for(await writing, timeout_s=30)
    await started(bus, MINE, tmp_path / "fresh.sqlite")
    assert rows_of(tmp_path / "fresh.sqlite") == rows_of(tmp_path / "p.sqlite")


async def test_a_log_that_loses_its_beginning_is_copied_before_that_matters_however_little_happens(
    log: Log, bus: Bus, tmp_path: Path
) -> None:
    await some(log)
    config = (await bus.js.stream_info(STREAM)).config
    await bus.js.update_stream(config, max_age=86_400.0)
    projection = Projection(bus, tmp_path / "p.sqlite", MINE)
    async with projection.running():
        keeper = keeper_of(bus, projection, tmp_path / "p.sqlite", MINE, events=1_000_000)
        for more, copied_now in ((0, True), (5, False), (10, True)):
            await projection.wait_for(await some(log, more) if more else 10)
            assert (await keeper.look() is not None) == copied_now


async def test_the_keeper_works_by_itself_while_the_projection_runs(log: Log, bus: Bus, tmp_path: Path) -> None:
    bus.settings = msgspec.structs.replace(bus.settings, snapshot_events=5, snapshot_every_s=1.0)
    for left in ("copy", "copy-journal", "incoming"):  # by one that was killed in the middle
        (tmp_path / f"p.sqlite.{left}").write_bytes(b"some of it")
    projection = Projection(bus, tmp_path / "p.sqlite", MINE)
    async with projection.running():
        assert not _left(tmp_path)
        await some(log)
        await eventually(lambda: projection.copied == 10)
