"""What clients of tasks for firmware rely on, in the words of ``/tasks`` and in those of ``/api/build``."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect

from benchwire.events import nats_server
from benchwire.events.asks import BoardAbility, BoardsListed, DesignSystem, Refused, SystemDesigned
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceDetached
from benchwire.events.event import Artifact
from benchwire.events.log import Log
from benchwire.events.task import (
    Assertion,
    AssertionResult,
    NodeAssigned,
    NodeCompiled,
    NodeFailed,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSimulated,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    TaskFailed,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
    UartLink,
)
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import refused, running

COUNTS = {"name": "counts", "pattern": "count 2", "required": True}
BUILD: dict[str, Any] = {
    "description": "Print a count.",
    "board_id": "stm32f405",
    "nodes": [{"node_id": "counter", "description": "prints count 1, count 2", "assertions": [COUNTS]}],
    "settings": {"max_iterations": 3, "simulation_timeout_seconds": 4},
}
SEED_BOARDS = (
    "stm32f103c8", "stm32f401re", "stm32f407vg", "stm32l476rg", "esp32", "esp32s3", "esp32c3", "arduino_uno", "arduino_nano", "arduino_mega",
    "arduino_due", "lm3s6965",
)  # fmt: skip


def now() -> datetime:
    return datetime.now(UTC)


async def wrote(log: Log, task_id: str, kind: type[Any], **fields: Any) -> None:
    await log.append(kind(timestamp=now(), task_id=task_id, **fields))


async def asked(log: Log, task_id: str) -> TaskRequested:
    (event,) = [one.event async for one in log.read([f"bench.task.{task_id}.requested"])]
    assert isinstance(event, TaskRequested)
    return event


async def built(client: httpx.AsyncClient, **more: Any) -> str:
    answer = await client.post("/api/build/start", json={**BUILD, **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "started"
    build_id: str = answer.json()["session_id"]
    assert build_id.startswith("build-")
    return build_id


async def node_in(client: httpx.AsyncClient, build_id: str, state: str) -> dict[str, Any]:
    async def is_so() -> dict[str, Any] | None:
        (node,) = (await client.get(f"/api/build/{build_id}/status")).json()["nodes"]
        return node if node["state"] == state else None

    found: dict[str, Any] = await eventually(is_so, what=f"the node to be {state}")
    return found


async def tried(log: Log, task_id: str, iteration: int, *, ok: bool) -> None:
    where = {"node_id": "counter", "iteration": iteration}
    await wrote(log, task_id, NodeGenerated, **where, sources={"main.c": f"int main;  // {iteration}"}, model="m")
    await wrote(
        log, task_id, NodeCompiled, **where, ok=True, diagnostics="a warning", flash_bytes=900, ram_bytes=80,
        flash_limit_bytes=1000, ram_limit_bytes=100,
    )  # fmt: skip
    await wrote(
        log, task_id, NodeSimulated, **where, ok=ok, outcome="passed" if ok else "timeout", output="count 1\n",
        assertions=[AssertionResult(name="counts", passed=ok, detail="count 1")],
    )  # fmt: skip


# Boards


async def serving(bus: Bus, design: Any = None, abilities: list[BoardAbility] | None = None) -> Any:
    async def boards(_: bytes) -> BoardsListed:
        return BoardsListed(runner="runner-1", boards=abilities or [])

    async def designed(body: bytes) -> Any:
        return design(msgspec.json.decode(body, type=DesignSystem))

    return bus.serving("agent", "1.0.0", {"ask.agent.boards": boards, "ask.agent.design": designed})


def able(name: str, *, build: bool = True, simulate: bool = True, missing: list[str] | None = None) -> BoardAbility:
    return BoardAbility(
        name=name, title=name.upper(), aliases=[], architecture="arm", can_build=build, can_simulate=simulate,
        can_flash=True, missing=missing or [],
    )  # fmt: skip


async def test_boards_are_listed_with_what_is_missing_whoever_is_there(client: httpx.AsyncClient, bus: Bus) -> None:
    listed = (await client.get("/api/boards")).json()
    assert listed["runner"] is None
    assert "benchwire up" in listed["detail"]
    names = {name for one in listed["boards"] for name in (one["board_id"], *one["aliases"])}
    assert set(SEED_BOARDS) <= names
    assert all(one["missing"] and not one["can_build"] for one in listed["boards"])
    (esp32,) = [one for one in listed["boards"] if one["board_id"] == "esp32"]
    assert any("no simulator" in one for one in esp32["missing"])
    lacking = able("stm32f405", simulate=False, missing=["qemu-system-arm is missing: install qemu-system-arm"])
    async with await serving(bus, abilities=[lacking]):

        async def is_asked() -> dict[str, Any] | None:
            told: dict[str, Any] = (await client.get("/api/boards")).json()
            return told if told["runner"] is not None else None

        listed = await eventually(is_asked)
    assert (listed["runner"], listed["detail"]) == ("runner-1", None)
    assert listed["boards"] == [
        {
            "board_id": "stm32f405", "name": "STM32F405", "aliases": [], "architecture": "arm", "can_build": True, "can_simulate": False,
            "can_flash": True, "missing": ["qemu-system-arm is missing: install qemu-system-arm"],
        }
    ]  # fmt: skip


async def test_a_board_that_the_runner_cannot_serve_is_refused_with_what_it_lacks(
    client: httpx.AsyncClient, bus: Bus
) -> None:
    lacking = able("stm32f405", build=False, missing=["arm-none-eabi-gcc is missing: install gcc-arm-none-eabi"])
    async with await serving(bus, abilities=[lacking, able("nrf51822")]):

        async def is_there() -> bool:
            return (await client.get("/api/boards")).json()["runner"] is not None

        await eventually(is_there, what="a runner to list its boards")
        refused(await client.post("/api/build/start", json=BUILD), 400, "stm32f405", "install gcc-arm-none-eabi")
        refused(await client.post("/tasks", json={"prompt": "p", "board": "stm32f405"}), 400, "gcc-arm-none-eabi")
        assert (await client.post("/tasks", json={"prompt": "p", "board": "nrf51"})).status_code == 200
        assert (await client.post("/tasks", json={"prompt": "code"})).status_code == 200
    refused(await client.post("/api/build/start", json={**BUILD, "board_id": "toaster"}), 400, "toaster", "stm32f405")
    refused(await client.post("/api/build/start", json={**BUILD, "board_id": "esp32"}), 400, "no simulator")


# Design


async def test_plain_words_become_a_system_that_can_be_built(client: httpx.AsyncClient, bus: Bus, log: Log) -> None:
    def design(wanted: DesignSystem) -> SystemDesigned | Refused:
        if wanted.prompt == "nonsense":
            return Refused(code="unusable", detail="nothing can be made of that")
        if wanted.prompt == "busy":
            return Refused(code="busy", detail="16 designs are asked for at the moment")
        assert (wanted.board, wanted.answers) == ("stm32f405", ["twice a second"])
        node = NodeSpec(
            node_id="counter", board="stm32f405", description="counts", assertions=[Assertion(name="counts", pattern="count 2")]
        )  # fmt: skip
        return SystemDesigned(nodes=[node], summary="A counter.", model="a-model", input_tokens=9, output_tokens=3)

    wish = {"prompt": "count", "board_id": "stm32f405", "answers": ["twice a second"]}
    refused(await client.post("/api/design/parse", json=wish), 503, "no agent runner", "benchwire up")
    async with await serving(bus, design=design):

        async def is_there() -> httpx.Response | None:  # that somebody answers reaches the server a moment later
            answer = await client.post("/api/design/parse", json=wish)
            return None if answer.status_code == 503 else answer

        answer = await eventually(is_there, what="a runner to design it")
        assert answer.status_code == 200, answer.text
        refused(await client.post("/api/design/parse", json={"prompt": "nonsense"}), 400, "nothing can be made")
        refused(await client.post("/api/design/parse", json={"prompt": "busy"}), 503, "16 designs")
        refused(await client.post("/api/design/parse", json={"prompt": "p", "board_id": "toaster"}), 400, "board_id")
        refused(await client.post("/api/design/parse", json={}), 400, "prompt")
        refused(
            await client.post("/api/design/parse", json={"prompt": "p", "answers": ["a" * 2_000_000]}), 413, "fewer"
        )
    system = answer.json()
    (node,) = system["nodes"]
    assert {name: node[name] for name in ("node_id", "description", "board_type")} == {
        "node_id": "counter", "description": "counts", "board_type": "stm32f405",
    }  # fmt: skip
    assert {name: node["assertions"][0][name] for name in COUNTS} == COUNTS
    assert (system["description"], system["model"], system["input_tokens"]) == ("A counter.", "a-model", 9)
    body = {"description": system["description"], "nodes": system["nodes"], "links": system["links"]}
    build_id = await built(client, **body)
    assert (await asked(log, build_id)).nodes[0].assertions == [Assertion(name="counts", pattern="count 2")]


# Builds


async def test_a_build_is_a_task_that_goes_onto_no_board(client: httpx.AsyncClient, log: Log) -> None:
    build_id = await built(client)
    event = await asked(log, build_id)
    (node,) = event.nodes
    assert (event.kind, event.max_iterations, event.simulation_timeout_s, event.deploy) == ("firmware", 3, 4.0, False)
    assert (node.node_id, node.board, node.deploy) == ("counter", "stm32f405", False)
    status = (await client.get(f"/api/build/{build_id}/status")).json()
    assert (status["session_id"], status["status"]) == (build_id, "in_progress")
    (shown,) = status["nodes"]
    assert (shown["node_id"], shown["state"], shown["iterations"]) == ("counter", "pending", [])
    assert (await client.get(f"/tasks/{build_id}")).json()["total_modules"] == 1
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws/{build_id}") as socket:
        assert json.loads(await asyncio.wait_for(socket.recv(), 30.0))["type"] == "TASK_STARTED"
    empty = await built(client, nodes=[])
    assert (await client.get(f"/api/build/{empty}/status")).json()["nodes"] == []
    assert (await asked(log, empty)).board == "stm32f405"


async def test_each_state_of_a_node_and_each_iteration_is_shown(client: httpx.AsyncClient, log: Log) -> None:
    build_id = await built(client)
    where = {"node_id": "counter", "iteration": 1}
    await wrote(log, build_id, NodeStarted, node_id="counter", board="stm32f405")
    await node_in(client, build_id, "generating")
    await wrote(log, build_id, NodeGenerated, **where, sources={"main.c": "int main"}, model="m")
    await node_in(client, build_id, "compiling")
    await wrote(log, build_id, NodeCompiled, **where, ok=False, diagnostics="expected ;")
    await wrote(log, build_id, NodeRetried, **where, stage="compile", feedback="main.c: expected ;")
    node = await node_in(client, build_id, "generating")
    (first,) = node["iterations"]
    assert (first["code"], first["compiled"], first["compiler_output"]) == ("int main", False, "expected ;")
    assert (first["failed_stage"], first["simulation_output"], first["assertion_results"]) == ("compile", None, [])
    await tried(log, build_id, 2, ok=True)
    node = await node_in(client, build_id, "testing")
    second = node["iterations"][1]
    sizes = {name: second[name] for name in ("flash_used", "flash_limit", "ram_used", "ram_limit")}
    assert sizes == {"flash_used": 900, "flash_limit": 1000, "ram_used": 80, "ram_limit": 100}
    assert (second["simulation_output"], second["simulation_outcome"]) == ("count 1\n", "passed")
    assert second["assertion_results"] == [{"name": "counts", "passed": True, "required": True, "detail": "count 1"}]
    await wrote(log, build_id, NodeSucceeded, node_id="counter", iterations=2)
    await node_in(client, build_id, "success")
    failed = await built(client)
    await wrote(log, failed, NodeStarted, node_id="counter", board="stm32f405")
    await wrote(log, failed, NodeFailed, node_id="counter", reason="its iterations are spent", iterations=3)
    assert (await node_in(client, failed, "failed"))["error"] == "its iterations are spent"
    lost = await built(client)
    await wrote(log, lost, TaskFailed, reason="its runner is gone")
    await node_in(client, lost, "skipped")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"description": " ", "nodes": []}, "description: "),
        ({"board_id": "toaster"}, "board_id: "),
        ({"nodes": [{"node_id": "a", "board_type": "toaster"}]}, "nodes[0].board_type: "),
        ({"settings": {"max_iterations": 0}}, "settings.max_iterations: "),
        ({"settings": {"simulation_timeout_seconds": 0}}, "settings.simulation_timeout_seconds: "),
    ],
)
async def test_what_is_wrong_with_a_build_is_told_in_its_own_words(
    client: httpx.AsyncClient, more: dict[str, Any], field: str
) -> None:
    answer = await client.post("/api/build/start", json={**BUILD, **more})
    refused(answer, 400)
    assert answer.json()["detail"].startswith(field)


async def test_a_build_is_stopped(client: httpx.AsyncClient) -> None:
    build_id = await built(client)
    answer = await client.post(f"/api/build/{build_id}/stop")
    assert (answer.status_code, answer.json()["status"], answer.json()["session_id"]) == (200, "cancelled", build_id)
    refused(await client.post(f"/api/build/{build_id}/stop"), 409, "cancelled")
    await node_in(client, build_id, "skipped")


async def test_what_is_no_build_is_not_found(client: httpx.AsyncClient) -> None:
    code = (await client.post("/tasks", json={"prompt": "p"})).json()["task_id"]
    for build_id in ("build-0", code):
        for kind in ("build", "simulate"):
            refused(await client.get(f"/api/{kind}/{build_id}/status"), 404, build_id)
            refused(await client.post(f"/api/{kind}/{build_id}/stop"), 404, build_id)
        refused(await client.post("/api/simulate/start", json={"session_id": build_id}), 404, build_id)
    refused(await client.post("/api/simulate/start", json={}), 400, "session_id")


# Simulations


async def test_what_was_built_is_simulated_again_without_a_model(client: httpx.AsyncClient, log: Log) -> None:
    two = [BUILD["nodes"][0], {"node_id": "echo", "description": "echoes", "board_type": "nrf51"}]
    build_id = await built(client, nodes=two, links=[{"a": "counter", "b": "echo"}])
    refused(await client.post("/api/simulate/start", json={"session_id": build_id}), 400, "nothing was written")
    await tried(log, build_id, 1, ok=False)
    await tried(log, build_id, 2, ok=True)
    body = {"session_id": build_id, "node_id": "counter", "timeout_seconds": 2}

    async def answered() -> dict[str, Any] | None:
        answer = await client.post("/api/simulate/start", json=body)
        if answer.status_code != 200:
            return None
        event = await asked(log, answer.json()["session_id"])
        return answer.json() if event.nodes[0].sources == {"main.c": "int main;  // 2"} else None

    again = await eventually(answered, what="the second try to be shown")
    assert (again["status"], again["session_id"].startswith("simulation-")) == ("started", True)
    event = await asked(log, again["session_id"])
    (node,) = event.nodes
    assert (node.node_id, node.board, node.deploy, event.links) == ("counter", "stm32f405", False, [])
    assert (node.assertions, event.simulation_timeout_s, event.max_iterations) == (
        [Assertion(name="counts", pattern="count 2")],
        2.0,
        1,
    )
    refused(await client.post("/api/simulate/start", json={"session_id": build_id, "node_id": "x"}), 400, "'x'")
    await wrote(log, build_id, NodeGenerated, node_id="echo", iteration=1, sources={"main.c": "echo"}, model="m")

    async def both() -> dict[str, Any] | None:
        answer = await client.post("/api/simulate/start", json={"task_id": build_id})
        told: dict[str, Any] = answer.json()
        return told if answer.status_code == 200 else None

    event = await asked(log, (await eventually(both))["session_id"])
    assert ([one.node_id for one in event.nodes], event.links) == (
        ["counter", "echo"],
        [UartLink(a="counter", b="echo")],
    )
    await wrote(log, again["session_id"], NodeStarted, node_id="counter", board="stm32f405")
    await wrote(
        log, again["session_id"], NodeSimulated, node_id="counter", iteration=1, ok=True, outcome="passed", output="o"
    )

    async def is_shown() -> bool:
        status = (await client.get(f"/api/simulate/{again['session_id']}/status")).json()
        (shown,) = status["nodes"]
        return bool(shown["iterations"] and shown["iterations"][0]["simulation_output"] == "o")

    await eventually(is_shown)
    stopped = (await client.post(f"/api/simulate/{again['session_id']}/stop")).json()
    assert stopped["status"] == "cancelled"


# Boards of nodes


@contextlib.asynccontextmanager
async def two_boards(log: Log, client: httpx.AsyncClient) -> AsyncIterator[None]:
    for name, kind in (("stm-1", "stm32f405"), ("stm-2", "stm32f405"), ("nrf-1", "nrf51822")):
        await log.append(DeviceAttached(timestamp=now(), host="lab-1", device=name, profile=kind, port=f"/dev/{name}"))

    async def are_there() -> bool:
        return len((await client.get("/api/devices")).json()["devices"]) == 3

    await eventually(are_there)
    yield


@pytest.mark.parametrize("port", ["%2Fdev%2Fstm-2", "dev/stm-2", "stm-2", "lab-1/stm-2"])
async def test_a_board_is_given_to_a_node_by_its_port_and_taken_back(
    client: httpx.AsyncClient, log: Log, port: str
) -> None:
    async with two_boards(log, client):
        build_id = await built(client)
        path = f"/api/deploy/{build_id}/assign/{port}"
        answer = await client.post(path, json={"node_id": "counter"})
        assert answer.status_code == 200, answer.text
        given = {"node_id": "counter", "device_id": "stm-2", "host": "lab-1", "port": "/dev/stm-2"}
        assert answer.json() == {"session_id": build_id, "assignments": [given]}
        (node,) = (await client.get(f"/api/build/{build_id}/status")).json()["nodes"]
        assert node["assigned_to"] == {"device_id": "stm-2", "host": "lab-1", "port": "/dev/stm-2"}
        assert (await client.delete(path)).json() == {"session_id": build_id, "assignments": []}
        refused(await client.delete(path), 404, "stm-2")


async def test_what_was_given_to_a_node_is_what_is_flashed(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    image = Artifact(digest="0" * 64, size_bytes=8, name="a.bin")
    async with two_boards(log, client):
        build_id = await built(client)
        await wrote(log, build_id, NodeImageStored, node_id="counter", iteration=1, image=image, elf=image)
        await wrote(log, build_id, NodeSucceeded, node_id="counter", iterations=1)
        await wrote(log, build_id, TaskFinished, duration_s=1.0)
        await node_in(client, build_id, "success")
        assign = f"/api/deploy/{build_id}/assign"
        refused(await client.post(f"{assign}/nrf-1"), 400, "nrf51822")
        refused(await client.post(f"{assign}/nothing"), 404, "nothing")
        refused(await client.post(f"{assign}/stm-2", json={"node_id": "x"}), 400, "counter")
        refused(await client.post("/api/deploy/build-0/assign/stm-2"), 404, "build-0")
        body = {"kind": "code", "prompt": "p", "nodes": [{"node_id": "a.py"}]}
        code = (await client.post("/tasks", json=body)).json()["task_id"]
        refused(await client.post(f"/api/deploy/{code}/assign/stm-2"), 400, "a.py", "module of code")
        assert (await client.post(f"{assign}/stm-2")).status_code == 200
        one = (await client.post("/api/deploy/flash", json={"session_id": build_id, "node_id": "counter"})).json()
        assert (one["deviceId"], one["host"]) == ("stm-2", "lab-1")
        every = (await client.post("/api/deploy/flash-all", json={"session_id": build_id})).json()["operations"]
        assert [one["deviceId"] for one in every] == ["stm-2"]


async def test_a_node_may_name_the_board_that_it_is_for(client: httpx.AsyncClient, log: Log) -> None:
    async with two_boards(log, client):
        node = {"node_id": "a", "board": "stm32f405", "description": "d", "device": "/dev/stm-1"}
        task_id = (await client.post("/tasks", json={"nodes": [node]})).json()["task_id"]
        (made,) = (await asked(log, task_id)).nodes
        assert (made.host, made.device) == ("lab-1", "stm-1")
        for device, word in (("nrf-1", "nrf51822"), ("nothing", "no device")):
            refused(
                await client.post("/tasks", json={"nodes": [{**node, "device": device}]}), 400, "nodes[0].device", word
            )


async def test_what_board_a_node_is_for_outlives_the_service_and_is_the_same_at_every_door(
    nats: nats_server.Server, client: httpx.AsyncClient, log: Log, tmp_path: Path
) -> None:
    async with two_boards(log, client):
        build_id = await built(client, nodes=[*BUILD["nodes"], {"node_id": "echo", "description": "echoes"}])
        path = f"/api/deploy/{build_id}/assign"
        assert (await client.post(f"{path}/stm-2", json={"node_id": "counter"})).status_code == 200
        other = Settings(nats_url=nats.url, data=tmp_path / "other", observability_port=0)
        async with (
            running(lambda ready: observe(other, on_ready=ready)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as second,
        ):
            counter, echo = (await second.get(f"/api/build/{build_id}/status")).json()["nodes"]
            assert (counter["assigned_to"]["device_id"], echo["assigned_to"]) == ("stm-2", None)
            wishes = [
                door.post(f"{path}/stm-1", json={"node_id": node})
                for door, node in ((client, "counter"), (second, "echo"))
            ]
            answers = await asyncio.gather(*wishes)
            assert sorted(one.status_code for one in answers) == [200, 409]
            (won,) = [one.json() for one in answers if one.status_code == 200]
            (lost,) = [one for one in answers if one.status_code == 409]
            assert "stm-1" in [one["device_id"] for one in won["assignments"]]
            refused(lost, 409, "stm-1 on lab-1", build_id, "take it back")
            assert (await second.delete(f"{path}/stm-1")).status_code == 200
            refused(await client.delete(f"{path}/stm-1"), 404, "stm-1")
    events = [one.event async for one in log.read([f"bench.task.{build_id}.node_assigned"])]
    places = [(one.host, one.device) for one in events if isinstance(one, NodeAssigned)]
    assert places == [("lab-1", "stm-2"), ("lab-1", "stm-1"), (None, None)]


async def test_a_board_stays_a_nodes_while_it_is_unplugged_and_can_be_taken_back(
    client: httpx.AsyncClient, log: Log
) -> None:
    async with two_boards(log, client):
        build_id = await built(client)
        path = f"/api/deploy/{build_id}/assign/stm-2"
        for _ in range(2):  # the same again changes nothing
            assert (await client.post(path)).status_code == 200
        await log.append(DeviceDetached(timestamp=now(), host="lab-1", device="stm-2"))

        async def assigned_to() -> dict[str, Any] | None:
            (node,) = (await client.get(f"/api/build/{build_id}/status")).json()["nodes"]
            found: dict[str, Any] = node["assigned_to"]
            return found if found["port"] is None else None

        found = await eventually(assigned_to, what="the board to be gone")
        assert found == {"device_id": "stm-2", "host": "lab-1", "port": None}
        assert (await client.delete(path)).json()["assignments"] == []
    assert len([one async for one in log.read([f"bench.task.{build_id}.node_assigned"])]) == 2


async def test_what_a_task_asked_for_counts_until_somebody_says_otherwise(client: httpx.AsyncClient, log: Log) -> None:
    image = Artifact(digest="0" * 64, size_bytes=8, name="a.bin")
    async with two_boards(log, client):
        node = {
            "node_id": "a",
            "board": "stm32f405",
            "description": "d",
            "device": "stm-1",
            "labels": {"camera": "yes"},
        }
        task_id = (await client.post("/tasks", json={"nodes": [node]})).json()["task_id"]
        (spec,) = (await asked(log, task_id)).nodes
        await wrote(log, task_id, TaskPlanned, nodes=[spec], estimated_iterations=1)
        await wrote(log, task_id, NodeImageStored, node_id="a", iteration=1, image=image, elf=image)
        await wrote(log, task_id, NodeSucceeded, node_id="a", iterations=1)
        await node_in(client, task_id, "success")

        async def flashed() -> str:
            body = {"task_id": task_id, "node_id": "a"}
            device: str = (await client.post("/api/deploy/flash", json=body)).json()["deviceId"]
            return device

        assert await flashed() == "stm-1"
        assert (await client.post(f"/api/deploy/{task_id}/assign/stm-2")).status_code == 200
        await wrote(log, task_id, TaskPlanned, nodes=[spec], estimated_iterations=1)  # by whoever takes it over
        assert await flashed() == "stm-2"
        assert (await client.delete(f"/api/deploy/{task_id}/assign/stm-2")).status_code == 200
        nowhere = await client.post("/api/deploy/flash", json={"task_id": task_id, "node_id": "a"})
        refused(nowhere, 409, "camera")  # any board, but one that is as the task asked for it
        said = (await client.get(f"/tasks/{task_id}/logs")).json()["logs"]
        assert any("a: is for stm-2 on lab-1 from now on" in one["line"] for one in said)


async def test_firmware_without_nodes_is_planned_by_a_runner(client: httpx.AsyncClient, log: Log) -> None:
    task_id = (await client.post("/tasks", json={"prompt": "count", "board": "stm32f405"})).json()["task_id"]
    assert (await client.get(f"/tasks/{task_id}/results")).json()["modules"] == []
    nodes = [NodeSpec(node_id="a", board="stm32f405"), NodeSpec(node_id="b", board="nrf51822")]
    await wrote(log, task_id, TaskPlanned, nodes=nodes, links=[UartLink(a="a", b="b")], estimated_iterations=2)

    async def is_planned() -> bool:
        return bool((await client.get(f"/tasks/{task_id}")).json()["total_modules"] == 2)

    await eventually(is_planned)
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws/{task_id}") as socket:
        first, second = [json.loads(await asyncio.wait_for(socket.recv(), 30.0)) for _ in range(2)]
    assert (first["type"], second["type"]) == ("TASK_STARTED", "PLANNING_COMPLETE")
    assert (second["data"]["modules"], second["data"]["links"]) == (["a", "b"], [["a", "b"]])
