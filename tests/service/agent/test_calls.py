"""The calls of tools, as they are recorded and what the model hears of them, against a real nats-server."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from anthropic.lib.tools import ToolError

from benchwire.agent.claim import Desk
from benchwire.agent.errors import ClaimLost, ToolFailed
from benchwire.agent.sessions import conversation
from benchwire.agent.sessions.calls import Calls, Do, Rules, Tool
from benchwire.agent.sessions.conversation import Use, uses_of
from benchwire.agent.sessions.transcript import Transcript
from benchwire.agent.work import Work
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionRequested,
    SessionStopped,
    ToolCalled,
    ToolReturned,
)


def now() -> datetime:
    return datetime.now(UTC)


USE: dict[str, Any] = {"type": "tool_use", "id": "u1", "name": "do_it", "input": {"how": "well"}}


async def claimed(log: Log, bus: Bus, runner: str) -> Transcript:
    desk = Desk(log, Presence(bus), runner)
    taken = await desk.session("s")
    assert isinstance(taken.event, SessionClaimed)
    return Transcript(desk.claim(taken.event, taken.sequence), taken.state)


@pytest.fixture
async def transcript(log: Log, bus: Bus) -> Transcript:
    """A session whose model has just called a tool."""
    await log.append(SessionRequested(timestamp=now(), session_id="s", session_name="S", prompt="do it"))
    made = await claimed(log, bus, "runner-1")
    await made.write(MessageSent(timestamp=now(), session_id="s", role="user", content=conversation.text("do it")))
    await made.write(MessageSent(timestamp=now(), session_id="s", role="assistant", content=[USE]))
    await made.write(
        ModelUsed(timestamp=now(), session_id="s", model="m", input_tokens=1, output_tokens=1, stop_reason="tool_use")
    )
    return made


def tool(transcript: Transcript, do: Do, **more: Any) -> tuple[Calls, Tool]:
    calls = Calls(transcript, Work("s"), Rules(timeout_s=10.0))
    return calls, Tool(calls, "do_it", "Does it.", {"properties": {}}, do, **more)


async def called(transcript: Transcript, do: Do) -> Any:
    """What the SDK's tool runner gets."""
    calls, one = tool(transcript, do)
    await calls.expect(uses_of([USE]), {"do_it"})
    return await one.call(USE["input"])


def sent(transcript: Transcript) -> dict[str, Any]:
    """The result as the model is sent it in the next turn."""
    result: dict[str, Any] = conversation.conversation(transcript.session)[-1]["content"][0]
    return result


@pytest.fixture
def recorded(happened: Callable[[str], Awaitable[list[Event]]]) -> Callable[[], Awaitable[list[ToolReturned]]]:
    """The results that the log has."""

    async def read() -> list[ToolReturned]:
        return [one for one in await happened("bench.session.s.>") if isinstance(one, ToolReturned)]

    return read


Recorded = Callable[[], Awaitable[list[ToolReturned]]]


async def test_what_the_tool_runner_gets_is_what_another_runner_would_send(
    transcript: Transcript, recorded: Recorded
) -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "text", "text": "a chart"},
        {"type": "image", "source": {"type": "url", "url": "http://x"}},
    ]

    async def do(given: dict[str, Any], use: str) -> list[dict[str, Any]]:
        assert (given, use) == ({"how": "well"}, "u1")
        return blocks

    assert await called(transcript, do) == blocks == sent(transcript)["content"]
    assert [one.tool_output for one in await recorded()] == [blocks]


async def test_an_output_that_is_too_long_for_the_log_is_cut_for_the_model_too(
    transcript: Transcript, recorded: Recorded
) -> None:
    async def do(_: dict[str, Any], __: str) -> str:
        return "x" * 3_000_000

    told = await called(transcript, do)
    assert told == sent(transcript)["content"]
    assert told.endswith("of 3000000 characters are shown]")
    assert [one.tool_output for one in await recorded()] == [told]


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (ToolFailed("no such board"), "no such board"),
        (ToolError([{"type": "text", "text": "the server says no"}]), "the server says no"),
        (KeyError("x"), "do_it failed in a way that nobody foresaw (KeyError: 'x')"),
        (TimeoutError(), "TimeoutError"),
        (OSError("no space left"), "no space left"),
    ],
)
async def test_what_goes_wrong_in_a_tool_is_told_to_the_model_and_recorded(
    transcript: Transcript, recorded: Recorded, problem: Exception, sentence: str
) -> None:
    async def do(_: dict[str, Any], __: str) -> str:
        raise problem

    with pytest.raises(ToolError) as told:
        await called(transcript, do)
    assert str(told.value) == sentence == sent(transcript)["content"]
    assert [one.error for one in await recorded()] == [sentence]


async def test_a_claim_that_was_lost_in_the_middle_is_not_taken_for_an_answer(transcript: Transcript, log: Log) -> None:
    async def do(_: dict[str, Any], __: str) -> str:
        await log.append(SessionClaimed(timestamp=now(), session_id="s", runner="other", attempt=2))
        return "done"

    calls, one = tool(transcript, do)
    await calls.expect(uses_of([USE]), {"do_it"})
    with pytest.raises(ToolError):
        await one.call(USE["input"])
    with pytest.raises(ClaimLost):
        calls.check()


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_call_without_an_answer_runs_again_only_when_it_may(
    transcript: Transcript, log: Log, bus: Bus, recorded: Recorded, *, repeatable: bool
) -> None:
    await log.append(
        ToolCalled(timestamp=now(), session_id="s", tool_name="do_it", tool_use_id="u1", tool_input=USE["input"])
    )
    ids: list[str] = []

    async def do(_: dict[str, Any], use: str) -> str:
        ids.append(use)
        return "done"

    successor = await claimed(log, bus, "runner-2")
    calls, one = tool(successor, do, repeatable=repeatable)
    await calls.taken_over([one])
    await calls.taken_over([one])  # nothing is open any more
    assert ids == (["u1"] if repeatable else [])
    assert sent(successor)["is_error"] is not repeatable
    (result,) = await recorded()
    assert (result.tool_output, result.error) == (("done", None) if repeatable else (None, conversation.INTERRUPTED))


async def test_a_call_whose_input_could_not_be_read_is_not_run_by_the_next_runner(
    transcript: Transcript, log: Log, bus: Bus, recorded: Recorded
) -> None:
    async def do(_: dict[str, Any], __: str) -> str:
        raise AssertionError("it must not run")

    calls, one = tool(transcript, do)
    await calls.expect([Use("u1", "do_it", {}, "The input of this call is not valid JSON.")], {"do_it"})
    # Here the runner is lost, before the tool runner has come to that call.
    successor = await claimed(log, bus, "runner-2")
    calls, one = tool(successor, do)
    await calls.taken_over([one])
    assert [each.error for each in await recorded()] == [
        "The input of this call is not valid JSON. Nothing was run; call do_it again."
    ]


async def test_two_calls_that_an_endpoint_gave_one_id_are_two_to_their_tool(transcript: Transcript) -> None:
    ids: list[str] = []

    async def do(_: dict[str, Any], use: str) -> str:
        ids.append(use)
        return "done"

    await called(transcript, do)
    await transcript.write(MessageSent(timestamp=now(), session_id="s", role="assistant", content=[USE]))
    await called(transcript, do)
    assert ids == ["u1", "u1-2"]


async def test_nothing_is_decided_for_a_session_that_somebody_closed(transcript: Transcript, log: Log) -> None:
    await log.append(SessionStopped(timestamp=now(), session_id="s"))
    calls = Calls(transcript, Work("s"), Rules(ask_before=frozenset({"do_it"}), ask_expires_s=0.01))

    async def do(_: dict[str, Any], __: str) -> str:
        raise AssertionError("it must not run")

    one = Tool(calls, "do_it", "Does it.", {"properties": {}}, do)
    await calls.expect([Use("u1", "do_it", {})], {"do_it"})
    with pytest.raises(ToolError):
        await one.call({})
    with pytest.raises(ClaimLost):
        calls.check()
