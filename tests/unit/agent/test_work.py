"""What breaks off work, and what does not."""

import asyncio

from benchwire.agent import jobs
from benchwire.agent.work import Verdict, Work, Workbench
from benchwire.events import codec
from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.events.session import SessionClaimed, SessionEnded, SessionFailed, SessionStopRequested
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
    end = jobs._that_fits(sample(SessionFailed, reason="half a pair \ud83d " + "\x00" * 2_000_000))
    assert len(codec.encode(end)) < 1 << 20


async def test_nothing_breaks_off_what_has_ended() -> None:
    work = Work("s")
    work.claimed(10)
    await work.run(asyncio.sleep(0))
    work.told(11, Verdict.STOPPED)
    assert work.verdict is None
