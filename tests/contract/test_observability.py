"""What clients of observability rely on: paths, field names, status codes, the shape of errors."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from benchwire.events import nats_server
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased
from benchwire.events.document import DocumentCreated
from benchwire.events.flash import FlashRequested
from benchwire.events.host import HostStarted
from benchwire.events.live import TaskLog
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.session import SessionDeleted
from benchwire.events.task import TaskFailed
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

NAIVE = "2026-01-17T12:00:00"
SESSION = {
    "session_id", "session_name", "status", "created_at", "modified_at", "project_dir", "agent_name", "parent_session_name",
    "parent_session_id", "forked_from",
}  # fmt: skip


@pytest.fixture
async def client(nats: nats_server.Server, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    own = Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
    ):
        yield client


@pytest.fixture
def served(outside_observability: str) -> Iterator[httpx.Client]:
    """A caller of the service that is a process of its own."""
    with httpx.Client(base_url=outside_observability, timeout=20.0, trust_env=False) as client:
        yield client


def hook(event_type: str, session_id: str = "s1", **more: Any) -> dict[str, Any]:
    return {"event_type": event_type, "session_id": session_id, "session_name": "One", "timestamp": NAIVE, **more}


def says(text: str, role: str = "assistant") -> dict[str, Any]:
    return hook("message", role=role, content=[{"type": "text", "text": text}])


async def post(client: httpx.AsyncClient, *hooks: dict[str, Any]) -> None:
    for one in hooks:
        answer = await client.post("/events", json=one)
        assert (answer.status_code, answer.json()) == (200, {"ok": True})


def assert_refused(answer: httpx.Response, status: int, *words: str) -> None:
    body = answer.json()
    assert (answer.status_code, body["status_code"]) == (status, status), body
    for word in words:
        assert word in body["detail"]


# Events


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
    assert_refused(served.post("/events", json=body), 400, words)


async def test_bodies_that_are_no_json_or_too_large_are_refused(client: httpx.AsyncClient) -> None:
    for body in (b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a":' * 5000):
        assert_refused(await client.post("/events", content=body), 400)
    assert_refused(await client.post("/events", json=says("x" * (2 << 20))), 413)
    assert_refused(await client.post("/events", content=b" " * (9 << 20)), 413)


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
    assert_refused(await client.post("/events", json=[]), 400)
    assert_refused(await client.post("/events", json=[{}]), 400)


async def test_many_events_stand_in_the_log_in_the_order_of_their_lines(client: httpx.AsyncClient) -> None:
    body = "\n".join(json.dumps(says(f"{number}")) for number in range(1000))
    answer = await client.post("/events", content=body, headers={"Content-Type": "application/x-ndjson"})
    assert answer.json() == {"ok": True, "accepted": 1000, "rejected": 0, "errors": []}
    events = (await client.get("/events/s1")).json()["events"]
    assert [event["content"][0]["text"] for event in events] == [f"{number}" for number in range(1000)]


async def test_events_of_one_session_may_leave_its_id_out(client: httpx.AsyncClient) -> None:
    body = {"event_type": "session_start", "timestamp": NAIVE}
    assert (await client.post("/sessions/s9/events", json=body)).json() == {"ok": True}
    assert_refused(await client.post("/sessions/s9/events", json=hook("session_start")), 400, "session_id")


# Sessions


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
    }
    assert (await client.get("/events/c1")).json() == {"events": []}
    assert_refused(await client.post("/sessions", json=body), 409, "c1")
    assert_refused(await client.post("/sessions", json={"session_id": "c2"}), 400, "session_name")
    assert_refused(await client.post("/sessions", json={**body, "session_id": "a b"}), 400, "session_id")
    orphan = {**body, "session_id": "c3", "parent_session_id": "a b"}
    assert_refused(await client.post("/sessions", json=orphan), 400, "parent_session_id")
    await post(client, hook("session_start"))
    assert_refused(await client.post("/sessions", json={**body, "session_id": "s1"}), 409)


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
    refused = await client.get("/sessions", params={"cursor": "nonsense", "limit": 3})
    assert (refused.status_code, refused.json()["detail"][:7]) == (400, "cursor:")
    assert_refused(await client.get("/sessions?limit=many"), 400, "limit")


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
    assert_refused(await client.get("/sessions/s1/result"), 404)
    await post(client, hook("session_start"), says("first"), says("second"), says("a question", "user"))
    assert (await client.get("/sessions/s1/status")).json()["status"] == "running"
    assert_refused(await client.get("/sessions/s1/result"), 400, "running")
    await post(client, hook("session_stop", exit_code=0))
    assert (await client.get("/sessions/s1/status")).json()["status"] == "finished"
    assert (await client.get("/sessions/s1/result")).json() == {"result": "second"}
    assert_refused(await client.get("/sessions/s2"), 404, "s2")


async def test_names_of_a_session_change_and_both_kinds_of_clients_find_them(client: httpx.AsyncClient) -> None:
    await post(client, hook("session_start"))
    answer = (await client.patch("/sessions/s1/metadata", json={"session_name": "New", "agent_name": "a"})).json()
    assert answer["ok"] is True
    assert answer["session"]["session_name"] == answer["session_name"] == "New"
    assert set(answer) == {"ok", "session", *SESSION}
    assert_refused(await client.patch("/sessions/s1/metadata", json={}), 400)
    assert_refused(await client.patch("/sessions/s2/metadata", json={"session_name": "x"}), 404)


async def test_a_deleted_session_is_gone_and_its_bodies_are_purged(client: httpx.AsyncClient, log: Log) -> None:
    await post(client, hook("session_start"), says("a secret"))
    answer = await client.delete("/sessions/s1")
    assert answer.json() == {"ok": True, "session_id": "s1", "deleted": {"session": True, "events_count": 2}}
    assert_refused(await client.get("/sessions/s1"), 404)
    assert_refused(await client.delete("/sessions/s1"), 404)
    assert (await client.get("/events/s1")).json() == {"events": []}
    left = [type(one.event).__name__ async for one in log.read(["bench.session.s1.*"])]
    assert left == ["SessionDeleted"]


async def test_a_purge_that_was_cut_off_is_finished_by_who_deletes_again(client: httpx.AsyncClient, log: Log) -> None:
    await post(client, hook("session_start"), says("a secret"))
    await log.append(SessionDeleted(timestamp=AT, session_id="s1"))

    async def gone() -> bool:
        return (await client.get("/sessions/s1")).status_code == 404

    await eventually(gone)
    assert_refused(await client.delete("/sessions/s1"), 404)
    assert [type(one.event) async for one in log.read(["bench.session.s1.*"])] == [SessionDeleted]


async def test_stop_answers_as_clients_know_it(client: httpx.AsyncClient) -> None:
    assert_refused(await client.post("/sessions/s1/stop"), 404)
    await post(client, hook("session_start"))
    answer = (await client.post("/sessions/s1/stop")).json()
    assert {key: answer[key] for key in ("success", "ok", "session_id", "status", "message")} == {
        "success": True, "ok": True, "session_id": "s1", "status": "stopped", "message": "Session stopped successfully"
    }  # fmt: skip
    assert_refused(await client.post("/sessions/s1/stop"), 409)
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


# Tasks


async def test_a_firmware_task_is_started_without_waiting_for_a_runner(client: httpx.AsyncClient, log: Log) -> None:
    body = {
        "prompt": "count", "kind": "firmware",
        "nodes": [{"node_id": "a", "board": "stm32f405", "description": "d", "assertions": [{"name": "n", "pattern": "p", "required": True}]}],
    }  # fmt: skip
    answer = await client.post("/tasks", json=body)
    assert answer.status_code == 200
    started = answer.json()
    assert (set(started), started["status"]) == ({"task_id", "status", "websocket_url"}, "started")
    assert started["task_id"].startswith("task-")
    task = (await client.get(f"/tasks/{started['task_id']}")).json()
    for field, value in {
        "task_id": started["task_id"], "status": "in_progress", "current_module": None, "iteration": 0, "modules_complete": 0,
        "total_modules": 1, "progress": 0.0,
    }.items():  # fmt: skip
        assert task[field] == value
    results = (await client.get(f"/tasks/{started['task_id']}/results")).json()
    assert {"name", "code", "tests", "quality_score"} <= set(results["modules"][0])
    async with connect(started["websocket_url"]) as late:
        first = json.loads(await late.recv())
        assert (first["type"], first["task_id"]) == ("TASK_STARTED", started["task_id"])
        assert {"timestamp", "data"} <= set(first)
        await late.send(json.dumps({"type": "INTERVENTION", "guidance": "use TIM3"}))
        assert json.loads(await late.recv())["data"]["guidance"] == "use TIM3"
        await late.send(json.dumps({"type": "INTERVENTION"}))
        assert json.loads(await late.recv())["type"] == "ERROR"
    assert (await client.post(f"/tasks/{started['task_id']}/intervene", json={"guidance": "g"})).status_code == 200
    assert (await client.post(f"/tasks/{started['task_id']}/cancel")).json()["status"] == "cancelled"


async def test_the_log_of_a_task_is_streamed_until_it_ends(client: httpx.AsyncClient, log: Log) -> None:
    task_id = (await client.post("/tasks", json={"prompt": "p", "board": "stm32f405"})).json()["task_id"]
    await log.sample(TaskLog(timestamp=datetime.now(UTC), task_id=task_id, line="thinking", node_id="node-1"))
    async with client.stream("GET", f"/tasks/{task_id}/logs/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: [INFO] Task started"
        await log.sample(TaskLog(timestamp=datetime.now(UTC), task_id=task_id, line="late\nand later", level="WARNING"))
        await log.append(TaskFailed(timestamp=datetime.now(UTC), task_id=task_id, reason="no"))
        rest = [line async for line in lines if line]
    assert "data: [ERROR] Task failed: no" in rest
    assert "data: [INFO] node-1: thinking" in rest
    told = (await client.get(f"/tasks/{task_id}/logs")).json()["logs"]
    assert [one["line"] for one in told] == [
        "[INFO] Task started", "[INFO] node-1: thinking", "[WARNING] late", "[WARNING] and later", "[ERROR] Task failed: no"
    ]  # fmt: skip
    assert_refused(await client.get("/tasks/task-0/logs/stream"), 404)


async def test_a_task_that_cannot_be_is_refused(client: httpx.AsyncClient) -> None:
    assert_refused(await client.post("/tasks", json={"prompt": "p", "board": "toaster"}), 400, "toaster", "stm32f405")
    assert_refused(await client.post("/tasks", json={"prompt": "p"}), 400, "kind")
    assert_refused(await client.post("/tasks", json={"nodes": [{"board": "stm32f405"}]}), 400, "node_id")
    for path in ("/tasks/task-0", "/tasks/task-0/results"):
        assert_refused(await client.get(path), 404)
    assert_refused(await client.post("/tasks/task-0/cancel"), 404)
    assert_refused(await client.post("/tasks/task-0/intervene", json={"guidance": "g"}), 404)
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws/task-0") as socket:
        assert json.loads(await socket.recv())["type"] == "ERROR"


# Boards


async def test_devices_are_listed_with_what_clients_read(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await log.append(HostStarted(timestamp=AT, host="lab-1", version="1", drivers=["pyocd"]))
    for device in ("b", "a"):
        await log.append(
            DeviceAttached(
                timestamp=AT,
                host="lab-1",
                device=device,
                profile="stm32f405",
                port="/dev/ttyUSB0",
                vid="0483",
                pid="374b",
            )
        )
    lease = DeviceLeased(
        timestamp=AT, host="lab-1", device="b", lease_id="l", holder="me", expires_at=AT.replace(year=2100)
    )
    await log.append(lease)
    await client.get("/health")

    async def devices() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await client.get("/api/devices")).json()["devices"]
        return listed

    async with Presence(bus).announced(Present(service="flash-agent", name="lab-1", version="1", pid=1)):
        (a, b) = await devices()
        assert {"port", "board_type", "chip_name", "vid", "pid", "host", "state", "lease"} <= set(a)
        assert (a["device_id"], a["board_type"], a["state"], a["lease"]) == ("a", "stm32f405", "available", None)
        assert (b["state"], b["lease"]["holder"]) == ("leased", "me")
        assert (await client.get("/api/deploy/devices")).json() == {"devices": [a, b]}


async def test_a_flash_is_queued_for_the_host_of_the_device(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    for host in ("lab-1", "lab-2"):
        await log.append(DeviceAttached(timestamp=AT, host=host, device="twin", profile="stm32f405"))
    await log.append(DeviceAttached(timestamp=AT, host="lab-1", device="one", profile="stm32f405"))
    image = await Blobs(bus).put(b"firmware", name="a.bin")
    await log.append(
        DocumentCreated(
            timestamp=AT, document_id="doc_1", filename="a.bin", content_type="x", size_bytes=8, digest=image.digest
        )
    )
    answer = await client.post("/api/flash/start", json={"deviceId": "one", "artifact_id": image.digest})
    assert (answer.status_code, answer.json()["status"]) == (200, "started")
    job = (await client.get(f"/api/flash/jobs/{answer.json()['jobId']}")).json()
    assert (job["deviceId"], job["host"], job["status"], job["totalBytes"]) == ("one", "lab-1", "queued", 8)
    assert job["address"] == 0x0800_0000
    by_document = await client.post("/api/flash/start", json={"device_id": "lab-2/twin", "document_id": "doc_1"})
    assert by_document.json()["host"] == "lab-2"
    (asked,) = [one.event async for one in log.read(["bench.flash.lab-2.*.requested"])]
    assert isinstance(asked, FlashRequested)
    assert (asked.document_id, asked.image.digest) == ("doc_1", image.digest)
    assert_refused(
        await client.post("/api/flash/start", json={"device_id": "twin", "artifact_id": image.digest}),
        400,
        "lab-1/twin",
    )
    assert_refused(await client.post("/api/flash/start", json={"device_id": "none", "artifact_id": image.digest}), 404)
    assert_refused(await client.post("/api/flash/start", json={"device_id": "one", "artifact_id": "0" * 64}), 404)
    assert_refused(await client.post("/api/flash/start", json={"device_id": "one", "document_id": "doc_2"}), 404)
    assert_refused(await client.post("/api/flash/start", json={"device_id": "one"}), 400)
    job_id = by_document.json()["jobId"]
    assert (await client.post(f"/api/flash/jobs/{job_id}/cancel")).json()["status"] == "cancelling"
    assert_refused(await client.post(f"/api/flash/jobs/{job_id}/explode"), 404)
    assert len((await client.get("/api/flash/jobs?host=lab-1")).json()["jobs"]) == 1
    assert [one["state"] for one in (await client.get("/api/devices")).json()["devices"]] == ["offline"] * 3


# All of it


async def test_health_and_the_list_of_what_there_is(client: httpx.AsyncClient) -> None:
    health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "healthy")
    assert "POST   /events" in (await client.get("/")).text
    assert (await client.get("/schema/openapi.json")).json()["info"]["title"] == "Benchwire observability"


async def test_a_dashboard_may_call_from_its_origin_and_other_pages_may_not(client: httpx.AsyncClient) -> None:
    dashboard = {"Origin": "http://localhost:5173"}
    assert (await client.get("/sessions", headers=dashboard)).headers["access-control-allow-origin"] == dashboard[
        "Origin"
    ]
    asked = {**dashboard, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert (await client.options("/events", headers=asked)).status_code == 204
    assert_refused(
        await client.post("/events", json=hook("session_start"), headers={"Origin": "http://evil.example"}), 403
    )
    assert_refused(await client.get("/sessions", headers={"Host": "evil.example"}), 403)


BODIES = [
    "/events", "/sessions", "/tasks", "/api/flash/start", "/sessions/s1/events", "/tasks/task-1/intervene", "/agents", "/sessions/import",
    "/sessions/s1/fork",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ["event_type", "session_id", "session_name", "timestamp", "role", "content", "tool_name", "prompt", "board", "nodes", "kind", "guidance",
     "device_id", "artifact_id", "address", "max_iterations", "max_turns", "answers", "node_id", "name", "tags", "mcp_servers", "skills",
     "system_prompt", "at", "format", "version", "session", "id", "event"]
)  # fmt: skip
VALUES = JSON | st.sampled_from(
    ["session_start", "message", "s1", NAIVE, "9999-12-31T23:59:59-01:00", "stm32f405", "firmware", "user", [{"node_id": "a", "board": "stm32f405"}]]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(BODIES), body=st.binary(max_size=40) | st.dictionaries(WORDS, VALUES, max_size=6))
def test_no_body_is_a_fault_of_the_service(served: httpx.Client, path: str, body: bytes | dict[str, Any]) -> None:
    if isinstance(body, bytes):
        answer = served.post(path, content=body)
    else:
        answer = served.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text
