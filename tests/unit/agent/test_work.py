"""What breaks off work, and what does not."""

import asyncio

from benchwire.agent import fitting
from benchwire.agent.work import Seat, Verdict, Work, Workbench
from benchwire.events import codec
from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.session import (
    MessageRequested,
    SessionClaimed,
    SessionEnded,
    SessionFailed,
    SessionStopRequested,
    ToolDecided,
)
from benchwire.events.testing.samples import AT, sample


def at(sequence: int, kind: type[Event], **fields: object) -> list[Recorded]:
    event = sample(kind, session_id="s", **fields)
    return [Recorded(sequence=sequence, id=str(sequence), event=event, received_at=AT)]


async def test_what_was_said_before_the_claim_does_not_break_off_the_new_run() -> None:
    """A session that is asked for again right after its end: its runner hears of that end when the new run has begun."""
    bench = Workbench()
    with bench.at_work("session", "s") as work:
        bench.saw(at(7, SessionStopRequested))
        work.claimed(10)
        bench.saw(at(8, SessionEnded))
        bench.saw(at(10, SessionClaimed))
        assert await work.run(asyncio.sleep(0, "done")) == "done"


async def test_a_stop_that_comes_between_the_claim_and_the_news_of_it_is_obeyed() -> None:
    bench = Workbench()
    with bench.at_work("session", "s") as work:
        bench.saw(at(11, SessionStopRequested))
        work.claimed(10)
        assert (await work.run(asyncio.sleep(60, "done")), work.verdict) == (None, Verdict.STOPPED)


async def test_a_later_claim_or_end_takes_the_work_away() -> None:
    for kind in (SessionClaimed, SessionEnded):
        bench = Workbench()
        with bench.at_work("session", "s") as work:
            work.claimed(10)
            asyncio.get_running_loop().call_later(0.01, bench.saw, at(11, kind))
            assert (await work.run(asyncio.sleep(60, "done")), work.verdict) == (None, Verdict.LOST)


def test_an_end_is_made_to_fit_into_the_log() -> None:
    """An end that could not be written was tried for ever, and all of the work with it."""
    end = fitting.end(sample(SessionFailed, reason="half a pair \ud83d " + "\x00" * 2_000_000))
    assert len(codec.encode(end)) < 1 << 20


async def test_nothing_breaks_off_what_has_ended() -> None:
    work = Work("s")
    work.claimed(10)
    await work.run(asyncio.sleep(0))
    work.told(11, Verdict.STOPPED)
    assert work.verdict is None


async def test_a_stop_that_comes_while_an_end_is_written_counts_only_when_it_goes_on() -> None:
    for goes_on in (True, False):
        work = Work("s")
        work.claimed(10)

        async def body(work: Work = work, goes_on: bool = goes_on) -> str:
            with work.ending():
                work.told(11, Verdict.STOPPED, "enough")
            if goes_on:
                work.goes_on()
                await asyncio.sleep(60)
            return "done"

        assert await work.run(body()) == (None if goes_on else "done")
        assert (work.verdict, work.reason) == ((Verdict.STOPPED, "enough") if goes_on else (None, None))


async def test_what_people_say_reaches_the_work_that_it_is_for() -> None:
    bench = Workbench()
    with bench.at_work("session", "s") as work:
        bench.saw(at(5, ToolDecided, tool_use_id="u", approved=True))  # about an earlier call with that id
        work.claimed(10)
        waiting = asyncio.create_task(work.decision("u"))
        await asyncio.sleep(0)
        bench.saw(at(11, ToolDecided, tool_use_id="v", approved=True))
        bench.saw(at(12, MessageRequested, message_id="m"))
        assert not waiting.done()
        bench.saw(at(13, ToolDecided, tool_use_id="u", approved=False))
        assert not (await waiting).approved
        assert [one.message_id for one in work.letters] == ["m"]


async def test_whoever_only_waits_leaves_its_place_and_has_one_again_before_it_goes_on() -> None:
    room = asyncio.Semaphore(1)
    await room.acquire()
    work = Work("s", Seat(room))
    async with work.parked():
        await asyncio.wait_for(room.acquire(), 10)  # somebody else has the place now
        going_on = asyncio.get_running_loop().call_later(0.05, room.release)
    assert going_on.when() <= asyncio.get_running_loop().time()
    assert room.locked()


async def test_what_is_broken_off_while_it_waits_waits_for_no_place() -> None:
    room = asyncio.Semaphore(1)
    await room.acquire()
    seat = Seat(room)
    work = Work("s", seat)
    work.claimed(10)

    async def body() -> None:
        async with work.parked():
            await room.acquire()
            work.told(11, Verdict.STOPPED)
            await asyncio.sleep(60)

    await asyncio.wait_for(work.run(body()), 10)
    assert work.verdict is Verdict.STOPPED
    seat.leave()  # which it has: the place stays with whoever has it
    assert room.locked()
