"""What clients of sessions and their events rely on: paths, field names, status codes."""

import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from benchwire.events.log import Log
from benchwire.events.session import SessionDeleted
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT
from benchwire.web.testing import refused

NAIVE = "2026-01-17T12:00:00"
SESSION = {
    "session_id", "session_name", "status", "created_at", "modified_at", "project_dir", "agent_name", "parent_session_name",
    "parent_session_id", "forked_from", "reason", "code", "approvals",
}  # fmt: skip


def hook(event_type: str, session_id: str = "s1", **more: Any) -> dict[str, Any]:
    return {"event_type": event_type, "session_id": session_id, "session_name": "One", "timestamp": NAIVE, **more}


def says(text: str, role: str = "assistant") -> dict[str, Any]:
    return hook("message", role=role, content=[{"type": "text", "text": text}])


async def post(client: httpx.AsyncClient, *hooks: dict[str, Any]) -> None:
    for one in hooks:
        answer = await client.post("/events", json=one)
        assert (answer.status_code, answer.json()) == (200, {"ok": True})


async def test_hooks_make_a_session_and_are_listed_oldest_first(client: httpx.AsyncClient) -> None:
    await post(
        client,
        hook("session_start", project_dir="/p", hook_event_name="more than we know"),
        hook("pre_tool", tool_name="Bash", tool_input={"command": "ls"}),
        hook("post_tool", tool_name="Bash", tool_input={"command": "ls"}, tool_output=["a", 1, None], error=None),
        says("done"),
        hook("session_stop", exit_code=0, reason="end"),
    )
    events = (await client.get("/events/s1")).json()["events"]
    assert [event["event_type"] for event in events] == [
        "session_start", "pre_tool", "post_tool", "message", "session_stop"
    ]  # fmt: skip
    assert [event["id"] for event in events] == sorted(event["id"] for event in events)
    assert all(event["session_id"] == "s1" and event["session_name"] == "One" for event in events)
    assert events[2]["tool_output"] == ["a", 1, None]
    assert events[2]["error"] is None
    assert events[4]["exit_code"] == 0
    assert events[0]["timestamp"] == "2026-01-17T12:00:00Z"
    assert (await client.get("/sessions/s1/events")).json()["events"] == events
    session = (await client.get("/sessions/s1")).json()["session"]
    assert set(session) == SESSION
    assert (session["status"], session["project_dir"]) == ("finished", "/p")


async def test_events_come_in_pages(client: httpx.AsyncClient) -> None:
    await post(client, *(says(f"{number}") for number in range(5)), hook("pre_tool", tool_name="t"))
    first = (await client.get("/events/s1?limit=2")).json()
    rest = (await client.get(f"/events/s1?limit=10&after={first['next_after']}")).json()
    assert [len(page["events"]) for page in (first, rest)] == [2, 4]
    assert "next_after" not in rest
    only = (await client.get("/events/s1?event_type=pre_tool")).json()["events"]
    assert [event["tool_name"] for event in only] == ["t"]
    assert (await client.get("/events/nobody")).json() == {"events": []}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (hook("session_start") | {"session_id": 3}, "session_id"),
        ({"event_type": "session_start", "timestamp": NAIVE}, "session_id"),
        (hook("nonsense"), "event_type: it must be one of session_start, pre_tool, post_tool, session_stop, message"),
        (hook("session_start") | {"timestamp": "yesterday"}, "timestamp"),
        (hook("message", role="cat", content=[]), "role"),
        (hook("session_stop", exit_code="no"), "exit_code"),
        ({}, "event_type"),
        ("text", "object"),
        (3, "object"),
        (hook("session_start", session_id="a.b"), "session_id"),
        (hook("session_start", session_id=""), "session_id"),
        (hook("session_start", session_id="ü" * 100), "session_id"),
    ],
)
def test_a_malformed_hook_is_refused_and_what_is_wrong_is_named(served: httpx.Client, body: Any, words: str) -> None:
    refused(served.post("/events", json=body), 400, words)


async def test_bodies_that_are_no_json_or_too_large_are_refused(client: httpx.AsyncClient) -> None:
    for body in (b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 5000):
        refused(await client.post("/events", content=body), 400)
    refused(await client.post("/events", json=says("x" * (2 << 20))), 413)
    refused(await client.post("/events", content=b" " * (9 << 20)), 413)


async def test_many_events_in_one_body_are_counted_and_the_bad_ones_named(client: httpx.AsyncClient) -> None:
    lines = [says("1"), hook("nonsense"), says("2")]
    answer = await client.post("/events", json=lines)
    assert answer.status_code == 200
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 1)
    assert answer.json()["errors"][0]["line"] == 2
    body = "\n".join(json.dumps(one) for one in lines)
    answer = await client.post("/events", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.json()["accepted"] == 2
    assert len((await client.get("/events/s1")).json()["events"]) == 4
    refused(await client.post("/events", json=[]), 400)
    refused(await client.post("/events", json=[{}]), 400)


async def test_many_events_stand_in_the_log_in_the_order_of_their_lines(client: httpx.AsyncClient) -> None:
    body = "\n".join(json.dumps(says(f"{number}")) for number in range(1000))
    answer = await client.post("/events", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.json() == {"ok": True, "accepted": 1000, "rejected": 0, "errors": []}
    events = (await client.get("/events/s1")).json()["events"]
    assert [event["content"][0]["text"] for event in events] == [f"{number}" for number in range(1000)]


async def test_events_of_one_session_may_leave_its_id_out(client: httpx.AsyncClient) -> None:
    body = {"event_type": "session_start", "timestamp": NAIVE}
    assert (await client.post("/sessions/s9/events", json=body)).json() == {"ok": True}
    refused(await client.post("/sessions/s9/events", json=hook("session_start")), 400, "session_id")


async def test_a_session_is_created_once(client: httpx.AsyncClient) -> None:
    body = {"session_id": "c1", "session_name": "C", "project_dir": "/p", "agent_name": "a", "parent_session_name": "P"}
    answer = await client.post("/sessions", json=body)
    assert (answer.status_code, answer.json()["ok"]) == (200, True)
    session = answer.json()["session"]
    assert session | {"created_at": "", "modified_at": ""} == {
        **body,
        "status": "running",
        "created_at": "",
        "modified_at": "",
        "parent_session_id": None,
        "forked_from": None,
        "reason": None,
        "code": None,
        "approvals": 0,
    }
    assert (await client.get("/events/c1")).json() == {"events": []}
    refused(await client.post("/sessions", json=body), 409, "c1")
    refused(await client.post("/sessions", json={"session_id": "c2"}), 400, "session_name")
    refused(await client.post("/sessions", json={**body, "session_id": "a b"}), 400, "session_id")
    orphan = {**body, "session_id": "c3", "parent_session_id": "a b"}
    refused(await client.post("/sessions", json=orphan), 400, "parent_session_id")
    await post(client, hook("session_start"))
    refused(await client.post("/sessions", json={**body, "session_id": "s1"}), 409)


async def test_sessions_are_listed_newest_first_and_in_pages(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.post(
            "/sessions",
            json={"session_id": f"c{number}", "session_name": f"Name {number}", "agent_name": f"a{number % 2}"},
        )
    everything = (await client.get("/sessions")).json()
    assert set(everything) == {"sessions"}
    assert [one["session_id"] for one in everything["sessions"]] == ["c4", "c3", "c2", "c1", "c0"]
    seen, cursor = [], None
    while True:
        page = (await client.get("/sessions", params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        seen += [one["session_id"] for one in page["sessions"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["c4", "c3", "c2", "c1", "c0"]

    async def ids(**query: str) -> list[str]:
        return [one["session_id"] for one in (await client.get("/sessions", params=query)).json()["sessions"]]

    assert await ids(agent_name="a1") == ["c3", "c1"]
    assert await ids(q="NAME 2") == ["c2"]
    assert await ids(status="stopped") == []
    nonsense = await client.get("/sessions", params={"cursor": "nonsense", "limit": 3})
    assert refused(nonsense, 400).startswith("cursor:")
    refused(await client.get("/sessions?limit=many"), 400, "limit")


async def test_a_second_start_is_a_resume(client: httpx.AsyncClient) -> None:
    await post(client, hook("session_start", project_dir="/p"), hook("session_stop", exit_code=0))
    before = (await client.get("/sessions/s1")).json()["session"]
    await post(
        client, hook("session_start", project_dir="/q") | {"session_name": "Two", "timestamp": "2026-01-18T00:00:00Z"}
    )
    after = (await client.get("/sessions/s1")).json()["session"]
    assert after["status"] == "running"
    for kept in ("session_name", "project_dir", "created_at"):
        assert after[kept] == before[kept]
    assert after["modified_at"] > before["modified_at"]


async def test_status_and_result_of_a_session(client: httpx.AsyncClient) -> None:
    assert (await client.get("/sessions/s1/status")).json()["status"] == "not_existent"
    refused(await client.get("/sessions/s1/result"), 404)
    await post(client, hook("session_start"), says("first"), says("second"), says("a question", "user"))
    assert (await client.get("/sessions/s1/status")).json()["status"] == "running"
    refused(await client.get("/sessions/s1/result"), 400, "running")
    await post(client, hook("session_stop", exit_code=0))
    assert (await client.get("/sessions/s1/status")).json()["status"] == "finished"
    assert (await client.get("/sessions/s1/result")).json() == {"result": "second"}
    refused(await client.get("/sessions/s2"), 404, "s2")


async def test_names_of_a_session_change_and_both_kinds_of_clients_find_them(client: httpx.AsyncClient) -> None:
    await post(client, hook("session_start"))
    answer = (await client.patch("/sessions/s1/metadata", json={"session_name": "New", "agent_name": "a"})).json()
    assert answer["ok"] is True
    assert answer["session"]["session_name"] == answer["session_name"] == "New"
    assert set(answer) == {"ok", "session", *SESSION}
    refused(await client.patch("/sessions/s1/metadata", json={}), 400)
    refused(await client.patch("/sessions/s2/metadata", json={"session_name": "x"}), 404)


async def test_a_deleted_session_is_gone_and_its_bodies_are_purged(client: httpx.AsyncClient, log: Log) -> None:
    await post(client, hook("session_start"), says("a secret"))
    answer = await client.delete("/sessions/s1")
    assert answer.json() == {"ok": True, "session_id": "s1", "deleted": {"session": True, "events_count": 2}}
    refused(await client.get("/sessions/s1"), 404)
    refused(await client.delete("/sessions/s1"), 404)
    assert (await client.get("/events/s1")).json() == {"events": []}
    left = [type(one.event).__name__ async for one in log.read(["bench.session.s1.*"])]
    assert left == ["SessionDeleted"]


async def test_a_purge_that_was_cut_off_is_finished_by_who_deletes_again(client: httpx.AsyncClient, log: Log) -> None:
    await post(client, hook("session_start"), says("a secret"))
    await log.append(SessionDeleted(timestamp=AT, session_id="s1"))

    async def gone() -> bool:
        return (await client.get("/sessions/s1")).status_code == 404

    await eventually(gone)
    refused(await client.delete("/sessions/s1"), 404)
    assert [type(one.event) async for one in log.read(["bench.session.s1.*"])] == [SessionDeleted]


async def test_stop_answers_as_clients_know_it(client: httpx.AsyncClient) -> None:
    refused(await client.post("/sessions/s1/stop"), 404)
    await post(client, hook("session_start"))
    answer = (await client.post("/sessions/s1/stop")).json()
    assert {key: answer[key] for key in ("success", "ok", "session_id", "status", "message")} == {
        "success": True, "ok": True, "session_id": "s1", "status": "stopped", "message": "Session stopped successfully"
    }  # fmt: skip
    refused(await client.post("/sessions/s1/stop"), 409)
    await post(client, hook("session_stop", exit_code=0))
    assert (await client.get("/sessions/s1/status")).json()["status"] == "stopped"


async def test_the_socket_tells_what_clients_know(client: httpx.AsyncClient) -> None:
    await post(client, hook("session_start", session_id="old"))
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws") as socket:
        init = json.loads(await socket.recv())
        assert init["type"] == "init"
        assert [set(one) for one in init["sessions"]] == [SESSION]
        await post(client, hook("session_start"))
        await client.post("/sessions/s1/stop")
        await client.delete("/sessions/s1")
        frames = [json.loads(await socket.recv()) for _ in range(5)]
    assert [frame["type"] for frame in frames] == [
        "session_created", "event", "event", "session_updated", "session_deleted"
    ]  # fmt: skip
    assert all(isinstance(frame["seq"], int) for frame in [init, *frames])
    assert frames[1]["data"]["event_type"] == "session_start"
    assert frames[3]["session"]["status"] == "stopped"
    assert frames[4]["session_id"] == "s1"
