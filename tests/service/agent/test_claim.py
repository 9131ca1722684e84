"""What a runner writes about the life of its work, against a real nats-server: nothing once somebody else has ended it."""

import asyncio
from datetime import UTC, datetime

import pytest

from benchwire.agent.claim import Claim, Desk
from benchwire.agent.errors import ClaimLost
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log import Behind, Log
from benchwire.events.presence import Presence
from benchwire.events.session import (
    MessageRequested,
    MessageSent,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopRequested,
    ToolApprovalRequested,
    ToolDecided,
)
from benchwire.events.task import TaskClaimed, TaskFailed, TaskFinished, TaskRequested
from benchwire.events.testing.samples import sample


def now() -> datetime:
    return datetime.now(UTC)


STARTED = SessionStarted(timestamp=now(), session_id="s")
ENDED = SessionEnded(timestamp=now(), session_id="s")
SAID = MessageSent(timestamp=now(), session_id="s", role="assistant", content=[])
ASKED = SessionRequested(timestamp=now(), session_id="s", session_name="S", prompt="do it")


async def claimed(log: Log, bus: Bus, runner: str = "runner-1") -> Claim:
    desk = Desk(log, Presence(bus), runner)
    taken = await desk.session("s")
    assert isinstance(taken.event, SessionClaimed)
    return desk.claim(taken.event, taken.sequence)


async def types_of(log: Log, filter_: str) -> list[type[Event]]:
    return [type(one.event) async for one in log.read([filter_])]


@pytest.fixture
async def claim(log: Log, bus: Bus) -> Claim:
    """The hold of runner-1 on a session that was asked for."""
    await log.append(ASKED)
    return await claimed(log, bus)


async def test_a_session_is_begun_and_ended_by_who_holds_it_also_when_its_stop_is_asked_for(
    claim: Claim, log: Log
) -> None:
    await claim.settle(STARTED)
    await claim.check()
    await log.append(SessionStopRequested(timestamp=now(), session_id="s"))
    await claim.settle(ENDED)
    assert await types_of(log, "bench.session.s.*") == [
        SessionRequested, SessionClaimed, SessionStarted, SessionStopRequested, SessionEnded
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [SessionFailed, SessionDeleted, SessionEnded])
async def test_a_runner_that_was_frozen_does_not_begin_what_was_closed_meanwhile(
    claim: Claim, log: Log, kind: type[Event]
) -> None:
    """Its late start made the session run again, and nobody was left to end it."""
    await log.append(sample(kind, session_id="s"))
    for late in (STARTED, ENDED):
        with pytest.raises(ClaimLost):
            await claim.settle(late)
    assert (await types_of(log, "bench.session.s.*"))[-1] is kind


async def test_a_runner_whose_session_was_taken_over_neither_begins_nor_ends_it(
    claim: Claim, log: Log, bus: Bus
) -> None:
    successor = await claimed(log, bus, "runner-2")
    with pytest.raises(ClaimLost):
        await claim.settle(STARTED)
    await successor.settle(STARTED)
    await successor.settle(ENDED)
    assert (await types_of(log, "bench.session.s.*"))[2:] == [SessionClaimed, SessionStarted, SessionEnded]


async def test_what_a_server_refuses_that_has_not_heard_of_the_claim_is_written_when_it_has(log: Log, bus: Bus) -> None:
    """A server that led the log and was cut off from the others refused, the runner let go of its session, and nobody ever ended it."""
    taken = SessionClaimed(timestamp=now(), session_id="s", runner="runner-1", attempt=1)
    claim = Desk(log, Presence(bus), "runner-1").claim(taken, 2)
    with pytest.raises(Behind):
        await claim.check()
    writing = asyncio.create_task(claim.append(SAID))
    ending = asyncio.create_task(claim.settle(ENDED))
    assert await asyncio.wait([writing, ending], timeout=0.5) == (set(), {writing, ending})
    await log.append(ASKED)
    assert await log.append(taken) == 2
    await asyncio.gather(writing, ending)
    happened = await types_of(log, "bench.session.s.*")
    assert sorted(map(str, happened[2:])) == sorted(map(str, [MessageSent, SessionEnded]))


async def test_a_request_that_came_off_the_queue_is_not_taken_for_unknown_by_a_server_that_lacks_it(
    log: Log, bus: Bus
) -> None:
    taking = asyncio.create_task(Desk(log, Presence(bus), "runner-1").session("s", asked_at=1))
    assert await asyncio.wait([taking], timeout=0.5) == (set(), {taking})
    await log.append(ASKED)
    assert isinstance((await taking).event, SessionClaimed)


async def test_a_session_does_not_end_while_a_message_waits_that_it_has_not_heard(claim: Claim, log: Log) -> None:
    letter = MessageRequested(timestamp=now(), session_id="s", message_id="m", text="and now?")
    await log.append(letter)
    assert await claim.end(ENDED, taken=frozenset()) == [letter]
    assert SessionEnded not in await types_of(log, "bench.session.s.*")
    assert await claim.end(ENDED, taken=frozenset({"m"})) == []
    assert (await types_of(log, "bench.session.s.*"))[-1] is SessionEnded
    with pytest.raises(ClaimLost):
        await claim.end(ENDED, taken=frozenset())


async def test_of_a_person_and_the_clock_the_first_decides_about_a_call(claim: Claim, log: Log) -> None:
    expired = ToolDecided(timestamp=now(), session_id="s", tool_use_id="u", approved=False)
    allowed = ToolDecided(timestamp=now(), session_id="s", tool_use_id="u", approved=True, by="anna")
    asked = sample(ToolApprovalRequested, session_id="s", tool_use_id="u")
    await log.append(asked)
    await log.append(allowed)
    assert await claim.decision(expired) == allowed
    await log.append(asked)
    assert await claim.decision(expired) == expired
    assert (await types_of(log, "bench.session.s.tool_decided")) == [ToolDecided, ToolDecided]


async def test_a_task_ends_once(log: Log, bus: Bus) -> None:
    await log.append(TaskRequested(timestamp=now(), task_id="t", kind="firmware", prompt="blink"))
    desk = Desk(log, Presence(bus), "runner-1")
    taken = await desk.task("t")
    assert isinstance(taken.event, TaskClaimed)
    claim = desk.claim(taken.event, taken.sequence)
    await claim.settle(TaskFinished(timestamp=now(), task_id="t", duration_s=1.0))
    with pytest.raises(ClaimLost):
        await claim.check()
    with pytest.raises(ClaimLost):
        await claim.settle(TaskFailed(timestamp=now(), task_id="t", reason="late"))
