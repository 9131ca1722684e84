"""The log on three servers: what is acknowledged stays, whoever is killed or cut off, and what is read is never older than what was decided."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from nats.errors import Error as NatsError
from tests.faults.hosts.cluster import LEAF, NODES, Cluster, cluster
from tests.faults.hosts.network import Network

from benchwire.agent.claim import Desk
from benchwire.events.blobs import Blobs
from benchwire.events.bus import STREAM, Bus, connected
from benchwire.events.event import Event
from benchwire.events.follow import follow
from benchwire.events.host import HostStarted
from benchwire.events.log import Contended, Log, LogUnavailable
from benchwire.events.presence import Presence, Present
from benchwire.events.session import SessionClaimed, SessionRequested, SessionStarted
from benchwire.events.testing.eventually import eventually

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
WITHIN_S = 60.0

T = TypeVar("T")


def started(number: int, host: str = "h") -> HostStarted:
    return HostStarted(timestamp=NOW, host=host, version=str(number))


class Writers:
    """Clients that append numbered facts, each through its own connection, and remember which were acknowledged. None repeats one."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self._number = 0

    @contextlib.asynccontextmanager
    async def writing(self, *buses: Bus) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            writing = [tasks.create_task(self._write(Log(bus), f"h{number}")) for number, bus in enumerate(buses)]
            yield
            for one in writing:
                one.cancel()

    async def _write(self, log: Log, host: str) -> None:
        while True:
            self._number += 1
            number = self._number
            try:
                await log.append(started(number, host))
            except LogUnavailable:
                self.refused.append(number)
            else:
                self.acknowledged.append(number)
            await asyncio.sleep(0.005)

    async def more(self, count: int = 50) -> None:
        """Returns when so many more were acknowledged."""
        before = len(self.acknowledged)
        await eventually(lambda: len(self.acknowledged) >= before + count, within_s=WITHIN_S, what="acknowledgements")


async def landed(bus: Bus) -> Counter[int]:
    facts = [one async for one in Log(bus).read(["bench.host.*.started"])]
    return Counter(int(one.event.version) for one in facts if isinstance(one.event, HostStarted))


async def check(writers: Writers, bus: Bus) -> None:
    """What was acknowledged is in the log once, and what was not is in it at most once."""
    there = await landed(bus)
    assert [one for one in writers.acknowledged if there[one] != 1] == []
    assert [one for one, count in there.items() if count != 1] == []


async def test_what_is_read_is_not_older_than_what_was_acknowledged_although_a_copy_lags_behind(
    bus: Bus, nodes: Cluster, hosts: Network
) -> None:
    """A consumer lives on any of the servers. Through one that lags, a decision was made on half of the facts, and its guard let it pass."""
    log = Log(bus)
    leader = await nodes.leads(bus)
    laggard = next(name for name in NODES if name != leader)
    await hosts.treat([str(leader)], [laggard], back=False, delay=0.15)
    for number in range(1, 11):
        sequence = await log.append(started(number))
        read = [one.sequence async for one in log.read(["bench.host.h.*"])]
        assert (len(read), read[-1]) == (number, sequence)


@pytest.mark.long
async def test_a_leader_that_has_lost_the_others_acknowledges_nothing_and_what_it_was_given_lands_at_most_once(
    bus: Bus, nodes: Cluster, hosts: Network
) -> None:
    leader = str(await nodes.leads(bus))
    others = [name for name in NODES if name != leader]
    lonely, many = Writers(), Writers()
    many._number = 1_000_000
    async with (
        connected(nodes.settings(nodes.url_of(leader)), name="minority") as minority,
        connected(nodes.settings(nodes.url_of(*others)), name="majority") as majority,
    ):
        async with lonely.writing(minority), many.writing(majority):
            await lonely.more()
            await hosts.cut(leader, of=others)
            before = len(lonely.acknowledged)
            await many.more()  # the others have elected one of themselves
            await eventually(lambda: lonely.refused, within_s=WITHIN_S, what="the minority refuses")
            assert len(lonely.acknowledged) <= before + 1  # one may have been on its way when the cable was pulled
            await hosts.mend()
            await lonely.more()
        await nodes.settled(bus)
        lonely.acknowledged += many.acknowledged
        await check(lonely, bus)


async def _goes(bus: Bus, address: str, *, to: bool) -> None:
    """Changes servers until it is with the one at ``address``, or with another one."""

    def url() -> Any:
        return bus.nc.connected_url if bus.connected else None

    while ((await eventually(url, within_s=WITHIN_S, what="a server")).hostname == address) is not to:
        await bus.nc.leave()


async def _told(ask: Callable[[], Awaitable[T]]) -> T:
    """What it says once there is a leader who can."""

    async def told() -> list[T]:
        with contextlib.suppress(LogUnavailable):
            return [await ask()]
        return []

    answers: list[T] = await eventually(told, within_s=WITHIN_S, what="an answer")
    return answers[0]


@pytest.mark.long
async def test_a_leader_that_has_lost_the_others_is_not_believed_where_it_knows_less_than_whoever_asks(
    bus: Bus, nodes: Cluster, hosts: Network
) -> None:
    """For some seconds it answers as if it led the log still. Readers took the log for another one, and a runner its session for lost."""
    leader = str(await nodes.leads(bus))
    others, address = [name for name in NODES if name != leader], hosts[leader].address
    created, seen, many = str((await bus.js.stream_info(STREAM)).created), list[int](), Writers()

    async def following(reader: Bus) -> None:
        async with aclosing(follow(reader, ["bench.>"], created=created)) as batches:
            async for batch in batches:
                seen.extend(one.sequence for one in batch.messages)

    async with (
        connected(nodes.settings(nodes.url_of(leader)), name="minority") as minority,
        connected(nodes.settings(nodes.url_of(*others)), name="majority") as majority,
        connected(nodes.settings(), name="reader") as reader,
        asyncio.TaskGroup() as tasks,
    ):
        await _goes(reader, address, to=False)
        task = tasks.create_task(following(reader))
        async with many.writing(majority):
            await hosts.cut(leader, of=others)
            await many.more()
            await Log(majority).append(SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="go"))
            taken = await _told(lambda: Desk(Log(majority), Presence(majority), "runner-1").session("s"))
            assert isinstance(taken.event, SessionClaimed)
            await eventually(lambda: seen and seen[-1] > taken.sequence, within_s=WITHIN_S, what="the claim is seen")
            await _goes(reader, address, to=True)
            claim = Desk(Log(minority), Presence(minority), "runner-1").claim(taken.event, taken.sequence)

            async def written() -> bool:
                with contextlib.suppress(LogUnavailable):  # but for nothing does it count as lost
                    return bool(await claim.append(SessionStarted(timestamp=NOW, session_id="s"), event_id="once"))
                return False

            writing = tasks.create_task(eventually(written, within_s=WITHIN_S, what="what was said under the claim"))
            await asyncio.wait([writing, task], timeout=2.0)
            await hosts.mend()
            await writing
        await nodes.settled(bus)
        last = await _told(lambda: Log(majority).last_sequence("bench.>"))
        await eventually(lambda: seen[-1] >= last, within_s=WITHIN_S, what="the last fact is seen")
        task.cancel()
    assert seen == sorted(set(seen))


class Taken(Exception):
    """It is somebody else's."""


async def test_a_decision_is_made_once_while_the_leader_is_killed(bus: Bus, nodes: Cluster) -> None:
    """Two who race for each of many names, through different servers, over the change of the leader."""
    won: list[tuple[str, str]] = []
    unknown: set[str] = set()

    def evolve(state: str, event: Event) -> str:
        return state or (event.version if isinstance(event, HostStarted) else state)

    async def race(racer: str, log: Log) -> None:
        for number in range(60):
            name = f"n{number}"

            def decide(state: str, name: str = name) -> Event:
                if state:
                    raise Taken
                return HostStarted(timestamp=NOW, host=name, version=racer)

            try:
                await log.decide([HostStarted], "", evolve, decide, host=name, deadline_s=40.0)
                won.append((name, racer))
            except Taken:
                pass
            except (LogUnavailable, Contended):
                unknown.add(name)
            await asyncio.sleep(0.02)

    leader = str(await nodes.leads(bus))
    async with connected(nodes.settings(nodes.url_of(LEAF)), name="leaf") as behind, asyncio.TaskGroup() as tasks:
        for racer, one in (("a", bus), ("b", behind), ("c", bus)):
            tasks.create_task(race(racer, Log(one)))
        await asyncio.sleep(0.3)
        await nodes.kill(leader)
    facts: list[Any] = [one.event async for one in Log(bus).read(["bench.host.*.started"])]
    assert [name for name, count in Counter(one.host for one in facts).items() if count != 1] == []
    assert {name for name, _ in won} | unknown == {one.host for one in facts}
    assert set(won) <= {(one.host, one.version) for one in facts}


@pytest.mark.long
async def test_whoever_follows_sees_each_fact_once_and_bytes_are_whole_over_a_change_of_the_leader(
    bus: Bus, nodes: Cluster
) -> None:
    seen: list[int] = []

    async def following() -> None:
        async with aclosing(follow(bus, ["bench.host.>"])) as batches:
            async for batch in batches:
                seen.extend(one.sequence for one in batch.messages)

    writers = Writers()
    body = bytes(range(256)) * 4096
    async with connected(nodes.settings(nodes.url_of(LEAF)), name="leaf") as behind:
        task = asyncio.create_task(following())
        async with writers.writing(behind):
            await writers.more()
            artifact = await Blobs(behind).put(body, name="before")
            await nodes.kill(str(await nodes.leads(bus, "OBJ_artifacts")))
            if (leader := await nodes.leads(bus)) is not None:
                await nodes.start(*(name for name in NODES if nodes.processes[name].returncode is not None))
                await nodes.settled(bus)
                await nodes.kill(leader)

            async def is_read() -> bool:
                with contextlib.suppress(LogUnavailable):
                    return await Blobs(bus).get(artifact.digest) == body
                return False

            await eventually(is_read, within_s=WITHIN_S, what="the bytes")
            await writers.more()
        last = await Log(bus).last_sequence("bench.host.>")
        await eventually(lambda: seen and seen[-1] == last, within_s=WITHIN_S, what="the last fact is seen")
        task.cancel()
    assert seen == sorted(set(seen))
    assert len(seen) == sum((await landed(bus)).values())
    await check(writers, bus)


@pytest.mark.long
async def test_nobody_looks_gone_who_could_not_announce_himself_while_the_servers_elected(
    bus: Bus, nodes: Cluster
) -> None:
    """Without a leader nobody's presence is written, and everybody's expires: a runner that lived had its work taken over."""
    told: list[bool] = []

    async def look() -> None:
        while True:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                async with asyncio.timeout(0.3):
                    told.append(await Presence(bus).is_there("agent", "runner-1"))
            await asyncio.sleep(0.05)

    async with (
        connected(nodes.settings(), name="runner-1") as other,
        Presence(other).announced(_present("agent", "runner-1")),
        Presence(bus).announced(_present("observability", "observability")),
    ):
        looking = asyncio.create_task(look())
        await eventually(lambda: told, within_s=WITHIN_S)
        await nodes.kill(str(await nodes.leads(bus, "KV_presence")))
        told.clear()
        await eventually(lambda: len(told) > 100, within_s=WITHIN_S, what="it can be said again who is there")
        looking.cancel()
    assert all(told)


def _present(service: str, name: str) -> Present:
    return Present(service=service, name=name, version="1", pid=1)


@pytest.mark.long
async def test_whoever_is_with_a_server_that_has_lost_the_others_goes_to_another(
    nodes: Cluster, hosts: Network
) -> None:
    async with (
        connected(nodes.settings(), name="part") as part,
        Presence(part).announced(_present("agent", "runner-1")),
    ):
        await nodes.settled(part)
        url = part.nc.connected_url
        assert url is not None
        here = next(name for name in NODES if hosts[name].address == url.hostname)
        await hosts.cut(here, of=[name for name in NODES if name != here])

        async def is_acknowledged() -> bool:
            with contextlib.suppress(LogUnavailable):
                return bool(await Log(part).append(started(1), deadline_s=1.0))
            return False

        async def is_elsewhere() -> bool:
            url = part.nc.connected_url
            return url is not None and url.hostname != hosts[here].address and await is_acknowledged()

        await eventually(is_elsewhere, within_s=WITHIN_S, what="another server acknowledges")


@pytest.mark.long
async def test_streams_are_made_while_a_server_is_away_and_it_gets_its_copy_when_it_comes_back(
    hosts: Network, lab_dir: Any
) -> None:
    async with cluster(hosts, lab_dir) as nodes:
        # The first start of a cluster needs all of them: until then nobody can be elected.
        await eventually(nodes.meta_leader, within_s=WITHIN_S, what="somebody decides where streams are")
        await nodes.kill(NODES[0])
        async with contextlib.AsyncExitStack() as stack:
            buses = await asyncio.gather(
                *(stack.enter_async_context(connected(nodes.settings(), name=f"part-{one}")) for one in range(8))
            )
            sequence = await Log(buses[0]).append(started(1))
            await nodes.start(NODES[0])
            for stream in (STREAM, "LIVE", "OBJ_artifacts", "KV_presence"):
                await nodes.settled(buses[0], stream)
            assert await Log(buses[-1]).last_sequence("bench.host.h.*") == sequence
