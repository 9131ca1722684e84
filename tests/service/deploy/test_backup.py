"""A lab is backed up while it is written to, and restored into an empty one; then into servers and files of which something is wrong."""

import asyncio
import contextlib
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlite_utils import Database

from benchwire.deploy.backup import making, protocol, records, restoring
from benchwire.deploy.backup.container import Manifest
from benchwire.deploy.backup.errors import NotDone
from benchwire.deploy.backup.making import made
from benchwire.deploy.backup.protocol import snapshot
from benchwire.deploy.backup.restoring import restored
from benchwire.documents.projection import SCHEMA as DOCUMENTS
from benchwire.events import child, nats_server, queue, streams
from benchwire.events.blobs import Blobs
from benchwire.events.bus import RESTORING, STREAM, Bus, NatsUnreachable, connected
from benchwire.events.catalog import CATALOG, FACTS
from benchwire.events.document import DocumentCreated
from benchwire.events.follow import Message, held
from benchwire.events.log import Log, Recorded, recorded
from benchwire.events.presence import BACKUP, Presence, Present
from benchwire.events.projection import Projection, Schema, rows_of
from benchwire.events.settings import NatsSettings
from benchwire.events.snapshots.keeper import Keeper, Policy
from benchwire.events.snapshots.shelf import Shelf
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT, sample
from benchwire.observability.projection import SCHEMA as OBSERVABILITY

MIB = 1 << 20


def settings(server: nats_server.Server) -> NatsSettings:
    return NatsSettings(nats_url=server.url, nats_connect_timeout_s=5.0)


def nothing(_part: str, _done: int, _total: int) -> None:
    pass


def nothing_of(path: Path) -> bool:
    """Whether neither the backup is there nor a draft of it."""
    return not [one for one in path.parent.iterdir() if path.name in one.name]


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody frees anything in these labs, so nobody has to be waited for."""
    monkeypatch.setattr(making, "_FREES_S", 0.0)


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[nats_server.Server]:
    """An empty lab."""
    async with nats_server.running(tmp_path / "other") as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab.tar"


async def facts(bus: Bus) -> list[Message]:
    async with aclosing(held(bus, [FACTS])) as batches:
        return [message async for batch in batches for message in batch.messages]


def folded(path: Path, schema: Schema, messages: list[Message]) -> dict[str, list[tuple[object, ...]]]:
    """The rows of these events, without the machinery that follows a log."""
    db = Database(path)
    db.executescript(schema.tables)
    for message in messages:
        one = recorded(message)
        assert isinstance(one, Recorded)
        with contextlib.suppress(Exception), db.atomic():  # made-up events need not fit together
            schema.apply(db, one)
    db.close()
    return rows_of(path)


async def rebuilt(bus: Bus, path: Path, schema: Schema) -> dict[str, list[tuple[object, ...]]]:
    async with Projection(bus, path, schema).running():
        pass
    return await asyncio.to_thread(rows_of, path)


async def stored_document(log: Log, document_id: str, data: bytes) -> None:
    artifact = await Blobs(log.bus).put(data, name=document_id)
    event = DocumentCreated(
        timestamp=AT, document_id=document_id, filename="a.bin", content_type="application/octet-stream",
        size_bytes=len(data), digest=artifact.digest,
    )  # fmt: skip
    await log.append(event)


async def writing(log: Log) -> None:
    """A lab at work: every kind of fact, and documents, for as long as it is looked at."""
    number = 0
    while True:
        number += 1
        for entry in CATALOG:
            if entry.subject.startswith("bench."):
                await log.append(sample(entry.event))
        await stored_document(log, f"during-{number}", os.urandom(20_000))


async def test_a_lab_that_was_backed_up_while_it_worked_comes_back_row_for_row(
    log: Log, nats: nats_server.Server, other: nats_server.Server, path: Path, tmp_path: Path
) -> None:
    await stored_document(log, "before", b"before the backup" * 1000)
    load = asyncio.create_task(writing(log))
    try:
        before = await log.last_sequence(FACTS)
        await eventually(lambda: _beyond(log, before + 2 * len(CATALOG)))
        manifest = await made(settings(nats), path, nothing)
    finally:
        load.cancel()
        await asyncio.wait([load])
    last = manifest.log.head.last_sequence
    assert before + 2 * len(CATALOG) < last < await log.last_sequence(FACTS), "events came before, and went on to come"

    await restored(settings(other), path, nothing)

    there = [message for message in await facts(log.bus) if message.sequence <= last]
    async with connected(settings(other), name="restored") as bus:
        assert await facts(bus) == there, "sequences, subjects, times, headers and bodies are what they were"
        for name, schema in (("observability", OBSERVABILITY), ("documents", DOCUMENTS)):
            rows = await rebuilt(bus, tmp_path / f"{name}.sqlite", schema)
            assert rows == await asyncio.to_thread(folded, tmp_path / f"{name}-folded.sqlite", schema, there)
        created = [
            one.event
            for one in map(recorded, there)
            if isinstance(one, Recorded) and isinstance(one.event, DocumentCreated)
        ]
        documents = [one for one in created if one.document_id == "before" or one.document_id.startswith("during-")]
        assert len(documents) > 1
        for one in documents:
            assert hashlib.sha256(await Blobs(bus).get(one.digest)).hexdigest() == one.digest
        assert await Log(bus).append(sample(DocumentCreated)) == last + 1, "the log goes on where it was"


async def _beyond(log: Log, sequence: int) -> bool:
    return await log.last_sequence(FACTS) > sequence


async def test_rows_of_before_go_on_after_a_restore_and_rows_that_were_ahead_of_the_backup_are_built_anew(
    log: Log, nats: nats_server.Server, other: nats_server.Server, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log goes on in another way than it did: who has seen more than was backed up has seen what did not happen here."""
    behind, ahead = path.with_name("behind.sqlite"), path.with_name("ahead.sqlite")
    await stored_document(log, "one", b"one")
    await rebuilt(log.bus, behind, DOCUMENTS)
    await made(settings(nats), path, nothing)
    await stored_document(log, "lost", b"after the backup")
    await rebuilt(log.bus, ahead, DOCUMENTS)

    await restored(settings(other), path, nothing)
    async with connected(settings(other), name="restored") as bus:
        await stored_document(Log(bus), "two", b"in the place of the lost one")
        await stored_document(Log(bus), "three", b"beyond it")
        anew = await rebuilt(bus, path.with_name("anew.sqlite"), DOCUMENTS)
        caplog.clear()
        assert await rebuilt(bus, behind, DOCUMENTS) == anew
        assert "rebuilding" not in caplog.text
        assert await rebuilt(bus, ahead, DOCUMENTS) == anew
        assert "rebuilding" in caplog.text
        caplog.clear()
        assert await rebuilt(bus, behind, DOCUMENTS) == anew
        assert "rebuilding" not in caplog.text, "it belongs to this log now"


async def test_a_log_that_had_lost_its_beginning_comes_back_with_the_snapshots_that_stand_for_it(
    log: Log, nats: nats_server.Server, other: nats_server.Server, path: Path, tmp_path: Path
) -> None:
    for number in range(5):
        await stored_document(log, f"doc-{number}", b"%d" % number)
    file = tmp_path / "before.sqlite"
    live = Projection(log.bus, file, DOCUMENTS)
    async with live.running():
        shelf = Shelf(log.bus, DOCUMENTS.name, DOCUMENTS.file_version)
        assert await Keeper(shelf, file, Policy(events=1, every_s=0), live.settled).look()
    js = log.bus.js
    await js.purge_stream(STREAM, keep=1)
    config = (await js.stream_info(STREAM)).config
    config.metadata = streams.marks(config.metadata or {}, 0.0, 1 << 30)
    await js.update_stream(config)

    await made(settings(nats), path, nothing)
    await restored(settings(other), path, nothing)
    async with connected(settings(other), name="restored") as bus:
        projection = Projection(bus, tmp_path / "after.sqlite", DOCUMENTS, with_snapshots=True)
        async with projection.running():
            assert not projection.state.lacking
        assert await asyncio.to_thread(rows_of, tmp_path / "after.sqlite") == await asyncio.to_thread(rows_of, file)
        assert (await streams.beginning(bus.js)).is_gone


async def test_a_request_that_was_under_way_comes_again_and_those_that_were_done_before_it_do_not(
    bus: Bus, nats: nats_server.Server, other: nats_server.Server, path: Path
) -> None:
    for number in range(5):
        await bus.js.publish("bench.work.requested", b"%d" % number)
    async with aclosing(queue.deliveries(bus, "workers", "bench.work.requested", batch=5)) as work:
        taken = [await anext(work) for _ in range(5)]
        for done in (0, 1, 3):
            await taken[done].ack_sync()
        await made(settings(nats), path, nothing)
    await restored(settings(other), path, nothing)
    async with (
        connected(settings(other), name="restored") as again,
        aclosing(queue.deliveries(again, "workers", "bench.work.requested", batch=5)) as work,
    ):
        bodies = [(await anext(work)).data for _ in range(3)]
    assert bodies == [b"2", b"3", b"4"], "3 was done, which the log says to whoever takes it"


async def test_what_the_log_of_a_backup_names_is_in_it_whenever_that_was_stored(
    log: Log, nats: nats_server.Server, other: nats_server.Server, path: Path
) -> None:
    await stored_document(log, "large", os.urandom(12 * MIB))
    uploads: dict[str, asyncio.Task[None]] = {}

    def upload(part: str, _done: int, _total: int) -> None:
        if part not in uploads:
            uploads[part] = asyncio.create_task(stored_document(log, part, part.encode()))

    await made(settings(nats), path, upload)
    await asyncio.gather(*uploads.values())
    assert uploads.keys() >= {STREAM, records.STREAM}
    await restored(settings(other), path, nothing)
    async with connected(settings(other), name="restored") as bus:
        for one in map(recorded, await facts(bus)):
            assert isinstance(one, Recorded)
            assert isinstance(one.event, DocumentCreated)
            assert await Blobs(bus).has(one.event.digest), one.event.document_id


async def test_a_record_that_moved_while_its_bytes_were_read_is_not_lost(
    bus: Bus, nats: nats_server.Server, other: nats_server.Server, tmp_path: Path, path: Path
) -> None:
    """A second upload of the same bytes writes their record anew; the old one goes, and the snapshot has neither."""
    blobs = Blobs(bus)
    await blobs.put(os.urandom(12 * MIB), name="more than a window")
    artifact = await blobs.put(b"twice", name="twice")

    again: list[asyncio.Task[object]] = []

    def put_again(part: str, _done: int, _total: int) -> None:
        if part == records.STREAM and not again:
            again.append(asyncio.create_task(blobs.put(b"twice", name="twice")))

    manifest = await made(settings(nats), path, put_again)
    await asyncio.gather(*again)
    assert manifest.late_records.size_bytes > len("[]"), "it moved"
    await restored(settings(other), path, nothing)
    async with connected(settings(other), name="restored") as there:
        assert await Blobs(there).get(artifact.digest) == b"twice"


async def test_bytes_that_are_freed_meanwhile_by_whoever_does_not_heed_the_mark_end_the_backup(
    bus: Bus, nats: nats_server.Server, path: Path
) -> None:
    artifact = await Blobs(bus).put(os.urandom(12 * MIB), name="a")
    deletes: list[asyncio.Task[None]] = []

    def free(part: str, _done: int, _total: int) -> None:
        if part == STREAM and not deletes:
            deletes.append(asyncio.create_task(Blobs(bus).delete(artifact.digest)))

    await bus.js.publish("bench.x.y", b"{}")
    with pytest.raises(NotDone, match=r"bytes were freed|broke off"):
        await made(settings(nats), path, free)
    await asyncio.gather(*deletes)
    assert nothing_of(path)


async def test_two_backups_at_a_time_are_refused(bus: Bus, nats: nats_server.Server, path: Path) -> None:
    service, name = BACKUP
    async with Presence(bus).announced(Present(service=service, name=name, version="0", pid=1)):
        with pytest.raises(NotDone, match="another backup"):
            await made(settings(nats), path, nothing)


async def test_what_is_no_lab_cannot_be_backed_up(other: nats_server.Server, path: Path) -> None:
    with pytest.raises(NotDone, match="there is no lab behind this NATS server"):
        await made(settings(other), path, nothing)
    assert nothing_of(path)


@pytest.fixture
async def lab(log: Log, nats: nats_server.Server, path: Path) -> Manifest:
    """A backup of a small lab."""
    await stored_document(log, "one", os.urandom(4 * MIB))
    return await made(settings(nats), path, nothing)


async def empty(server: nats_server.Server) -> bool:
    async with connected(settings(server), name="look", ensured=False) as bus:
        return not await bus.js.streams_info()


@pytest.mark.usefixtures("lab")
async def test_a_lab_in_which_something_happened_is_left_alone(other: nats_server.Server, path: Path) -> None:
    async with connected(settings(other), name="other") as bus:
        await bus.js.publish("bench.x.y", b"mine")
        with pytest.raises(NotDone, match="not empty: BENCH goes up to 1"):
            await restored(settings(other), path, nothing)
        assert [one.body for one in await facts(bus)] == [b"mine"]


@pytest.mark.usefixtures("lab")
async def test_a_lab_in_which_services_run_is_left_alone(other: nats_server.Server, path: Path) -> None:
    async with (
        connected(settings(other), name="other") as bus,
        Presence(bus).announced(Present(service="documents", name="here", version="0", pid=1)),
    ):
        with pytest.raises(NotDone, match=r"services run in this lab \(documents\); stop them first"):
            await restored(settings(other), path, nothing)


async def test_a_lab_that_was_started_and_never_used_counts_as_empty(
    lab: Manifest, other: nats_server.Server, path: Path
) -> None:
    async with connected(settings(other), name="other"):
        pass
    await restored(settings(other), path, nothing)
    async with connected(settings(other), name="other") as bus:
        assert await Log(bus).last_sequence(FACTS) == lab.log.head.last_sequence


@pytest.mark.usefixtures("lab")
async def test_a_damaged_file_is_found_out_before_anything_is_restored(other: nats_server.Server, path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(b"altered")
    with pytest.raises(NotDone, match="is damaged: OBJ_artifacts"):
        await restored(settings(other), path, nothing)
    assert await empty(other)


@pytest.mark.usefixtures("lab")
async def test_a_server_with_too_little_storage_is_named_and_left_empty(tmp_path: Path, path: Path) -> None:
    store = tmp_path / "small"
    config = tmp_path / "small.conf"
    config.write_text(f'jetstream {{ store_dir: "{store}", max_file_store: 2MB }}')
    argv = [
        nats_server.binary(),
        "--config",
        str(config),
        "--addr",
        "127.0.0.1",
        "--port",
        "-1",
        "--ports_file_dir",
        str(tmp_path),
    ]
    async with child.spawn(argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL) as process:
        url = await eventually(lambda: nats_server.ports_of(tmp_path, process.pid))
        with pytest.raises(NotDone, match="too little JetStream storage for OBJ_artifacts"):
            await restored(NatsSettings(nats_url=url), path, nothing)
        assert await empty(nats_server.Server(store, process, url))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for servers that are gone no longer than a test likes to."""
    monkeypatch.setattr(protocol, "_SILENT_S", 1.0)
    monkeypatch.setattr(restoring, "_BACK_S", 1.0)


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_dies_in_the_middle_of_a_backup_leaves_no_file(
    log: Log, nats: nats_server.Server, path: Path
) -> None:
    await stored_document(log, "one", os.urandom(12 * MIB))
    await log.bus.nc.end()

    def die(part: str, _done: int, _total: int) -> None:
        if part == records.STREAM:
            with contextlib.suppress(ProcessLookupError):
                os.kill(nats.process.pid, signal.SIGKILL)

    with pytest.raises(NotDone, match="in the middle of OBJ_artifacts"):
        await made(settings(nats), path, die)
    assert nothing_of(path)


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_dies_in_the_middle_of_a_restore_is_no_lab_until_it_was_restored(
    lab: Manifest, path: Path, tmp_path: Path
) -> None:
    store = tmp_path / "third"
    async with nats_server.running(store) as server:

        def die(part: str, _done: int, _total: int) -> None:
            if part == records.STREAM:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server.process.pid, signal.SIGKILL)

        with pytest.raises(NotDone, match="the next `benchwire restore` removes it"):
            await restored(settings(server), path, die)
    async with nats_server.running(store) as server:
        with pytest.raises(NatsUnreachable, match="BENCH is being restored"):
            async with connected(settings(server), name="a service"):
                pass
        with pytest.raises(NotDone, match="is being restored, or that broke off"):
            await made(settings(server), tmp_path / "another.tar", nothing)
        await restored(settings(server), path, nothing)
        async with connected(settings(server), name="a service") as bus:
            assert await Log(bus).last_sequence(FACTS) == lab.log.head.last_sequence
            assert RESTORING not in ((await bus.js.stream_info(STREAM)).config.metadata or {})


@pytest.mark.usefixtures("lab")
async def test_a_restore_that_is_broken_off_leaves_an_empty_lab(other: nats_server.Server, path: Path) -> None:
    begun = asyncio.Event()
    task = asyncio.create_task(
        restored(settings(other), path, lambda part, _done, _total: begun.set() if part == records.STREAM else None)
    )
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await empty(other)


async def test_a_snapshot_that_nobody_takes_further_does_not_hold_the_server(bus: Bus) -> None:
    await Blobs(bus).put(os.urandom(12 * MIB), name="a")
    async with snapshot(bus, records.STREAM) as (_, chunks):
        assert await anext(chunks)
    await Blobs(bus).put(b"another", name="b")
