"""Secrets in a session: a tool gets what the model sent, and neither the log nor the next question to the model has it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from benchwire.agent.claim import Desk
from benchwire.agent.code import pipeline as of_code
from benchwire.agent.firmware import pipeline as of_firmware
from benchwire.agent.sessions import conversation
from benchwire.agent.sessions.calls import Calls, Output, Rules, Tool
from benchwire.agent.sessions.conversation import Use
from benchwire.agent.sessions.transcript import Transcript
from benchwire.agent.work import Work
from benchwire.events import codec
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.live import SessionDelta
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionEnded,
    SessionRequested,
    ToolReturned,
)
from benchwire.events.task import Assertion, NodeSpec, TaskClaimed, TaskPlanned, TaskRequested
from benchwire.events.testing.eventually import eventually

Happened = Callable[[str], Awaitable[list[Event]]]
Run = Callable[..., Any]

TOKEN = "gh" + "p_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
HIDDEN = "[redacted: github token]"
SIGNATURE = "EqQB" + "AIza" + "A1b2" * 9 + "+/=="


def now() -> datetime:
    return datetime.now(UTC)


async def claimed(log: Log, bus: Bus, runner: str) -> Transcript:
    desk = Desk(log, Presence(bus), runner)
    taken = await desk.session("s")
    assert isinstance(taken.event, SessionClaimed)
    return Transcript(desk.claim(taken.event, taken.sequence), taken.state)


def use(command: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": "u1", "name": "bash", "input": {"command": command}}


@pytest.fixture
async def transcript(log: Log, bus: Bus) -> Transcript:
    """A session whose model has just called a tool with a token, after a thought."""
    await log.append(SessionRequested(timestamp=now(), session_id="s", session_name="S", prompt=f"use {TOKEN}"))
    made = await claimed(log, bus, "runner-1")
    thought = {"type": "thinking", "thinking": "so be it", "signature": SIGNATURE}
    await made.write(MessageSent(timestamp=now(), session_id="s", role="user", content=conversation.text("do it")))
    said = [thought, use(f"curl {TOKEN}")]
    await made.write(MessageSent(timestamp=now(), session_id="s", role="assistant", content=said))
    used = ModelUsed(
        timestamp=now(), session_id="s", model="m", input_tokens=1, output_tokens=1, stop_reason="tool_use"
    )
    await made.write(used)
    return made


def bash(transcript: Transcript, ran: list[str]) -> tuple[Calls, Tool]:
    async def do(given: dict[str, Any], _: str) -> Output:
        ran.append(given["command"])
        return f"it printed {TOKEN}"

    calls = Calls(transcript, Work("s"), Rules(timeout_s=10.0))
    return calls, Tool(calls, "bash", "Runs it.", {"properties": {}}, do)


async def test_a_tool_gets_what_the_model_sent_and_the_model_hears_what_the_log_has(
    transcript: Transcript, log: Log, bus: Bus, happened: Happened
) -> None:
    ran: list[str] = []
    calls, tool = bash(transcript, ran)
    await calls.expect([Use("u1", "bash", {"command": f"curl {TOKEN}"})], {"bash"})
    assert await tool.call({"command": f"curl {TOKEN}"}) == f"it printed {HIDDEN}"
    assert ran == [f"curl {TOKEN}"]
    (returned,) = [one for one in await happened("bench.session.s.*") if isinstance(one, ToolReturned)]
    assert (returned.tool_input, returned.tool_output) == ({"command": f"curl {HIDDEN}"}, f"it printed {HIDDEN}")
    next_runner = (await claimed(log, bus, "runner-2")).session
    assert conversation.conversation(transcript.session) == conversation.conversation(next_runner)
    assert TOKEN not in str(conversation.conversation(transcript.session))


async def test_a_thought_goes_on_to_the_next_runner_as_it_was(transcript: Transcript, log: Log, bus: Bus) -> None:
    for session in (transcript.session, (await claimed(log, bus, "runner-2")).session):
        (said,) = [one for one in conversation.conversation(session) if one["role"] == "assistant"]
        assert said["content"][0] == {"type": "thinking", "thinking": "so be it", "signature": SIGNATURE}


async def test_a_call_whose_secret_is_gone_is_not_run_with_a_hole_in_it(
    transcript: Transcript, log: Log, bus: Bus, happened: Happened
) -> None:
    assert transcript.session.said
    ran: list[str] = []
    next_one = await claimed(log, bus, "runner-2")
    calls, tool = bash(next_one, ran)
    await calls.taken_over([tool])
    assert not ran
    (returned,) = [one for one in await happened("bench.session.s.*") if isinstance(one, ToolReturned)]
    assert "held a secret, which is not kept. Nothing was run; call bash again" in str(returned.error)


async def test_what_a_model_speaks_in_pieces_is_whole_and_without_the_secret(
    log: Log, runner: Run, replies: Any, happened: Happened
) -> None:
    said = f"The token is {TOKEN}, keep it. "
    pieces = [
        replies.event("content_block_delta", index=0, delta={"type": "text_delta", "text": said[at : at + 5]})
        for at in range(0, len(said), 5)
    ]
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.data.decode())

    listening = await log.bus.nc.subscribe("live.session.s.delta", cb=hear)
    answer = replies.raw(replies.start() + replies.words("") + "".join(pieces) + replies.stop("end_turn"))
    async with replies.given(answer), runner():
        await log.append(SessionRequested(timestamp=now(), session_id="s", session_name="S", prompt="say it"))

        async def is_over() -> bool:
            return any(isinstance(one, SessionEnded) for one in await happened("bench.session.s.*"))

        await eventually(is_over, what="the end of the session")
    await listening.unsubscribe()
    samples = [codec.decode(one.encode()) for one in heard]
    words = "".join(one.text for one in samples if isinstance(one, SessionDelta))
    assert words == f"The token is {HIDDEN}, keep it. "
    (message,) = [
        one for one in await happened("bench.session.s.*") if isinstance(one, MessageSent) and one.role == "assistant"
    ]
    assert message.content[0]["text"].strip() == words.strip()


@pytest.mark.parametrize("kind", ["firmware", "code"])
async def test_what_is_made_is_the_plan_that_the_log_has(kind: str, log: Log, bus: Bus, happened: Happened) -> None:
    """Or the next runner would make something else of it."""
    node_id, board = ("n", "stm32f405") if kind == "firmware" else ("made.py", "")
    node = NodeSpec(node_id=node_id, board=board, description=f"It uses {TOKEN}")
    if kind == "firmware":
        node = replace(node, assertions=[Assertion(name="a", pattern=f"it has {TOKEN}")])
    asked = TaskRequested(timestamp=now(), task_id="t", kind=kind, nodes=[node], prompt="")
    await log.append(replace(asked, nodes=[]))  # as if the model had planned it
    taken = await Desk(log, Presence(bus), "runner-1").task("t")
    assert isinstance(taken.event, TaskClaimed)
    claim = Desk(log, Presence(bus), "runner-1").claim(taken.event, taken.sequence)
    lab: Any = SimpleNamespace(log=log, model=object(), sandbox=SimpleNamespace(refusal=None))
    made: Any = await (of_firmware if kind == "firmware" else of_code)._planned(taken.state, asked, claim, lab)
    nodes = made[0] if kind == "firmware" else made
    (planned,) = [one for one in await happened("bench.task.t.*") if isinstance(one, TaskPlanned)]
    assert nodes == planned.nodes
    assert nodes[0].description == f"It uses {HIDDEN}"
