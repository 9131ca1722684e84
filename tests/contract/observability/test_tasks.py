"""What clients of tasks rely on."""

import json
from datetime import UTC, datetime

import httpx
from websockets.asyncio.client import connect

from benchwire.events.live import TaskLog
from benchwire.events.log import Log
from benchwire.events.task import TaskFailed
from benchwire.web.testing import refused


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
    await log.sample(TaskLog(timestamp=datetime.now(UTC), task_id=task_id, line="thinking", node_id="a"))
    async with client.stream("GET", f"/tasks/{task_id}/logs/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: [INFO] Task started"
        await log.sample(TaskLog(timestamp=datetime.now(UTC), task_id=task_id, line="late\nand later", level="WARNING"))
        await log.append(TaskFailed(timestamp=datetime.now(UTC), task_id=task_id, reason="no"))
        rest = [line async for line in lines if line]
    assert "data: [ERROR] Task failed: no" in rest
    assert "data: [INFO] a: thinking" in rest
    told = (await client.get(f"/tasks/{task_id}/logs")).json()["logs"]
    assert [one["line"] for one in told] == [
        "[INFO] Task started", "[INFO] a: thinking", "[WARNING] late", "[WARNING] and later", "[ERROR] Task failed: no"
    ]  # fmt: skip
    refused(await client.get("/tasks/task-0/logs/stream"), 404)


async def test_a_task_that_cannot_be_is_refused(client: httpx.AsyncClient) -> None:
    refused(await client.post("/tasks", json={"prompt": "p", "board": "toaster"}), 400, "toaster", "stm32f405")
    refused(await client.post("/tasks", json={}), 400, "prompt")
    refused(await client.post("/tasks", json={"prompt": "p", "kind": "poem"}), 400, "kind")
    refused(await client.post("/tasks", json={"nodes": [{"board": "stm32f405"}]}), 400, "node_id")
    for path in ("/tasks/task-0", "/tasks/task-0/results"):
        refused(await client.get(path), 404)
    refused(await client.post("/tasks/task-0/cancel"), 404)
    refused(await client.post("/tasks/task-0/intervene", json={"guidance": "g"}), 404)
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws/task-0") as socket:
        assert json.loads(await socket.recv())["type"] == "ERROR"
