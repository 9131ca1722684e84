"""Sessions of named agents, and sessions that were forked, with a real runner process and an endpoint that answers from a script."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.events import nats_server
from benchwire.events.blueprint import BlueprintCreated, BlueprintDeleted, BlueprintUpdated
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.session import MessageSent, SessionEnded, SessionFailed, SessionRequested, SessionStopped
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

StartModel = Callable[[str], AbstractAsyncContextManager[str]]
StartAgent = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]
Happened = Callable[[str], Awaitable[list[Event]]]

OVER = (SessionEnded, SessionFailed, SessionStopped)

# The system prompt is a part of the conversation that the script looks at.
RECIPES = """
[[turn]]
contains = "You are the second recipe."
text = "I follow the second recipe."
[[turn]]
contains = "You are the first recipe."
text = "I follow the first recipe."
[[turn]]
contains = "You work in a hardware lab"
text = "I follow none."
"""
# What the endpoint was sent has to be the whole conversation: else its turns do not fit, and it says that it knows only the demo.
TALK = """
[[turn]]
attempt = 1
contains = "remember the word"
text = "I look."
tool = { name = "bash", input = { command = "echo $((6 * 7)) is the number" } }
[[turn]]
attempt = 2
text = "I remember: heron."
[[turn]]
attempt = 3
contains = ["remember the word", "42 is the number", "I remember: heron."]
last = "which word was it?"
text = "It was heron."
"""


def now() -> datetime:
    return datetime.now(UTC)


def requested(session_id: str, agent_name: str | None) -> SessionRequested:
    return SessionRequested(
        timestamp=now(), session_id=session_id, session_name="S", prompt="who are you?", agent_name=agent_name
    )


def created(name: str, **more: Any) -> BlueprintCreated:
    return BlueprintCreated(timestamp=now(), name=name, **more)


async def end_of(happened: Happened, session_id: str) -> Event:
    async def over() -> Event | None:
        return next((one for one in await happened(f"bench.session.{session_id}.>") if isinstance(one, OVER)), None)

    event: Event = await eventually(over, within_s=60, what=f"{session_id} to be over")
    return event


async def answer_in(happened: Happened, session_id: str) -> str:
    said = [one for one in await happened(f"bench.session.{session_id}.message") if isinstance(one, MessageSent)]
    return str(said[-1].content[-1]["text"])


async def test_an_agent_speaks_with_its_own_prompt_as_it_is_at_the_start(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    async with model(RECIPES) as url, agent(url=url):
        await log.append(created("one", system_prompt="You are the first recipe."))
        await log.append(created("plain"))
        await log.append(requested("s-1", "one"))
        assert isinstance(await end_of(happened, "s-1"), SessionEnded)
        await log.append(
            BlueprintUpdated(timestamp=now(), name="one", changes={"system_prompt": "You are the second recipe."})
        )
        for session_id, name in (("s-2", "one"), ("s-3", "plain"), ("s-4", None)):
            await log.append(requested(session_id, name))
            assert isinstance(await end_of(happened, session_id), SessionEnded)
    said = [await answer_in(happened, f"s-{number}") for number in range(1, 5)]
    assert said == ["I follow the first recipe.", "I follow the second recipe.", "I follow none.", "I follow none."]


async def test_an_agent_that_cannot_be_had_fails_the_session_with_a_sentence(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    await log.append(created("asleep", status="inactive"))
    await log.append(created("wired", mcp_servers={"files": {"command": "server"}}))
    await log.append(created("skilled", skills=["welding"]))
    await log.append(created("gone"))
    await log.append(BlueprintDeleted(timestamp=now(), name="gone"))
    wanted = {
        "asleep": "is inactive", "wired": "BENCHWIRE_MCP_COMMANDS", "skilled": "BENCHWIRE_SKILLS", "gone": "there is no agent",
        "nobody": "there is no agent", "Not a. name": "there is no agent",
    }  # fmt: skip
    async with model(RECIPES) as url, agent(url=url):
        for number, name in enumerate(wanted):
            await log.append(requested(f"s-{number}", name))
        for number, sentence in enumerate(wanted.values()):
            end = await end_of(happened, f"s-{number}")
            assert isinstance(end, SessionFailed)
            assert sentence in end.reason


@pytest.fixture
async def door(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Observability, beside the runner."""
    own = Settings(nats_url=nats.url, data=tmp_path / "observability", observability_port=0)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        yield client


async def shown_over(door: httpx.AsyncClient, session_id: str) -> None:
    async def finished() -> bool:
        return bool((await door.get(f"/sessions/{session_id}")).json()["session"]["status"] == "finished")

    await eventually(finished, within_s=60, what=f"{session_id} to be finished")


async def test_a_fork_goes_on_with_the_whole_conversation(
    door: httpx.AsyncClient, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    async with model(TALK) as url, agent(url=url):
        asked = {"session_id": "s", "session_name": "S", "prompt": "remember the word"}
        (await door.post("/sessions", json=asked)).raise_for_status()
        await shown_over(door, "s")
        before = await happened("bench.session.s.>")
        fork = {"session_id": "f", "prompt": "which word was it?"}
        for _ in range(2):  # repeated, it does not run twice
            (await door.post("/sessions/s/fork", json=fork)).raise_for_status()
        await shown_over(door, "f")
        assert (await door.get("/sessions/f/result")).json() == {"result": "It was heron."}
        assert await happened("bench.session.s.>") == before
        assert len([one for one in await happened("bench.session.f.>") if isinstance(one, SessionEnded)]) == 1
        # Forked right behind the call, its result comes along: an endpoint refuses a call without one.
        events = (await door.get("/sessions/s/events?event_type=message")).json()["events"]
        early = {"session_id": "g", "prompt": "just forget it", "at": events[1]["id"]}
        (await door.post("/sessions/s/fork", json=early)).raise_for_status()
        assert isinstance(await end_of(happened, "g"), SessionEnded)
        assert await answer_in(happened, "g") == "I remember: heron."
