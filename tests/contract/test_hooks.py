"""Each kind of hook, field by field, and what it does to its session; the words and times that clients read of a session."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from benchwire.events.bus import connected
from benchwire.events.log import Log
from benchwire.events.session import SessionFailed, SessionRequested, SessionStopRequested
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BLOCKS = [
    {"type": "text", "text": "look"},
    {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}},
    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a"}], "is_error": False},
]
KINDS: list[dict[str, Any]] = [
    {"event_type": "session_start"},
    {"event_type": "session_start", "project_dir": "/p"},
    {"event_type": "pre_tool", "tool_name": "Bash", "tool_input": {"command": "ls", "deep": {"a": [1, None]}}},
    *(
        {"event_type": "post_tool", "tool_name": "Bash", "tool_input": {}, "tool_output": output, "error": None}
        for output in ("text", 1.5, False, None, ["a", {"b": None}], {"stdout": "ü"})
    ),
    {"event_type": "post_tool", "tool_name": "Bash", "tool_input": {}, "tool_output": None, "error": "it broke"},
    {"event_type": "message", "role": "user", "content": BLOCKS},
    {"event_type": "message", "role": "assistant", "content": []},
    {"event_type": "session_stop", "exit_code": 0, "reason": "done"},
    {"event_type": "session_stop", "exit_code": -15, "reason": "killed"},
]


@pytest.fixture
async def client(outside_observability: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=outside_observability, timeout=20.0, trust_env=False) as client:
        yield client


@pytest.fixture
async def written(outside_nats: str) -> AsyncIterator[Log]:
    """The log, for what only services write."""
    async with connected(NatsSettings(nats_url=outside_nats), name="test") as bus:
        yield Log(bus)


@pytest.fixture
def session() -> str:
    """The id of a session of this test's own."""
    return f"s-{uuid4()}"


async def post(client: httpx.AsyncClient, session_id: str, **more: Any) -> None:
    body = {"session_id": session_id, "timestamp": "2026-01-17T12:00:00Z", **more}
    answer = await client.post("/events", json=body)
    assert (answer.status_code, answer.json()) == (200, {"ok": True}), answer.text


async def shown(client: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/sessions/{session_id}")).json()["session"]
    return found


async def word(client: httpx.AsyncClient, session_id: str) -> str:
    answer = await client.get(f"/sessions/{session_id}/status")
    assert answer.status_code == 200
    return str(answer.json()["status"])


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_hook_says_is_shown_as_it_was_sent(
    client: httpx.AsyncClient, session: str, kind: dict[str, Any]
) -> None:
    await post(client, session, session_name="One", **kind)
    (event,) = (await client.get(f"/events/{session}")).json()["events"]
    assert isinstance(event.pop("id"), int)
    told = {"session_id": session, "session_name": "One", "timestamp": "2026-01-17T12:00:00Z", **kind}
    assert {name: event[name] for name in told} == told
    assert not any(value for name, value in event.items() if name not in told)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("2026-01-17T12:00:00", "2026-01-17T12:00:00Z"),
        ("2026-01-17T12:00:00Z", "2026-01-17T12:00:00Z"),
        ("2026-01-17T14:00:00+02:00", "2026-01-17T12:00:00Z"),
        ("2026-01-17T12:00:00.250000-00:30", "2026-01-17T12:30:00.250000Z"),
    ],
)
async def test_a_time_with_or_without_a_zone_is_shown_in_utc(
    client: httpx.AsyncClient, session: str, given: str, told: str
) -> None:
    await post(client, session, event_type="session_start", timestamp=given)
    (event,) = (await client.get(f"/events/{session}")).json()["events"]
    assert event["timestamp"] == told
    found = await shown(client, session)
    assert all(UTC_TIME.fullmatch(found[name]) for name in ("created_at", "modified_at"))
    assert found["created_at"].startswith(told[:-1])


@pytest.mark.parametrize("kind", KINDS[:1] + KINDS[2:4] + KINDS[-3:-1])
async def test_a_hook_of_a_session_that_nobody_announced_makes_it(
    client: httpx.AsyncClient, session: str, kind: dict[str, Any]
) -> None:
    """Hooks race, and newer clients say no name."""
    await post(client, session, **kind)
    found = await shown(client, session)
    assert (found["session_id"], found["session_name"]) == (session, session)
    assert found["status"] == ("finished" if kind["event_type"] == "session_stop" else "running")


@pytest.mark.parametrize("kind", KINDS[2:4] + KINDS[-3:-1])
async def test_every_hook_moves_the_time_of_change(
    client: httpx.AsyncClient, session: str, kind: dict[str, Any]
) -> None:
    await post(client, session, event_type="session_start")
    before = await shown(client, session)
    await post(client, session, timestamp="2026-01-17T13:00:00Z", **kind)
    after = await shown(client, session)
    assert after["modified_at"] > before["modified_at"]
    assert after["created_at"] == before["created_at"]


async def test_a_prompt_asks_for_a_run_and_the_session_is_shown_as_running(
    client: httpx.AsyncClient, session: str, written: Log
) -> None:
    body = {"session_id": session, "session_name": "N", "prompt": "go", "project_dir": "/p", "parent_session_name": "P"}
    made = (await client.post("/sessions", json=body)).json()["session"]
    assert (made["status"], made["project_dir"], made["parent_session_name"]) == ("running", "/p", "P")
    (asked,) = [one.event async for one in written.read([f"bench.session.{session}.*"])]
    assert isinstance(asked, SessionRequested)
    assert asked.prompt == "go"


async def test_whoever_polls_the_status_sees_one_of_four_words(
    client: httpx.AsyncClient, session: str, written: Log
) -> None:
    assert await word(client, session) == "not_existent"
    body = {"session_id": session, "session_name": "N", "prompt": "go"}
    assert (await client.post("/sessions", json=body)).status_code == 200
    assert await word(client, session) == "running"
    await written.append(SessionStopRequested(timestamp=AT, session_id=session))

    async def says(status: str) -> bool:
        return bool((await shown(client, session))["status"] == status)

    await eventually(lambda: says("stopping"))
    assert await word(client, session) == "running"
    assert (await client.get(f"/sessions/{session}/result")).status_code == 400
    await written.append(SessionFailed(timestamp=AT, session_id=session, reason="it broke"))
    await eventually(lambda: says("failed"))
    assert await word(client, session) == "finished"


async def test_the_result_is_the_text_of_the_last_message_of_the_assistant(
    client: httpx.AsyncClient, session: str
) -> None:
    two = [
        {"type": "text", "text": "one"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        {"type": "text", "text": "two"},
    ]
    await post(client, session, event_type="message", role="assistant", content=two)
    await post(client, session, event_type="message", role="user", content=[{"type": "text", "text": "thanks"}])
    await post(client, session, event_type="session_stop", exit_code=0)
    result = (await client.get(f"/sessions/{session}/result")).json()
    assert set(result) == {"result"}
    assert result["result"].split() == ["one", "two"]


async def test_each_name_of_a_session_can_be_changed_by_itself(client: httpx.AsyncClient, session: str) -> None:
    await post(client, session, event_type="session_start", session_name="One", project_dir="/p")
    expected = await shown(client, session)
    for change in ({"session_name": "Two"}, {"project_dir": "/q"}, {"agent_name": "a"}):
        answer = await client.patch(f"/sessions/{session}/metadata", json=change)
        told = answer.json()
        expected |= change | {"modified_at": told["modified_at"]}
        assert (answer.status_code, told["session"]) == (200, expected)
        assert {name: told[name] for name in expected} == expected
    assert await shown(client, session) == expected
    assert (await client.patch(f"/sessions/{session}/metadata", json={})).status_code == 400


async def frames(socket: ClientConnection, session_id: str, count: int) -> list[dict[str, Any]]:
    """The next frames of one session; what else goes on is passed over."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        frame = json.loads(await socket.recv())
        if session_id in (
            frame.get("session_id"),
            *(frame.get(name, {}).get("session_id") for name in ("session", "data")),
        ):
            found.append(frame)
    return found


async def test_every_change_of_a_session_is_told_on_the_socket(
    client: httpx.AsyncClient, outside_observability: str, session: str
) -> None:
    url = f"{outside_observability.replace('http', 'ws')}/ws"
    async with connect(url, max_size=None, proxy=None) as socket:
        init = json.loads(await socket.recv())
        assert (init["type"], isinstance(init["sessions"], list)) == ("init", True)
        await post(client, session, event_type="pre_tool", tool_name="t", tool_input={})
        created, event = await frames(socket, session, 2)
        assert (created["type"], event["type"]) == ("session_created", "event")
        assert created["session"] == await shown(client, session)
        assert event["data"] == (await client.get(f"/events/{session}")).json()["events"][0]
        await client.patch(f"/sessions/{session}/metadata", json={"session_name": "New"})
        (named,) = await frames(socket, session, 1)
        assert (named["type"], named["session"]["session_name"]) == ("session_updated", "New")
        for kind, status in ((KINDS[-2], "finished"), (KINDS[0], "running")):
            await post(client, session, **kind)
            told = await frames(socket, session, 2)
            assert [one["type"] for one in told] == ["event", "session_updated"]
            assert told[1]["session"]["status"] == status
        await client.delete(f"/sessions/{session}")
        (deleted,) = await frames(socket, session, 1)
        assert (deleted["type"], deleted["session_id"]) == ("session_deleted", session)
