"""The service, a real flash agent and a virtual board, each a process or service of its own: leases, uploads, and a flash that is steered."""

import asyncio
import contextlib
import json
import os
import random
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from benchwire.events import child, nats_server
from benchwire.events.log import Log
from benchwire.events.testing.eventually import eventually

FLASH, RAM_END = 0x0800_0000, 0x2000_1000
IMAGE = struct.pack("<II", RAM_END, FLASH + 0x101) + random.Random(7).randbytes(96 * 1024)


@pytest.fixture
async def board(nats: nats_server.Server, log: Log, tmp_path: Path) -> AsyncIterator[str]:
    """The name of a board on a host whose flash agent has found it."""
    with tempfile.TemporaryDirectory(prefix="bw-") as run_dir:  # short: unix sockets live there
        env = os.environ | {
            "NATS_URL": nats.url, "BENCHWIRE_HOST": "lab-1", "BENCHWIRE_DATA": str(tmp_path / "agent"), "BENCHWIRE_VIRTUAL_DIR": run_dir,
        }  # fmt: skip
        virtual = [
            sys.executable,
            "-m",
            "benchwire.boards.virtual",
            "stm32f405",
            "--name",
            "stm-1",
            "--run-dir",
            run_dir,
        ]
        agent = [sys.executable, "-m", "benchwire.flash_agent"]
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(child.spawn([*virtual, "--die-with-parent"], stdout=child.DEVNULL))
            await stack.enter_async_context(child.spawn(agent, env=env, grace_s=3.0))
            await eventually(lambda: log.last_sequence("bench.device.lab-1.stm-1.attached"), within_s=60)
            yield "stm-1"


async def steered(port: int, client: httpx.AsyncClient, job_id: str) -> list[dict[str, Any]]:
    """The frames of a job that is paused, freed of its limit, and resumed."""
    frames: list[dict[str, Any]] = []
    asked = False
    async with connect(f"ws://127.0.0.1:{port}/flash-progress/{job_id}") as socket:
        while not frames or frames[-1]["type"] not in ("flash_completed", "flash_failed"):
            frames.append(json.loads(await asyncio.wait_for(socket.recv(), 60.0)))
            if not asked and [one["stage"] for one in frames if one["type"] == "flash_progress"].count("writing") == 3:
                asked = True
                (await client.post(f"/api/flash/jobs/{job_id}/pause")).raise_for_status()
            if frames[-1]["type"] == "flash_paused":
                (
                    await client.post(f"/api/flash/jobs/{job_id}/throttle", json={"max_bytes_per_s": None})
                ).raise_for_status()
                (await client.post(f"/api/flash/jobs/{job_id}/resume")).raise_for_status()
    return frames


async def test_a_board_is_leased_flashed_and_given_to_who_waits_for_it(
    board: str, client: httpx.AsyncClient, port: int
) -> None:
    wanted = {"profile": "stm32f405", "for_s": 300}
    held = await client.post("/api/leases", json={**wanted, "holder": "ada", "wait_s": 20})
    assert held.status_code == 201, held.text
    lease = held.json()["lease"]
    assert (lease["state"], lease["device_id"]) == ("held", board)
    next_one = asyncio.create_task(client.post("/api/leases", json={**wanted, "holder": "bob", "wait_s": 30}))

    form = {"lease_id": lease["lease_id"], "max_bytes_per_s": "20000"}
    refused = await client.post("/api/flash/start", data={"device_id": board}, files={"file": ("a.bin", IMAGE)})
    assert (refused.status_code, "ada" in refused.json()["detail"]) == (409, True)
    begun = await client.post("/api/flash/start", data=form, files={"file": ("a.bin", IMAGE)})
    assert begun.status_code == 200, begun.text
    frames = await steered(port, client, begun.json()["jobId"])
    kinds = list(dict.fromkeys(one["type"] for one in frames if one["type"] != "flash_queued"))
    assert kinds[0] == "flash_started"
    assert {"flash_paused", "flash_throttled", "flash_resumed"} <= set(kinds)
    assert kinds[-1] == "flash_completed", frames[-1]
    shown = [one["progress"] for one in frames if one["type"] == "flash_progress"]
    assert shown == sorted(shown)
    assert all(one["progress"] < 100 for one in frames if one.get("stage") in ("writing", "verifying"))

    device = (await client.get(f"/api/devices/{board}")).json()["device"]
    assert (device["flash_state"], device["needs_flash"], device["lease"]["holder"]) == ("complete", False, "ada")
    assert not next_one.done()
    (await client.delete(f"/api/leases/{lease['lease_id']}")).raise_for_status()
    assert (await next_one).json()["lease"]["holder"] == "bob"
