"""Waiting for what a board prints, and the last that it printed, from the samples of a real server."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from benchwire.events.asks import HostScanned, Refused, ScanHost
from benchwire.events.bus import LIVE, Bus
from benchwire.events.catalog import filter_of
from benchwire.events.expect import expected, here, line_of
from benchwire.events.follow import newest
from benchwire.events.live import SerialLine
from benchwire.events.log import Log
from benchwire.events.patterns import Pattern
from benchwire.events.testing.eventually import eventually

AT = datetime(2026, 1, 17, tzinfo=UTC)


def lines(device: str, first: int, last: int, text: str = "tick") -> list[SerialLine]:
    return [
        SerialLine(timestamp=AT + timedelta(seconds=n), host="h", device=device, line=f"{text} {n}", number=n)
        for n in range(first, last + 1)
    ]


async def printed(log: Log, some: list[SerialLine]) -> None:
    before = await here(log.bus)
    assert await log.samples(some) == len(some)

    async def all_there() -> bool:
        return await here(log.bus) >= before + len(some)

    await eventually(all_there)


async def test_a_wait_begins_where_it_is_told_to_and_ends_with_the_line(bus: Bus, log: Log) -> None:
    await printed(log, lines("d", 1, 3))
    after = await here(bus)
    await printed(log, [*lines("other", 4, 4), *lines("d", 4, 6)])
    heard = await expected(bus, "h", "d", Pattern(r"tick (\d)"), after=after, within_s=30)
    assert heard.line is not None
    assert (heard.line.number, heard.groups) == (4, ["4"])
    waiting = asyncio.create_task(expected(bus, "h", "d", Pattern("done (.*)"), after=after, within_s=30))
    await printed(log, lines("d", 7, 7, text="done"))
    heard = await waiting
    assert [one.line for one in heard.lines] == ["tick 4", "tick 5", "tick 6", "done 7"]
    silence = await expected(bus, "h", "d", Pattern("never"), after=after, within_s=0.3)
    assert (silence.line, silence.groups, len(silence.lines)) == (None, [], 4)


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_the_last_lines_of_one_board_are_found_among_those_of_others(bus: Bus, log: Log, limit: int) -> None:
    await printed(log, lines("quiet", 1, 20))
    await printed(log, lines("loud", 1, 3000))
    await printed(log, lines("quiet", 21, 22))
    await printed(log, lines("loud", 3001, 6000))
    for device, last in (("quiet", 22), ("loud", 6000), ("mute", 0)):
        found = await newest(bus, filter_of(SerialLine, host="h", device=device), limit, stream=LIVE)
        numbers = [line.number for message in found if (line := line_of(message)) is not None]
        assert numbers == list(range(max(1, last - limit + 1), last + 1))


async def test_a_request_that_takes_long_does_not_hold_up_the_next_and_a_fault_is_answered(bus: Bus) -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def scan(body: bytes) -> msgspec.Struct:
        asked = msgspec.json.decode(body, type=ScanHost)
        if asked.host == "faulty":
            raise RuntimeError("a fault that nobody foresaw")
        if not first.is_set():
            first.set()
            await second.wait()
        else:
            second.set()
        return HostScanned(host=asked.host, devices=[])

    async with bus.serving("test", "1.0.0", {"ask.host.h.scan": scan}):
        asks = [bus.ask("ask.host.h.scan", ScanHost(host=f"h{n}"), HostScanned, timeout_s=30) for n in range(2)]
        answers = await asyncio.gather(*asks)
        assert [answer.host for answer in answers if isinstance(answer, HostScanned)] == ["h0", "h1"]
        refused = await bus.ask("ask.host.h.scan", ScanHost(host="faulty"), HostScanned, timeout_s=30)
        assert isinstance(refused, Refused)
        assert refused.code == "fault"
        assert "nobody foresaw" not in refused.detail
