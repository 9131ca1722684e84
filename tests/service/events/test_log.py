import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from benchwire.events import codec
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event, IllegalToken
from benchwire.events.log import Contended, EventTooLarge, Expected, Log
from benchwire.events.session import MessageSent, SessionStarted

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def started(session: str = "s1") -> SessionStarted:
    return SessionStarted(timestamp=NOW, session_id=session)


async def test_an_event_that_is_published_twice_with_one_id_lands_once(log: Log) -> None:
    event_id = codec.new_id()
    assert await log.append(started(), event_id=event_id) == await log.append(started(), event_id=event_id)
    assert [one.id async for one in log.read(["bench.session.s1.*"])] == [event_id]


async def test_a_repeated_guarded_append_is_a_duplicate_and_not_a_conflict(log: Log) -> None:
    event_id, expected = codec.new_id(), Expected(0, "bench.session.s1.*")
    first = await log.append(started(), event_id=event_id, expected=expected)
    assert await log.append(started(), event_id=event_id, expected=expected) == first


async def test_another_event_of_the_aggregate_with_the_same_id_is_a_conflict_and_no_repetition(log: Log) -> None:
    event_id, expected = codec.new_id(), Expected(0, "bench.session.s1.*")
    await log.append(started(), event_id=event_id, expected=expected)
    said = MessageSent(timestamp=NOW, session_id="s1", role="user", content=[])
    with pytest.raises(Contended):
        await log.append(said, event_id=event_id, expected=expected)


async def test_a_guard_sees_other_events_of_the_aggregate(log: Log) -> None:
    last = await log.append(started())
    await log.append(MessageSent(timestamp=NOW, session_id="s1", role="user", content=[]))
    with pytest.raises(Contended):
        await log.append(started(), expected=Expected(last, "bench.session.s1.*"))


async def test_of_many_that_lease_one_device_exactly_one_gets_it(log: Log) -> None:
    def evolve(holder: str | None, event: Event) -> str | None:
        return event.holder if isinstance(event, DeviceLeased) else None

    async def lease(who: str) -> bool:
        def decide(holder: str | None) -> Event | None:
            if holder is not None:
                return None
            return DeviceLeased(
                timestamp=NOW, host="h", device="d", lease_id=who, holder=who, expires_at=NOW + timedelta(minutes=1)
            )

        made = await log.decide([DeviceLeased, DeviceReleased], None, evolve, decide, host="h", device="d")
        return made.event is not None

    assert sum(await asyncio.gather(*(lease(f"w{n}") for n in range(12)))) == 1
    assert len([one async for one in log.read(["bench.device.h.d.*"])]) == 1


async def test_an_id_that_cannot_be_a_token_is_refused_before_anything_is_written(log: Log) -> None:
    for bad in ("", "a.b", "a/b", "a b", "*", ">", "x" * 129, "a\n", "\ud800"):
        with pytest.raises(IllegalToken):
            await log.append(started(bad))
    assert await log.last_sequence("bench.>") == 0


async def test_an_event_over_the_payload_limit_is_refused_by_name(log: Log) -> None:
    with pytest.raises(EventTooLarge):
        await log.append(MessageSent(timestamp=NOW, session_id="s1", role="user", content=[{"text": "x" * (1 << 20)}]))


async def test_reading_an_empty_log_ends(log: Log, bus: Bus) -> None:
    assert [one async for one in log.read(["bench.session.s1.*"])] == []
