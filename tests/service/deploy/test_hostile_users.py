"""Users of NATS that mean harm: each tries what is not its own. What may be done is derived from the tables that say who does what."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import msgspec
import pytest
from nats.errors import Error as NatsError

from benchwire.deploy.backup import making
from benchwire.deploy.backup.making import made
from benchwire.deploy.hosts import nats_conf, watch
from benchwire.deploy.hosts.keys import public_of
from benchwire.deploy.hosts.nats_conf import Server, User
from benchwire.events import child, codec, nats_server, permissions
from benchwire.events.asks import ASKS
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus, NatsUnreachable, connected
from benchwire.events.catalog import CATALOG, DOCUMENTS, FACTS, FLASH_AGENT, OBSERVABILITY, QUEUES, fill, subject_of
from benchwire.events.codec import MSG_ID
from benchwire.events.device import DeviceAttached
from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.event import Event
from benchwire.events.host import HostStarted, HostStopped
from benchwire.events.live import SerialLine
from benchwire.events.log import IdTaken, Log, NotAllowed, Recorded
from benchwire.events.permissions import ADMIN, BACKUP, OPERATOR, SERVICES, inbox_of
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection, Schema
from benchwire.events.settings import InvalidSettings, NatsSettings
from benchwire.events.snapshots.keeper import Keeper, Policy
from benchwire.events.snapshots.record import names_of
from benchwire.events.snapshots.shelf import Shelf
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import sample

OWN, OTHER = "lab-1", "lab-2"
HOSTS = (OWN, OTHER)
USERS = [(part, OWN) for part in (ADMIN, OPERATOR, BACKUP, *SERVICES)] + [(FLASH_AGENT, OTHER)]
STREAMS = ("BENCH", "LIVE", "OBJ_artifacts", "OBJ_snapshots", "KV_presence")
ON_STREAMS = (
    "CREATE",
    "UPDATE",
    "DELETE",
    "PURGE",
    "MSG.DELETE",
    "SNAPSHOT",
    "RESTORE",
    "LEADER.STEPDOWN",
    "PEER.REMOVE",
)
ON_QUEUES = ("CREATE", "DURABLE.CREATE", "MSG.NEXT", "DELETE", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN")
ALLOWED = {
    ("observability", "PURGE", "BENCH"),
    ("documents", "PURGE", "OBJ_artifacts"),
    *((BACKUP, "SNAPSHOT", stream) for stream in ("BENCH", "OBJ_artifacts", "OBJ_snapshots")),
}


class Lab:
    """A server whose users are those of the lab."""

    def __init__(self, folder: Path, url: str, process: asyncio.subprocess.Process) -> None:
        self.folder, self.url, self._process = folder, url, process

    def reload(self, *, without: str = "") -> None:
        """Has the server read who its users are, all of them or without one part's."""
        _configure(self.folder, [user for user in _users(self.folder) if user.what != without])
        self._process.send_signal(signal.SIGHUP)

    def settings(self, part: str, host: str = OWN) -> NatsSettings:
        key = seed(self.folder, part, host)
        return NatsSettings(nats_url=self.url, nats_nkey=key, nats_inbox=inbox_of(part, host))

    @contextlib.asynccontextmanager
    async def as_(self, part: str, host: str = OWN) -> AsyncIterator[Bus]:
        async with connected(self.settings(part, host), name=part) as bus:
            yield bus


def _users(folder: Path) -> list[User]:
    return [
        User(key=public_of(seed(folder, part, host)), what=part, permissions=permissions.of(part, host, HOSTS))
        for part, host in USERS
    ]


def _configure(folder: Path, users: Sequence[User]) -> Path:
    server = Server(
        name="n",
        listen="127.0.0.1:-1",
        users=users,
        system_key=public_of(folder / "system.nk"),
        log=str(folder / "log"),
    )
    conf = folder / "nats.conf"
    conf.write_text(nats_conf.keeping(server, store=str(folder / "nats")))
    return conf


def seed(folder: Path, part: str, host: str) -> Path:
    return folder / f"{part}-{host}.nk"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    store = tmp_path / "nats"
    store.mkdir()
    conf = _configure(tmp_path, _users(tmp_path))
    argv = [nats_server.binary(), "--config", str(conf), "--ports_file_dir", str(store)]
    async with child.spawn(argv, grace_s=3.0) as process:
        url = await eventually(lambda: nats_server.ports_of(store, process.pid), within_s=20, what="the server")
        made = Lab(tmp_path, url, process)
        async with made.as_(ADMIN):
            pass
        yield made


async def published(bus: Bus, subjects: Sequence[str], body: bytes = b"{}") -> int:
    """Publishes on all of these, and returns how many of it the server denied."""
    before = bus.denied
    for subject in subjects:
        await bus.nc.publish(subject, body)
    await bus.js.stream_info("BENCH")  # a flush overtakes what was published
    return bus.denied - before


async def heard(bus: Bus, subjects: Iterable[str]) -> list[str]:
    """The subjects of these to which the server lets it listen."""
    let = []

    async def nothing(_: object) -> None: ...

    for subject in subjects:
        before = bus.denied
        subscription = await bus.nc.subscribe(subject, cb=nothing)
        await bus.js.stream_info("BENCH")
        if bus.denied == before:
            let.append(subject)
            await subscription.unsubscribe()
    return let


def of_host(kind: type[Event], host: str) -> Event:
    fields = {"host": host} if "host" in kind.__struct_fields__ else {}
    return sample(kind, **fields)


@pytest.mark.parametrize("part", [OPERATOR, BACKUP, *SERVICES])
async def test_of_all_events_each_user_writes_its_own_and_no_other(lab: Lab, part: str) -> None:
    mine, others = set[str](), set[str]()
    for entry in CATALOG:
        for host in HOSTS:
            subject = subject_of(of_host(entry.event, host))
            is_mine = part in entry.writers and (part != FLASH_AGENT or host == OWN or "host" not in entry.fields)
            (mine if is_mine else others).add(subject)
    async with lab.as_(part) as bus, lab.as_(ADMIN) as admin:
        assert await published(bus, sorted(mine)) == 0
        assert await published(bus, sorted(others)) == len(others)
        facts = (await admin.js.stream_info("BENCH", subjects_filter=FACTS)).state.subjects or {}
        assert set(facts) <= mine
        assert all(bus.was_denied(subject) for subject in others)


@pytest.mark.parametrize("part", [OPERATOR, BACKUP, *SERVICES])
async def test_nobody_but_the_admin_changes_streams_or_reaches_into_queues_of_others(lab: Lab, part: str) -> None:
    streams = [
        f"$JS.API.STREAM.{verb}.{stream}"
        for verb in ON_STREAMS
        for stream in STREAMS
        if (part, verb, stream) not in ALLOWED
    ]
    theirs = {
        queue.name.format(host=host)
        for queue in QUEUES
        for host in HOSTS
        if queue.worker != part or (part == FLASH_AGENT and host != OWN)
    }
    queues = [f"$JS.API.CONSUMER.{verb}.BENCH.{name}" for verb in ON_QUEUES for name in theirs]
    # A queue can be made another one by whoever makes a consumer without saying its name in the subject, or with a filter behind it.
    queues += [f"$JS.API.CONSUMER.CREATE.BENCH.{name}.bench.x" for name in theirs]
    queues += [f"$JS.API.CONSUMER.CREATE.{stream}" for stream in STREAMS]
    acks = [f"$JS.ACK.BENCH.{name}.1.1.1.1.1" for name in theirs]
    others = ["$JS.API.ACCOUNT.PURGE.LAB", "$JS.API.META.LEADER.STEPDOWN", "$SYS.REQ.SERVER.PING"]
    async with lab.as_(part) as bus:
        tried = [*streams, *queues, *acks, *others]
        assert await published(bus, tried) == len(tried)


@pytest.mark.parametrize("part", [OPERATOR, BACKUP, *SERVICES])
async def test_nobody_asks_answers_announces_or_listens_for_another(lab: Lab, part: str) -> None:
    asks = {fill(ask.subject, {"host": host}): ask for ask in ASKS for host in HOSTS}
    denied = [subject for subject, ask in asks.items() if part not in ask.askers]
    denied += [
        f"$KV.presence.{other}.{host}" for other in (*SERVICES, "nats", BACKUP) for host in HOSTS if other != part
    ]
    denied += [f"$KV.presence.{part}.{OTHER}"] if part == FLASH_AGENT else []
    denied += [f"{inbox_of(other, OWN)}.x.y" for other in SERVICES if other != part]
    denied += [f"_REPLY.{OBSERVABILITY}.{OWN}.host.{OTHER}.scan.x"]
    wished = [">", "*.>", "$SYS.>", "$JS.>", "$JS.API.>", "$KV.>", "$O.>", "_INBOX.>", "_REPLY.>", "ask.>"]
    wished += [
        f"{inbox_of(other, host)}.>" for other in (ADMIN, *SERVICES) for host in HOSTS if (other, host) != (part, OWN)
    ]
    wished += [
        subject
        for subject, ask in asks.items()
        if ask.answerer != part or (part == FLASH_AGENT and f".{OTHER}." in subject)
    ]
    denied += [f"$KV.presence.backup.{OTHER}"] if part == BACKUP else []
    wished += [] if part in (OPERATOR, OBSERVABILITY) else ["live.>", FACTS]
    async with lab.as_(part) as bus:
        assert await published(bus, denied) == len(denied)
        assert await heard(bus, wished) == []


async def test_what_is_denied_is_seen_where_it_happens_in_presence_and_in_the_log_of_the_server(lab: Lab) -> None:
    refusals = watch.Refusals()

    async def follow() -> None:
        async with contextlib.aclosing(watch.lines_of(lab.folder / "log", look_s=0.05)) as lines:
            async for line in lines:
                refusals.take(line)

    following = asyncio.create_task(follow())
    try:
        async with lab.as_(FLASH_AGENT) as bus, lab.as_(OPERATOR) as looking:
            present = Present(service=FLASH_AGENT, name=OWN, version="1", pid=1)
            async with Presence(bus).announced(present):
                with pytest.raises(NotAllowed, match=r"does not let this service write to bench\.document"):
                    await Log(bus).append(sample(DocumentDeleted))
                assert await published(bus, ["bench.host.lab-2.started"]) == 1

                async def told() -> bool:
                    return [one.denied for one in await Presence(looking).everyone()] == [2]

                await eventually(told, within_s=20, what="the number in presence")
        await eventually(lambda: refusals.number == 2, within_s=20, what="the lines of the server's log")
    finally:
        following.cancel()
        await asyncio.wait([following])


async def test_a_stranger_is_told_so_in_one_sentence_and_at_once(lab: Lab) -> None:
    public_of(lab.folder / "stranger.nk")
    stranger = NatsSettings(nats_url=lab.url, nats_nkey=lab.folder / "stranger.nk", nats_connect_timeout_s=600)
    with pytest.raises(NatsUnreachable, match=r"does not let this service in .*stranger.nk is none of its users'"):
        async with connected(stranger, name="stranger"):
            pass
    with pytest.raises(NatsUnreachable, match="it wants a key"):
        async with connected(NatsSettings(nats_url=lab.url, nats_connect_timeout_s=600), name="nobody"):
            pass


async def test_a_user_that_is_taken_out_is_cut_off_and_is_back_when_it_is_let_in_again(lab: Lab) -> None:
    async with lab.as_(FLASH_AGENT) as bus:
        lab.reload(without=FLASH_AGENT)
        await eventually(lambda: not bus.connected, within_s=20, what="the connection to be cut")
        lab.reload()
        await eventually(lambda: bus.connected, within_s=20, what="the connection to be back")
        assert await Log(bus).append(sample(HostStarted, host=OWN)) == 1


async def test_a_key_file_that_holds_no_key_is_named(lab: Lab) -> None:
    (lab.folder / "bad.nk").write_text("SUAOOPS")
    bad = msgspec.structs.replace(lab.settings(FLASH_AGENT), nats_nkey=lab.folder / "bad.nk")
    with pytest.raises(InvalidSettings, match=r"BENCHWIRE_NATS_NKEY: .*bad.nk does not hold the nkey seed") as told:
        async with connected(bad, name="bad"):
            pass
    assert "SUAOOPS" not in str(told.value)
    absent = msgspec.structs.replace(bad, nats_nkey=lab.folder / "absent.nk")
    with pytest.raises(InvalidSettings, match=r"absent.nk cannot be read: No such file"):
        async with connected(absent, name="absent"):
            pass


async def test_tls_that_was_asked_for_is_not_left_out(lab: Lab, tmp_path: Path) -> None:
    from benchwire.deploy.hosts.keys import Authority  # noqa: PLC0415 - only here

    Authority(tmp_path, "lab")
    plain = msgspec.structs.replace(lab.settings(FLASH_AGENT), nats_ca=tmp_path / "ca.pem", nats_connect_timeout_s=1.0)
    with pytest.raises(NatsUnreachable, match="the server does not speak TLS"):
        async with connected(plain, name="plain"):
            pass


def tags(events: Sequence[Recorded]) -> list[str]:
    return [codec.tag_of(one.event) for one in events]


def rows(path: Path) -> tuple[Schema, list[str]]:
    """A projection that writes down what it applied."""
    applied: list[str] = []

    def apply(_: object, one: Recorded) -> None:
        applied.append(f"{codec.tag_of(one.event)} {getattr(one.event, 'host', '')}".strip())

    return Schema(filters=[FACTS], tables="", apply=apply), applied


async def test_an_event_that_says_it_is_about_another_is_parked_and_makes_no_rows(lab: Lab, tmp_path: Path) -> None:
    """The server looks at the subject, and a reader must not believe what the body says instead."""
    schema, applied = rows(tmp_path)
    async with lab.as_(FLASH_AGENT) as hostile, lab.as_(OBSERVABILITY) as bus:
        own = f"bench.host.{OWN}.started"
        for lie in (sample(DocumentDeleted), sample(HostStopped, host=OTHER), sample(HostStarted, host=OTHER)):
            await hostile.js.publish(own, codec.encode(lie), headers={MSG_ID: codec.new_id()})
        await Log(hostile).append(sample(HostStarted, host=OWN))
        async with Projection(bus, tmp_path / "rows.sqlite", schema).running():
            pass
        assert applied == [f"host_started {OWN}"]
        assert tags([one async for one in Log(bus).read([FACTS])]) == ["host_started"]


async def test_what_a_server_is_made_to_send_elsewhere_is_not_believed(lab: Lab, tmp_path: Path) -> None:
    """Whoever asks says where the reply goes, and NATS lets that be any subject: a way around what it may publish on."""
    schema, applied = rows(tmp_path)
    forged = sample(DocumentDeleted)
    target = subject_of(forged)
    async with lab.as_(FLASH_AGENT) as hostile, lab.as_(OBSERVABILITY) as bus:
        line = subject_of(sample(SerialLine, host=OWN))
        await hostile.nc.publish(line, codec.encode(forged))
        bait = await hostile.js.publish(f"$KV.presence.{FLASH_AGENT}.{OWN}", codec.encode(forged))
        asked = {"last_by_subj": f"$KV.presence.{FLASH_AGENT}.{OWN}"}
        await hostile.nc.publish("$JS.API.STREAM.MSG.GET.KV_presence", json.dumps(asked).encode(), reply=target)
        own = await hostile.js.publish(f"bench.host.{OWN}.started", codec.encode(forged))
        for body in ({"seq": own.seq}, {"seq": bait.seq}):
            await hostile.nc.publish("$JS.API.STREAM.MSG.GET.BENCH", json.dumps(body).encode(), reply=target)
        await hostile.nc.publish("$JS.API.STREAM.INFO.BENCH", b"", reply=target)
        await pulled(hostile, "OBJ_artifacts", target)
        await pulled(hostile, "BENCH", target)
        await hostile.nc.flush()
        async with Projection(bus, tmp_path / "rows.sqlite", schema).running():
            pass
        assert applied == []
        assert [one async for one in Log(bus).read([FACTS])] == []


async def pulled(bus: Bus, stream: str, to: str) -> None:
    """Has what the stream holds delivered to that subject."""
    from benchwire.events.follow import _throw_away  # noqa: PLC0415 - as any reader makes its consumers

    consumer = await bus.js.add_consumer(stream, _throw_away([">"], 0))
    await bus.nc.publish(
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer.name}", b'{"batch":100,"no_wait":true}', reply=to
    )


async def test_an_old_event_that_is_published_again_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    schema, applied = rows(tmp_path)
    async with lab.as_(OBSERVABILITY) as bus, lab.as_(FLASH_AGENT, OTHER) as honest, lab.as_(FLASH_AGENT) as hostile:
        await Log(honest).append(sample(HostStarted, host=OTHER))
        await Log(honest).append(sample(HostStopped, host=OTHER))
        async with lab.as_(ADMIN) as admin:  # as if the server had forgotten these ids, which it does after two minutes
            config = (await admin.js.stream_info("BENCH")).config
            await admin.js.update_stream(config.evolve(duplicate_window=0.1))
        await asyncio.sleep(0.5)
        await pulled(hostile, "BENCH", "bench.again")

        async def twice() -> bool:
            return (await bus.js.stream_info("BENCH")).state.messages >= 4

        await eventually(twice, within_s=20, what="the old events to be there again")
        async with Projection(bus, tmp_path / "rows.sqlite", schema).running():
            pass
        assert applied == [f"host_started {OTHER}", f"host_stopped {OTHER}"]
        made = await Log(bus).decide(
            [HostStarted, HostStopped], 0, lambda count, _: count + 1, lambda _: None, host=OTHER
        )
        assert made.state == 2


async def test_an_id_that_somebody_took_first_is_not_taken_for_the_event(lab: Lab, tmp_path: Path) -> None:
    """JetStream drops a second message with an id, whoever sent the first: the writer is told, and the rows have both once it lands."""
    schema, applied = rows(tmp_path)
    event = sample(DeviceAttached, host=OTHER)
    async with lab.as_(FLASH_AGENT, OTHER) as bus, lab.as_(FLASH_AGENT) as hostile, lab.as_(ADMIN) as admin:
        await Log(hostile).append(sample(HostStarted, host=OWN), event_id="job-1-requested")
        with pytest.raises(IdTaken, match="another event has the id job-1-requested"):
            await Log(bus).append(event, event_id="job-1-requested")
        config = (await admin.js.stream_info("BENCH")).config
        await admin.js.update_stream(config.evolve(duplicate_window=0.1))
        await asyncio.sleep(0.5)
        await Log(bus).append(event, event_id="job-1-requested")
        async with Projection(admin, tmp_path / "rows.sqlite", schema).running():
            pass
        assert applied == [f"host_started {OWN}", f"device_attached {OTHER}"]


async def test_nobody_is_present_in_anothers_name(lab: Lab) -> None:
    async with lab.as_(FLASH_AGENT) as hostile, lab.as_(OPERATOR) as bus:
        lie = Present(service=FLASH_AGENT, name=OTHER, version="1", pid=1)
        await hostile.js.publish(f"$KV.presence.{FLASH_AGENT}.{OWN}", msgspec.json.encode(lie))
        assert await Presence(bus).everyone() == []
        with pytest.raises((NatsError, TimeoutError)):
            async with asyncio.timeout(2), Presence(hostile).announced(lie):
                pass


async def test_a_part_makes_snapshots_of_its_own_rows_and_cannot_write_those_of_others(
    lab: Lab, tmp_path: Path
) -> None:
    """Whoever starts without rows believes them."""
    schema = Schema(
        name=names_of(FLASH_AGENT, OWN)[0],
        filters=["bench.host.>"],
        tables="CREATE TABLE t (x);",
        apply=lambda db, one: None,
    )
    async with lab.as_(FLASH_AGENT) as bus:
        last = await Log(bus).append(of_host(HostStarted, OWN))
        projection = Projection(bus, tmp_path / "p.sqlite", schema)
        async with projection.running():
            shelf = Shelf(bus, schema.name, schema.file_version)
            made = await Keeper(shelf, tmp_path / "p.sqlite", Policy(events=1, every_s=0), projection.settled).look()
        assert made is not None
        async with Projection(bus, tmp_path / "fresh.sqlite", schema).running():
            pass
        assert bus.denied == 0
        theirs = [name for part in SERVICES for name in names_of(part, OTHER)]
        subjects = [f"$O.snapshots.{kind}.{name}.1.0" for kind in "CM" for name in theirs]
        assert await published(bus, subjects) == len(subjects)
    assert made.sequence == last


async def test_a_backup_needs_no_more_than_its_user_may(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(making, "_FREES_S", 0.0)
    async with lab.as_(DOCUMENTS) as bus:
        artifact = await Blobs(bus).put(b"bytes", name="one")
        last = await Log(bus).append(sample(DocumentCreated, digest=artifact.digest))
    manifest = await made(lab.settings(BACKUP), tmp_path / "lab.tar", lambda *_: None)
    assert manifest.log.head.last_sequence == last
    assert "does not let this user" not in caplog.text
