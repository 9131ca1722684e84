"""Named tokens at a running service: what a frame may do, what health says, and what keeps it from starting."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect

from benchwire.events import nats_server
from benchwire.events.asks import SerialAccepted, WriteSerial
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached
from benchwire.events.log import Log
from benchwire.events.settings import InvalidSettings
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web import tokens
from benchwire.web.testing import running
from benchwire.web.tokens import Scope

TASK = {"prompt": "count", "nodes": [{"node_id": "a", "board": "stm32f405", "description": "d"}]}


@pytest.fixture
async def settings(nats: nats_server.Server, tmp_path: Path) -> Settings:
    return Settings(nats_url=nats.url, data=tmp_path / "data", observability_port=0)


async def made(settings: Settings, name: str, *scopes: Scope) -> str:
    return await asyncio.to_thread(tokens.create, settings.tokens_path, name, scopes, now=datetime.now(UTC))


@pytest.fixture
async def writer(settings: Settings) -> str:
    return await made(settings, "writer", Scope.WRITE)


@pytest.fixture
async def client(settings: Settings, writer: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {writer}"}
    async with (
        running(lambda ready: observe(settings, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20.0) as client,
    ):
        yield client


async def test_a_frame_that_steers_needs_control_as_the_call_does(
    settings: Settings, client: httpx.AsyncClient, writer: str
) -> None:
    task = (await client.post("/tasks", json=TASK)).json()["task_id"]
    operator = await made(settings, "operator", Scope.CONTROL)
    guidance = {"guidance": "use the second timer"}
    asked = await client.post(f"/tasks/{task}/intervene", json=guidance)
    assert (asked.status_code, "scope control" in asked.json()["detail"]) == (403, True)

    async def known() -> bool:
        answer = await client.get("/tasks", headers={"Authorization": f"Bearer {operator}"})
        return answer.status_code == 200

    await eventually(known)
    for token, kind in ((writer, "ERROR"), (operator, "GUIDANCE_ACCEPTED")):
        address = f"ws://127.0.0.1:{client.base_url.port}/ws/{task}?token={token}"
        async with asyncio.timeout(20), connect(address, proxy=None) as socket:
            assert json.loads(await socket.recv())["type"] == "TASK_STARTED"
            await socket.send(json.dumps({"type": "INTERVENTION", **guidance}))
            told = json.loads(await socket.recv())
            assert told["type"] == kind
            if kind == "ERROR":
                assert "scope control" in told["data"]["error"]


async def test_a_frame_that_writes_to_a_board_needs_control_and_the_log_knows_whose_it_was(
    settings: Settings, client: httpx.AsyncClient, writer: str, bus: Bus
) -> None:
    operator = await made(settings, "operator", Scope.CONTROL)
    asked: list[WriteSerial] = []

    async def write(body: bytes) -> SerialAccepted:
        asked.append(msgspec.json.decode(body, type=WriteSerial))
        return SerialAccepted(written=len(asked[-1].data))

    await Log(bus).append(DeviceAttached(timestamp=datetime.now(UTC), host="lab-1", device="board", port="/dev/x"))

    async def known() -> bool:
        answer = await client.get("/api/devices", headers={"Authorization": f"Bearer {operator}"})
        return answer.status_code == 200 and bool(answer.json()["devices"])

    await eventually(known)
    async with bus.serving("flash-agent", "1.0.0", {"ask.host.lab-1.write_serial": write}):
        for token, kind in ((writer, "error"), (operator, "written")):
            address = f"ws://127.0.0.1:{client.base_url.port}/ws/serial/board?token={token}"
            async with asyncio.timeout(20), connect(address, proxy=None) as socket:
                await socket.send('{"type": "write", "text": "help"}')
                told = json.loads(await socket.recv())
                assert (told["type"], "scope control" in told.get("error", "")) == (kind, kind == "error")
    assert [(one.data, one.by) for one in asked] == [(b"help", "operator")]


async def test_a_file_that_breaks_is_a_warning_of_health_and_nobody_is_locked_out(
    settings: Settings, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/health")).json()["warnings"] == []
    await asyncio.to_thread(settings.tokens_path.write_text, "{")

    async def warned() -> bool:
        health = await client.get("/health")
        return health.status_code == 200 and any("broken" in one for one in health.json()["warnings"])

    await eventually(warned)
    assert (await client.get("/sessions")).status_code == 200


async def test_a_service_with_a_broken_file_does_not_start(settings: Settings, tmp_path: Path) -> None:
    await asyncio.to_thread(settings.tokens_path.parent.mkdir)
    await asyncio.to_thread(settings.tokens_path.write_text, "{")
    with pytest.raises(InvalidSettings, match="broken"):
        await observe(settings)


async def test_beyond_loopback_an_empty_file_is_no_token(nats: nats_server.Server, tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    await asyncio.to_thread(file.write_text, '{"tokens": []}')
    exposed = Settings(nats_url=nats.url, data=tmp_path, observability_host="0.0.0.0", observability_port=0)
    with pytest.raises(InvalidSettings, match="no token"):
        await observe(exposed)
