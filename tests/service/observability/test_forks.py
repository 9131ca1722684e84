"""Sessions that go on from the middle of another."""

import asyncio
from typing import Any

import httpx
import pytest

from benchwire.events.log import Log, LogUnavailable
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionRequested,
    SessionStarted,
    ToolCalled,
    ToolReturned,
)
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT
from benchwire.web.testing import refused

USE: dict[str, Any] = {"type": "tool_use", "id": "u1", "name": "bash", "input": {}}
TOOL: dict[str, Any] = {"timestamp": AT, "session_id": "s", "tool_name": "bash", "tool_use_id": "u1"}


def said(role: str, *content: dict[str, Any]) -> MessageSent:
    return MessageSent(timestamp=AT, session_id="s", session_name="S", role=role, content=list(content))


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


TALK = [
    SessionStarted(timestamp=AT, session_id="s", session_name="S", project_dir="/p"),
    said("user", text("go")),
    said("assistant", text("I look"), USE),
    ModelUsed(timestamp=AT, session_id="s", model="m", input_tokens=1, output_tokens=2),
    ToolCalled(**TOOL),
    ToolReturned(**TOOL, tool_output="out"),
    said("assistant", text("done")),
]
ENDED = SessionEnded(timestamp=AT, session_id="s")


async def put(client: httpx.AsyncClient, log: Log, *events: Any) -> list[int]:
    """Appends ``events``, and returns their ids once they are shown."""
    ids = [await log.append(event) for event in events]

    async def shown() -> bool:
        return bool((await client.get("/health")).json()["projection"]["applied"] >= ids[-1])

    await eventually(shown)
    return ids


async def fork(client: httpx.AsyncClient, **asked: Any) -> httpx.Response:
    return await client.post("/sessions/s/fork", json=asked)


async def types_of(log: Log, session_id: str) -> list[str]:
    return [str(one.event.__struct_config__.tag) async for one in log.read([f"bench.session.{session_id}.*"])]


async def test_a_fork_has_the_conversation_up_to_its_event(client: httpx.AsyncClient, log: Log) -> None:
    ids = await put(client, log, *TALK, ENDED)
    made = (await fork(client, at=ids[5], session_id="f", session_name="F")).json()
    assert (made["ok"], made["copied"]) == (True, 4)
    session = made["session"]
    assert (session["session_name"], session["project_dir"], session["status"]) == ("F", "/p", "running")
    assert session["forked_from"] == {"session_id": "s", "event_id": ids[5]}
    assert (await client.get("/sessions/f")).json()["session"] == session
    events = (await client.get("/sessions/f/events")).json()["events"]
    before = (await client.get("/sessions/s/events")).json()["events"]
    kept = [one for one in before if one["event_type"] in ("message", "pre_tool", "post_tool") and one["id"] <= ids[5]]
    assert [{**one, "id": 0} for one in events] == [
        {**one, "id": 0, "session_id": "f", "session_name": "F"} for one in kept
    ]
    # What the model calls cost was paid once, by the session that is forked.
    assert await types_of(log, "f") == ["session_start", "message", "message", "pre_tool", "post_tool"]
    assert (await client.get("/sessions/s/events")).json()["events"] == before


async def test_without_more_a_session_is_forked_at_its_end(client: httpx.AsyncClient, log: Log) -> None:
    ids = await put(client, log, *TALK, ENDED)
    made = (await fork(client)).json()
    assert made["session"]["session_id"].startswith("fork-")
    assert made["session"]["session_name"] == "S (fork)"
    assert made["session"]["forked_from"]["event_id"] == ids[-1]
    assert made["copied"] == 5


async def test_the_result_of_a_call_comes_along_and_one_that_is_still_to_come_is_refused(
    client: httpx.AsyncClient, log: Log
) -> None:
    ids = await put(client, log, *TALK[:5])
    refused(await fork(client, at=ids[2]), 400, "at", "result")
    assert (await client.get("/sessions")).json()["sessions"][0]["session_id"] == "s"
    await put(client, log, *TALK[5:])
    assert (await fork(client, at=ids[2], session_id="f")).json()["copied"] == 4
    assert (await types_of(log, "f"))[-1] == "post_tool"


async def test_a_session_that_was_broken_off_in_a_call_can_be_forked(client: httpx.AsyncClient, log: Log) -> None:
    await put(client, log, *TALK[:5], ENDED)
    assert (await fork(client)).json()["copied"] == 3


async def test_with_a_prompt_a_run_is_asked_for(client: httpx.AsyncClient, log: Log) -> None:
    ids = await put(client, log, *TALK, ENDED)
    made = (await fork(client, session_id="f", prompt="and now?", model="m", max_turns=3)).json()
    assert made["session"]["status"] == "running"
    (asked,) = [one.event async for one in log.read(["bench.session.f.requested"])]
    assert isinstance(asked, SessionRequested)
    assert (asked.prompt, asked.model, asked.max_turns, asked.project_dir) == ("and now?", "m", 3, "/p")
    assert (await types_of(log, "f"))[-1] == "session_requested"
    assert ids


async def test_the_same_call_again_finishes_what_is_there_and_doubles_nothing(
    client: httpx.AsyncClient, log: Log
) -> None:
    await put(client, log, *TALK)
    answers = await asyncio.gather(*(fork(client, session_id="f", prompt="and now?") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    await put(client, log, said("assistant", text("more")))
    late = await fork(client, session_id="f", prompt="and now?")  # its answer was lost, and the source has gone on
    assert late.json() == answers[0].json()
    expected = ["session_start", "message", "message", "pre_tool", "post_tool", "message", "session_requested"]
    assert await types_of(log, "f") == expected


@pytest.mark.parametrize("appends", range(1, 7))
async def test_a_fork_that_was_cut_off_is_finished_by_the_same_call(
    client: httpx.AsyncClient, log: Log, monkeypatch: pytest.MonkeyPatch, appends: int
) -> None:
    await put(client, log, *TALK)
    append, left = Log.append, appends

    async def append_some(self: Log, event: Any, **more: Any) -> int:
        nonlocal left
        if left == 0:
            raise LogUnavailable("the log does not answer")
        left -= 1
        return await append(self, event, **more)

    monkeypatch.setattr(Log, "append", append_some)
    refused(await fork(client, session_id="f", prompt="and now?"), 503)
    monkeypatch.undo()
    assert len(await types_of(log, "f")) == appends
    answer = await fork(client, session_id="f", prompt="and now?")
    assert (answer.status_code, answer.json()["copied"]) == (200, 5)
    expected = ["session_start", "message", "message", "pre_tool", "post_tool", "message", "session_requested"]
    assert await types_of(log, "f") == expected


async def test_an_id_that_is_taken_by_anything_else_is_refused(client: httpx.AsyncClient, log: Log) -> None:
    ids = await put(client, log, *TALK)
    assert (await fork(client, session_id="f", at=ids[1])).status_code == 200
    refused(await fork(client, session_id="f", at=ids[2]), 409, "f")
    refused(await fork(client, session_id="f", prompt="and now?"), 409, "f")
    refused(await fork(client, session_id="s"), 409, "s")
    await client.delete("/sessions/f")
    assert (await fork(client, session_id="f", at=ids[1])).json()["copied"] == 1
    assert await types_of(log, "f") == ["session_deleted", "session_start", "message"]


async def test_a_fork_begins_at_an_event_of_its_session(client: httpx.AsyncClient, log: Log) -> None:
    await put(client, log, *TALK)
    for at in (0, -1, 1 << 70, 999):
        refused(await fork(client, at=at), 400, "at")


async def test_a_fork_that_cannot_be_is_refused(client: httpx.AsyncClient, log: Log) -> None:
    refused(await fork(client), 404, "s")
    await client.post("/sessions", json={"session_id": "s", "session_name": "S", "agent_name": "free words"})
    refused(await fork(client), 400, "no events")
    ids = await put(client, log, *TALK, SessionStarted(timestamp=AT, session_id="t"))
    refused(await fork(client, at=ids[-1]), 400, "at")  # an event of another session
    refused(await fork(client, at="1"), 400, "at")
    refused(await fork(client, session_id="a b"), 400, "session_id")
    refused(await fork(client, prompt="x", max_turns=0), 400, "max_turns")
    refused(await fork(client, prompt="x"), 400, "agent_name", "free words")
    assert [one["session_id"] for one in (await client.get("/sessions")).json()["sessions"]].count("s") == 1
    assert (await fork(client, prompt="x", agent_name=None)).json()["session"]["agent_name"] is None


async def test_a_fork_can_be_exported_and_forked_again(client: httpx.AsyncClient, log: Log) -> None:
    await put(client, log, *TALK)
    await fork(client, session_id="f")
    second = (await client.post("/sessions/f/fork", json={"session_id": "g"})).json()
    assert (second["copied"], second["session"]["forked_from"]["session_id"]) == (5, "f")
    file = (await client.get("/sessions/g/export")).content
    taken = (await client.post("/sessions/import?prefix=x-", content=file)).json()
    assert taken["ok"]
    assert (await client.get("/sessions/x-g")).json()["session"]["forked_from"]["session_id"] == "x-f"
