"""What clients of tasks for code rely on: each row of the contract, with events as a runner writes them."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx
from websockets.asyncio.client import connect

from benchwire.events.log import Log
from benchwire.events.task import (
    NodeGenerated,
    NodeRetried,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    NodeTested,
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFinished,
    TaskGuided,
    TaskPlanned,
    TaskRequested,
)
from benchwire.events.testing.eventually import eventually
from benchwire.web.testing import refused

SOURCES = {"adder.py": "def add(a, b):\n    return a + b\n", "test_adder.py": "def test_it(): ...\n"}
MEASURES = {"tests": 1.0, "coverage": 0.9, "lint": 1.0, "types": 1.0}
WEIGHTS = {"tests": 0.4, "coverage": 0.3, "lint": 0.15, "types": 0.15}


def now() -> datetime:
    return datetime.now(UTC)


class Runner:
    """Writes what a runner of this task would."""

    def __init__(self, log: Log, task_id: str) -> None:
        self._log = log
        self._task_id = task_id

    async def __call__(self, kind: type[Any], **fields: Any) -> None:
        await self._log.append(kind(timestamp=now(), task_id=self._task_id, **fields))

    async def plan(self) -> None:
        nodes = [NodeSpec(node_id="adder.py", description="adds"), NodeSpec(node_id="cli.py", depends_on=["adder.py"])]
        await self(TaskClaimed, runner="runner-1")
        await self(
            TaskPlanned, nodes=nodes, estimated_iterations=4, summary="An adder.", model="a-model", input_tokens=100, output_tokens=20
        )  # fmt: skip

    async def try_once(self, iteration: int, *, passed: int, failed: int, score: float) -> None:
        where = {"node_id": "adder.py", "iteration": iteration}
        await self(NodeGenerated, **where, sources=SOURCES, model="a-model", input_tokens=10, output_tokens=5)
        await self(
            NodeTested, **where, ok=not failed, outcome="failed" if failed else "passed", tests_passed=passed,
            tests_failed=failed, measures=MEASURES, weights=WEIGHTS, quality_score=score, report="2 passed",
        )  # fmt: skip


async def started(client: httpx.AsyncClient, **more: Any) -> str:
    answer = await client.post("/tasks", json={"prompt": "An adder.", "answers": ["in Python"], **more})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (set(body), body["status"]) == ({"task_id", "status", "websocket_url"}, "started")
    task_id: str = body["task_id"]
    assert task_id.startswith("task-")
    assert body["websocket_url"].endswith(f"/ws/{task_id}")
    return task_id


async def until(client: httpx.AsyncClient, task_id: str, **wanted: Any) -> dict[str, Any]:
    async def is_so() -> dict[str, Any] | None:
        task: dict[str, Any] = (await client.get(f"/tasks/{task_id}")).json()
        return task if all(task[field] == value for field, value in wanted.items()) else None

    found: dict[str, Any] = await eventually(is_so, what=f"{wanted}")
    return found


async def test_a_task_for_code_is_started_as_it_was_asked(client: httpx.AsyncClient, log: Log) -> None:
    task_id = await started(client, quality_target=0.9, max_iterations=3)
    (asked,) = [one.event async for one in log.read([f"bench.task.{task_id}.>"])]
    assert isinstance(asked, TaskRequested)
    assert (asked.kind, asked.prompt, asked.answers, asked.nodes) == ("code", "An adder.", ["in Python"], [])
    assert (asked.quality_target, asked.max_iterations) == (0.9, 3)
    task = (await client.get(f"/tasks/{task_id}")).json()
    for field, value in {
        "task_id": task_id, "status": "in_progress", "current_module": None, "iteration": 0, "modules_complete": 0, "total_modules": 0,
        "progress": 0.0, "kind": "code", "quality_target": 0.9,
    }.items():  # fmt: skip
        assert task[field] == value, field


async def test_a_call_that_is_repeated_with_its_key_is_the_same_task(client: httpx.AsyncClient) -> None:
    body, key = {"prompt": "An adder."}, {"Idempotency-Key": "once"}
    answers = [(await client.post("/tasks", json=body, headers=key)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert len((await client.get("/tasks")).json()["tasks"]) == 1


async def test_how_far_it_is_and_what_it_made(client: httpx.AsyncClient, log: Log) -> None:
    task_id = await started(client)
    runner = Runner(log, task_id)
    await runner.plan()
    await until(client, task_id, total_modules=2, summary="An adder.")
    await runner(NodeStarted, node_id="adder.py", board="")
    await runner.try_once(1, passed=1, failed=1, score=0.6)
    task = await until(client, task_id, current_module="adder.py", iteration=1)
    assert [one["state"] for one in task["modules"]] == ["testing", "pending"]
    await runner(NodeRetried, node_id="adder.py", iteration=1, stage="test", feedback="one failed")
    await runner.try_once(2, passed=2, failed=0, score=0.97)
    await runner(NodeSucceeded, node_id="adder.py", iterations=2)
    task = await until(client, task_id, modules_complete=1)
    assert (task["progress"], task["total_modules"], task["status"]) == (0.5, 2, "in_progress")
    results = (await client.get(f"/tasks/{task_id}/results")).json()
    assert (results["task_id"], results["status"], results["summary"]) == (task_id, "in_progress", "An adder.")
    adder, cli = results["modules"]
    assert (adder["name"], adder["code"], adder["tests"]) == ("adder.py", SOURCES["adder.py"], SOURCES["test_adder.py"])
    assert (adder["quality_score"], adder["measures"], adder["weights"]) == (0.97, MEASURES, WEIGHTS)
    assert adder["report"] == "2 passed"
    first, second = adder["iterations"]
    assert (first["tests"]["pass_rate"], first["failed_stage"], first["feedback"]) == (0.5, "test", "one failed")
    assert (second["tests"]["pass_rate"], second["tests"]["quality_score"]) == (1.0, 0.97)
    assert (cli["code"], cli["tests"], cli["quality_score"], cli["iterations"]) == ("", "", 0.0, [])
    assert cli["depends_on"] == ["adder.py"]


async def test_the_socket_tells_it_from_its_start_whenever_one_comes(client: httpx.AsyncClient, log: Log) -> None:
    task_id = await started(client)
    runner = Runner(log, task_id)
    await runner.plan()
    await until(client, task_id, total_modules=2)
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws/{task_id}") as late:

        async def next_one() -> tuple[str, dict[str, Any]]:
            frame = json.loads(await asyncio.wait_for(late.recv(), 30.0))
            assert frame["task_id"] == task_id
            assert datetime.fromisoformat(frame["timestamp"]).tzinfo is not None
            return frame["type"], frame["data"]

        assert (await next_one())[0] == "TASK_STARTED"
        kind, data = await next_one()
        assert (kind, data["modules"], data["estimated_iterations"]) == (
            "PLANNING_COMPLETE",
            ["adder.py", "cli.py"],
            4,
        )
        await runner(NodeStarted, node_id="adder.py", board="")
        await runner.try_once(1, passed=3, failed=1, score=0.5)
        await runner(NodeRetried, node_id="adder.py", iteration=1, stage="test", feedback="one failed")
        await runner.try_once(2, passed=4, failed=0, score=1.0)
        await runner(NodeSucceeded, node_id="adder.py", iterations=2)
        told = [await next_one() for _ in range(8)]
        assert [kind for kind, _ in told] == [
            "MODULE_STARTED", "MODULE_GENERATED", "MODULE_ITERATION", "MODULE_RETRIED", "MODULE_GENERATED", "MODULE_ITERATION", "TEST_PASSED",
            "MODULE_COMPLETE",
        ]  # fmt: skip
        for (_, data), rate, score in ((told[2], 0.75, 0.5), (told[5], 1.0, 1.0)):
            assert (data["module"], data["test_pass_rate"], data["quality_score"]) == ("adder.py", rate, score)
        await late.send(json.dumps({"type": "INTERVENTION", "guidance": "use sum()"}))
        assert await next_one() == ("GUIDANCE_ACCEPTED", {"guidance": "use sum()", "module": None})
        await runner(TaskFinished, duration_s=225.0)
        kind, data = await next_one()
        assert (kind, data["total_time"], data["modules_generated"]) == ("TASK_COMPLETE", "3m 45s", 1)


async def test_the_log_can_be_read_with_curl_and_ends_with_the_task(client: httpx.AsyncClient, log: Log) -> None:
    task_id = await started(client)
    runner = Runner(log, task_id)
    await runner.plan()
    async with client.stream("GET", f"/tasks/{task_id}/logs/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        await runner.try_once(1, passed=1, failed=1, score=0.5)
        await runner(NodeRetried, node_id="adder.py", iteration=1, stage="test", feedback="test_it failed\nmore")
        await runner(TaskFinished, duration_s=3.0)
        lines = [line async for line in answer.aiter_lines() if line]
    assert lines == [
        "data: [INFO] Task started",
        "data: [INFO] runner-1 took the task",
        "data: [INFO] Planning complete: adder.py, cli.py",
        "data: [INFO] An adder.",
        "data: [INFO] adder.py: generated adder.py, test_adder.py (iteration 1)",
        "data: [WARNING] adder.py: tested: failed, 1 of 2 tests passed, quality 0.50",
        "data: [WARNING] adder.py: iteration 1 did not pass (test): test_it failed",
        "data: [INFO] Task complete after 3.0s",
    ]
    logs = (await client.get(f"/tasks/{task_id}/logs")).json()["logs"]
    assert [f"data: {one['line']}" for one in logs] == lines


async def test_guidance_is_written_down_for_the_next_generation(client: httpx.AsyncClient, log: Log) -> None:
    task_id = await started(client)
    body = {"guidance": "use sum()", "node_id": "adder.py"}
    assert (await client.post(f"/tasks/{task_id}/intervene", json=body)).json()["status"] == "accepted"
    *_, guided = [one.event async for one in log.read([f"bench.task.{task_id}.>"])]
    assert isinstance(guided, TaskGuided)
    assert (guided.guidance, guided.node_id) == ("use sum()", "adder.py")
    refused(await client.post(f"/tasks/{task_id}/intervene", json={"guidance": " \n"}), 400, "guidance", "blank")
    plan = [NodeSpec(node_id="adder.py")]
    await log.append(TaskPlanned(timestamp=datetime.now(UTC), task_id=task_id, nodes=plan, estimated_iterations=1))

    async def is_planned() -> bool:
        return bool((await client.get(f"/tasks/{task_id}")).json()["total_modules"] == 1)

    await eventually(is_planned, what="the plan to be shown")
    nobody = await client.post(f"/tasks/{task_id}/intervene", json={"guidance": "g", "node_id": "x.py"})
    refused(nobody, 400, "node_id", "x.py", "adder.py")


async def test_a_task_is_cancelled_by_its_runner_or_at_once(client: httpx.AsyncClient, log: Log) -> None:
    waiting = await started(client)
    answer = await client.post(f"/tasks/{waiting}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    refused(await client.post(f"/tasks/{waiting}/cancel"), 409, "cancelled")
    task_id = await started(client)
    runner = Runner(log, task_id)
    await runner.plan()
    await runner(NodeStarted, node_id="adder.py", board="")
    await until(client, task_id, current_module="adder.py")

    async def answered() -> None:
        async def is_asked() -> bool:
            asked = [one.event async for one in log.read([f"bench.task.{task_id}.cancel_requested"])]
            return bool(asked) and isinstance(asked[0], TaskCancelRequested)

        await eventually(is_asked)
        await runner(TaskCancelled, reason="on request")

    # No runner is there that announces itself, so the call may also find that out first; either way the task has ended.
    answer, _ = await asyncio.gather(client.delete(f"/tasks/{task_id}"), answered())
    assert answer.status_code == 200
    task = (await client.get(f"/tasks/{task_id}")).json()
    assert task["status"] in ("cancelled", "failed")
    assert [one["state"] for one in task["modules"]][1] == "skipped"
    assert task["modules"][0]["state"] in ("skipped", "failed")


async def test_what_a_task_cost_is_counted(client: httpx.AsyncClient, log: Log) -> None:
    task_id = await started(client)
    runner = Runner(log, task_id)
    await runner.plan()
    await runner.try_once(1, passed=1, failed=0, score=1.0)
    await runner(NodeGenerated, node_id="cli.py", iteration=1, sources={"cli.py": ""})  # by hand: it cost nothing
    await until(client, task_id, iteration=1)

    async def usage(query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await client.get(f"/usage{query}")).json()["usage"]
        return found

    async def is_counted() -> list[dict[str, Any]] | None:
        found = await usage("?by=task,model")
        return found if found and found[0]["calls"] == 2 else None

    (line,) = await eventually(is_counted)
    assert (line["task_id"], line["model"], line["input_tokens"], line["output_tokens"]) == (
        task_id,
        "a-model",
        110,
        25,
    )
    assert [one["session_id"] for one in await usage("?by=session")] == [None]
    assert await usage("?task_id=task-0") == []
