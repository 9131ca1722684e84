"""Many events appended in one call, each of which lands, or does not, for itself."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import psutil
import pytest

from benchwire.events import codec, nats_server
from benchwire.events.bus import Bus
from benchwire.events.event import Event, IllegalToken
from benchwire.events.log import Append, EventTooLarge, IdTaken, Log, LogUnavailable
from benchwire.events.session import MessageSent, SessionStarted
from benchwire.events.testing.eventually import eventually

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
ALL = ["bench.session.*.*"]


def started(session: str) -> SessionStarted:
    return SessionStarted(timestamp=NOW, session_id=session)


def said(text: str) -> MessageSent:
    return MessageSent(timestamp=NOW, session_id="s1", role="user", content=[{"type": "text", "text": text}])


async def appended(log: Log, events: Sequence[Event], deadline_s: float = 20.0) -> list[int | Exception]:
    return await log.append_all(events, event_ids=[None] * len(events), deadline_s=deadline_s)


@contextlib.asynccontextmanager
async def frozen(server: nats_server.Server) -> AsyncIterator[None]:
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        await eventually(lambda: psutil.Process(server.process.pid).status() == psutil.STATUS_STOPPED)
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


async def test_many_stand_in_the_log_in_their_order(log: Log) -> None:
    events = [started(f"s{number}") for number in range(700)]
    assert await appended(log, events) == list(range(1, 701))
    assert [one.event async for one in log.read(ALL)] == events


async def test_none_at_all_is_no_trouble(log: Log) -> None:
    assert await appended(log, []) == []


async def test_those_that_are_refused_keep_none_of_the_others_out(log: Log) -> None:
    events = [started("a"), started("b.c"), said("x" * (1 << 20)), started("d")]
    first, dotted, large, last = await appended(log, events)
    assert (first, last) == (1, 2)
    assert isinstance(dotted, IllegalToken)
    assert isinstance(large, EventTooLarge)
    assert [one.event async for one in log.read(ALL)] == [started("a"), started("d")]


async def test_many_that_are_sent_again_with_their_ids_land_once(log: Log) -> None:
    events, ids = [started(f"s{number}") for number in range(50)], [codec.new_id() for _ in range(50)]
    there = await log.append_all(events[:30], event_ids=ids[:30], deadline_s=20)
    again = await log.append_all(events, event_ids=ids, deadline_s=20)
    assert again[:30] == there
    assert again == list(range(1, 51))
    assert [one.id async for one in log.read(ALL)] == ids


async def test_one_whose_id_another_event_has_is_told_so_and_is_not_in_the_log(log: Log) -> None:
    taken = codec.new_id()
    await log.append(started("a"), event_id=taken)
    first, second = await log.append_all([started("b"), started("c")], event_ids=[taken, None], deadline_s=20)
    assert isinstance(first, IdTaken)
    assert second == 2
    assert [one.event async for one in log.read(ALL)] == [started("a"), started("c")]


async def test_a_secret_in_one_of_many_is_taken_out(log: Log) -> None:
    secret = "ghp_" + "a1" * 18
    await appended(log, [said("before"), said(f"it is {secret}"), said("behind")])
    told = [one.event.content[0]["text"] async for one in log.read(ALL) if isinstance(one.event, MessageSent)]
    assert told == ["before", "it is [redacted: github token]", "behind"]


async def test_what_a_server_answers_late_lands_once_and_in_order(nats: nats_server.Server, log: Log) -> None:
    events = [started(f"s{number}") for number in range(100)]
    await appended(log, [started("first")])
    async with frozen(nats):
        appending = asyncio.create_task(appended(log, events, deadline_s=60))
        await asyncio.sleep(2.5)  # longer than one acknowledgement is waited for, so that all are sent again
        assert not appending.done()
    assert await appending == list(range(2, 102))
    assert [one.event async for one in log.read(ALL)] == [started("first"), *events]


async def test_without_a_connection_each_is_told_and_none_lands_later(
    nats: nats_server.Server, bus: Bus, log: Log
) -> None:
    events = [started(f"s{number}") for number in range(20)]
    async with frozen(nats):
        await bus.nc.force_reconnect()
        await eventually(lambda: not bus.connected)
        outcomes = await appended(log, events, deadline_s=0.5)
    assert [type(one) for one in outcomes] == [LogUnavailable] * 20
    assert await appended(log, [started("later")], deadline_s=60) == [1]


async def test_more_than_a_connection_takes_at_once_is_answered_for_also_when_the_server_goes_away_meanwhile(
    nats: nats_server.Server, bus: Bus, log: Log
) -> None:
    events = [said("x" * 900_000) for _ in range(8)]
    async with frozen(nats):
        outcomes = await asyncio.gather(*(appended(log, events, deadline_s=0.5) for _ in range(3)))
        await eventually(lambda: not bus.connected)
    assert {type(one) for many in outcomes for one in many} == {LogUnavailable}


async def test_how_many_went_how_is_told_by_their_types(bus: Bus) -> None:
    heard: list[Append] = []
    log = Log(bus, on_append=heard.append)
    await appended(log, [started("a"), said("1"), started("b.c"), said("2")])
    assert {(one.tag, one.outcome): one.count for one in heard} == {
        ("session_start", "acknowledged"): 1,
        ("message", "acknowledged"): 2,
        ("session_start", "refused"): 1,
    }


async def test_who_leaves_while_many_are_on_their_way_is_told_as_cancelled(nats: nats_server.Server, bus: Bus) -> None:
    heard: list[Append] = []
    log = Log(bus, on_append=heard.append)
    await appended(log, [started("first")])
    async with frozen(nats):
        appending = asyncio.create_task(appended(log, [started("a"), started("b")]))
        await asyncio.sleep(0.1)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
    assert [(one.outcome, one.count) for one in heard] == [("acknowledged", 1), ("cancelled", 2)]
