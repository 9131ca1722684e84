"""Sessions that a session starts: what they are asked, what comes back, and who stops them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from anthropic.lib.tools import ToolError

from benchwire.agent.blueprint import Blueprint
from benchwire.agent.sessions.calls import Tool
from benchwire.events.blueprint import BlueprintCreated
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.session import (
    Budget,
    MessageSent,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopRequested,
)
from benchwire.events.testing.eventually import eventually

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]
StartModel = Callable[[str], AbstractAsyncContextManager[str]]
StartAgent = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]
Happened = Callable[[str], Awaitable[list[Event]]]

FAMILY = """
[[turn]]
contains = "You are the helper."
text = "The egg is blue."
[[turn]]
contains = "You are the sleeper."
tool = { name = "bash", input = { command = "sleep 600" } }
[[turn]]
attempt = 1
contains = "have somebody sleep"
tool = { name = "start_session", input = { prompt = "sleep", agent_name = "sleeper" } }
[[turn]]
attempt = 1
contains = "ask somebody for the colour"
tool = { name = "start_session", input = { prompt = "which colour has the egg?", agent_name = "helper" } }
[[turn]]
attempt = 2
contains = "The egg is blue."
text = "I was told: blue."
"""


def now() -> datetime:
    return datetime.now(UTC)


async def facts(log: Log, kind: type[Any]) -> list[Any]:
    return [one.event async for one in log.read(["bench.session.>"]) if isinstance(one.event, kind)]


async def child_of(log: Log, known: int = 1) -> SessionRequested:
    """The newest child, once there are more than ``known`` sessions."""

    async def there() -> SessionRequested | None:
        asked: list[SessionRequested] = await facts(log, SessionRequested)
        return asked[-1] if len(asked) > known else None

    found: SessionRequested = await eventually(there, what="the child to be asked for")
    return found


def says(child: SessionRequested, text: str) -> MessageSent:
    content = [{"type": "text", "text": text}]
    return MessageSent(timestamp=now(), session_id=child.session_id, role="assistant", content=content)


async def test_a_child_is_asked_within_what_its_parent_may_and_its_last_words_come_back(
    log: Log, tools: OpenTools
) -> None:
    own = Blueprint(name="parent", ask_before=("flash_device",), budget=Budget(max_tokens=1000))
    await log.append(BlueprintCreated(timestamp=now(), name="helper"))
    async with tools(blueprint=own) as tool, asyncio.TaskGroup() as tasks:
        given = {
            "prompt": "find the egg",
            "agent_name": "helper",
            "max_turns": 7,
            "budget": {"max_usd": 2.0, "max_tokens": 5000},
        }
        call = tasks.create_task(tool["start_session"].call(given))
        child = await child_of(log)
        assert (child.prompt, child.agent_name, child.max_turns) == ("find the egg", "helper", 7)
        assert (child.parent_session_id, child.parent_session_name) == ("s", "S")
        assert (child.budget, child.ask_before) == (Budget(max_tokens=1000, max_usd=2.0), ["flash_device"])
        await log.append(says(child, "I look."))
        await log.append(says(child, "It is in the nest."))
        await log.append(SessionEnded(timestamp=now(), session_id=child.session_id))
        assert await call == f"[session {child.session_id}]\nIt is in the nest."
    assert await facts(log, SessionStopRequested) == []


async def test_a_child_that_fails_is_told_with_its_reason(log: Log, tools: OpenTools) -> None:
    async with tools() as tool:
        call = asyncio.create_task(tool["start_session"].call({"prompt": "find the egg"}))
        child = await child_of(log)
        await log.append(SessionFailed(timestamp=now(), session_id=child.session_id, reason="the nest is gone"))
        with pytest.raises(ToolError, match="failed: the nest is gone"):
            await call


async def test_a_call_that_is_made_again_finds_its_child_and_one_that_is_broken_off_stops_it(
    log: Log, tools: OpenTools
) -> None:
    async with tools() as tool:
        given = {"prompt": "find the egg", "timeout_s": 0.3}
        with pytest.raises(Exception, match=r"did not end within 0\.3 s, and was stopped"):
            await tool["start_session"].do(given, "toolu_1")
        call = asyncio.ensure_future(tool["start_session"].do({"prompt": "find the egg"}, "toolu_1"))
        child = await child_of(log)
        await asyncio.sleep(0)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        assert len(await facts(log, SessionRequested)) == 2, "this session, and one child"
        assert {one.session_id for one in await facts(log, SessionStopRequested)} == {child.session_id}


async def test_a_child_that_cannot_be_is_refused_with_a_sentence(log: Log, tools: OpenTools) -> None:
    await log.append(BlueprintCreated(timestamp=now(), name="asleep", status="inactive"))
    wanted = {"nobody": "there is no agent", "asleep": "is inactive"}
    async with tools() as tool:
        for name, sentence in wanted.items():
            with pytest.raises(ToolError, match=sentence):
                await tool["start_session"].call({"prompt": "x", "agent_name": name})
    async with tools("t", Blueprint(name="limited", tools=("start_session",))) as tool:
        with pytest.raises(ToolError, match="has to name the agent"):
            await tool["start_session"].call({"prompt": "x"})


async def test_sessions_start_each_other_three_deep_at_most(log: Log, tools: OpenTools) -> None:
    for session_id, parent in (("root", None), ("middle", "root")):
        asked = SessionRequested(
            timestamp=now(), session_id=session_id, session_name="S", prompt="x", parent_session_id=parent
        )
        await log.append(asked)
    async with tools("leaf", parent="middle") as tool:
        with pytest.raises(ToolError, match="3 deep at most"):
            await tool["start_session"].call({"prompt": "x"})


async def test_a_runner_with_one_place_runs_a_child_while_its_parent_waits(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    await log.append(BlueprintCreated(timestamp=now(), name="helper", system_prompt="You are the helper."))
    async with model(FAMILY) as url, agent(url=url, max_sessions="1"):
        await log.append(
            SessionRequested(timestamp=now(), session_id="p", session_name="P", prompt="ask somebody for the colour")
        )

        async def over() -> list[Event]:
            return [one for one in await happened("bench.session.p.>") if isinstance(one, SessionEnded | SessionFailed)]

        (end,) = await eventually(over, within_s=60, what="the parent to be over")
    assert isinstance(end, SessionEnded)
    child = await child_of(log)
    assert child.parent_session_id == "p"
    said = [one for one in await happened("bench.session.p.message") if isinstance(one, MessageSent)]
    assert said[-1].content[-1]["text"] == "I was told: blue."
    assert [type(one) for one in await happened(f"bench.session.{child.session_id}.ended")] == [SessionEnded]


async def test_a_child_is_stopped_with_its_parent(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    await log.append(BlueprintCreated(timestamp=now(), name="sleeper", system_prompt="You are the sleeper."))
    async with model(FAMILY) as url, agent(url=url):
        asked = SessionRequested(timestamp=now(), session_id="p", session_name="P", prompt="have somebody sleep")
        await log.append(asked)
        child = await child_of(log)
        called = f"bench.session.{child.session_id}.tool_called"
        await eventually(partial(happened, called), within_s=60, what="the child to sleep")
        await log.append(SessionStopRequested(timestamp=now(), session_id="p", reason="enough"))
        for session_id in ("p", child.session_id):
            stopped = f"bench.session.{session_id}.stopped"
            await eventually(partial(happened, stopped), within_s=30, what=stopped)
