"""A lab of two hosts and two agent runners: one task over boards of both, its runner killed on the way."""

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from benchwire.events import child, nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.catalog import AGENT, FACTS, FLASH_AGENT
from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event
from benchwire.events.flash import FlashCompleted, FlashRequested, FlashStarted
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.projection import Projection, rows_of
from benchwire.events.settings import NatsSettings
from benchwire.events.task import NodeSucceeded, TaskClaimed, TaskFailed, TaskFinished
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent import projection as of_flash_agent
from benchwire.observability import projection as of_observability

TOOLS = ("arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "qemu-system-arm", "setpriv")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

# Both hosts have a board of the same name, as two hosts would whose boards were named by the same habit.
BOARDS = {"lab-1": {"esp-1": "esp32c3", "stm-1": "stm32f405"}, "lab-2": {"esp-1": "esp32c3", "esp-2": "esp32c3"}}
RUNNERS = ("runner-1", "runner-2")
SOURCE = """#include "board.h"
int main(void) { board_init(); uart_puts("READY\\r\\n"); for (;;) { delay_ms(1000); } }
"""
NODES = [
    {"node_id": f"{board}-{number}", "board": board, "sources": {"main.c": SOURCE}, "expect": "READY"}
    for board, number in (("esp32c3", 1), ("esp32c3", 2), ("esp32c3", 3), ("esp32c3", 4), ("stm32f405", 1))
]

_SERVING = re.compile(r"serving on (http://\S+)")

Found = TypeVar("Found", bound=Event)
Process = asyncio.subprocess.Process


class Lab:
    """What was started: the services by name, the boards by host and name."""

    def __init__(self, directory: Path, nats_url: str, bus: Bus, stack: contextlib.AsyncExitStack) -> None:
        self.directory = directory
        self.nats_url = nats_url
        self.bus = bus
        self.started: dict[str, Process] = {}
        self._stack = stack

    async def start(self, name: str, *argv: str, env: Mapping[str, str] | None = None) -> None:
        """Starts a module of the product with a log and a data directory of its own."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANTHROPIC_", "BENCHWIRE_"))
        }
        told = {"NATS_URL": self.nats_url, "BENCHWIRE_DATA": str(self.directory / name), **(env or {})}
        with (self.directory / f"{name}.log").open("ab") as log:
            spawned = child.spawn([sys.executable, "-m", *argv], env=inherited | told, stdout=log, stderr=log)
            self.started[name] = await self._stack.enter_async_context(spawned)

    async def host(self, host: str, boards: Mapping[str, str]) -> None:
        """A host with its flash agent and its boards."""
        run_dir = self.directory / f"v-{host}"
        for name, profile in boards.items():
            board = ("benchwire.boards.virtual", profile, "--name", name, "--run-dir", str(run_dir))
            await self.start(f"{host}-{name}", *board)
        env = {"BENCHWIRE_HOST": host, "BENCHWIRE_VIRTUAL_DIR": str(run_dir)}
        await self.start(host, "benchwire.flash_agent", env=env)

    async def runner(self, name: str) -> None:
        """An agent runner whose work comes to another one soon after it is gone."""
        await self.start(name, "benchwire.agent", env={"BENCHWIRE_RUNNER": name, "BENCHWIRE_ACK_WAIT_S": "3"})

    async def facts(self, *kinds: type[Found]) -> list[Found]:
        """What the log holds of these kinds."""
        return [one.event async for one in Log(self.bus).read([FACTS]) if isinstance(one.event, kinds)]

    async def first(self, *kinds: type[Found], within_s: float) -> Found:
        """The first fact of these kinds."""
        found: list[Found] = await eventually(lambda: self.facts(*kinds), within_s=within_s, what=str(kinds))
        return found[0]

    def complaints(self) -> list[str]:
        """What any part logged as an error."""
        logs = sorted(self.directory.glob("*.log"))
        return [f"{log.name}: {line}" for log in logs for line in log.read_text().splitlines() if " ERROR " in line]


@pytest.fixture
async def lab(lab_dir: Path) -> AsyncIterator[Lab]:
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(nats_server.running(lab_dir / "nats"))
        bus = await stack.enter_async_context(connected(NatsSettings(nats_url=server.url), name="witness"))
        lab = Lab(lab_dir, server.url, bus, stack)
        await lab.start("observability", "benchwire.observability", env={"BENCHWIRE_OBSERVABILITY_PORT": "0"})
        for host, boards in BOARDS.items():
            await lab.host(host, boards)
        for name in RUNNERS:
            await lab.runner(name)
        yield lab


@pytest.fixture
async def http(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    told = lab.directory / "observability.log"
    found = await eventually(lambda: _SERVING.search(told.read_text()), within_s=60, what="observability to serve")
    async with httpx.AsyncClient(base_url=found[1], timeout=10, trust_env=False) as http:
        yield http


async def devices(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await http.get("/api/devices")).json()["devices"]
    return listed


@pytest.mark.timeout(240)
async def test_a_task_over_two_hosts_whose_runner_is_killed_is_brought_to_its_end_by_the_other(
    lab: Lab, http: httpx.AsyncClient
) -> None:
    async def complete() -> bool:
        there = {(one.service, one.name) for one in await Presence(lab.bus).everyone()}
        wanted = {(AGENT, one) for one in RUNNERS} | {(FLASH_AGENT, one) for one in BOARDS}
        free = [one for one in await devices(http) if one["state"] == "available"]
        return wanted <= there and len(free) == sum(len(boards) for boards in BOARDS.values())

    await eventually(complete, within_s=90, what="two hosts with their boards, and two runners")
    answer = await http.post("/tasks", json={"kind": "firmware", "prompt": "", "nodes": NODES})
    assert answer.status_code == 200, answer.text
    first = await lab.first(TaskClaimed, within_s=30)
    await lab.first(FlashStarted, within_s=20)
    lab.started[first.runner].kill()

    end = await lab.first(TaskFinished, TaskFailed, within_s=60)
    assert isinstance(end, TaskFinished), end
    await every_node_was_flashed_once(lab)
    await no_board_stays_taken(lab, http)
    await a_name_that_two_hosts_have_wants_its_host(lab, http)
    assert lab.complaints() == []
    await rows_equal_a_rebuild(lab)


async def every_node_was_flashed_once(lab: Lab) -> None:
    claims = await lab.facts(TaskClaimed)
    assert [one.attempt for one in claims] == [1, 2]
    assert {one.runner for one in claims} == set(RUNNERS)
    assert len(await lab.facts(TaskFinished, TaskFailed)) == 1
    assert sorted(one.node_id for one in await lab.facts(NodeSucceeded)) == sorted(str(one["node_id"]) for one in NODES)
    jobs = await lab.facts(FlashRequested)
    assert Counter(one.node_id for one in jobs) == Counter(str(one["node_id"]) for one in NODES)
    assert {one.host for one in jobs} == set(BOARDS)
    assert Counter(one.job_id for one in await lab.facts(FlashStarted)) == Counter(one.job_id for one in jobs)
    assert len(await lab.facts(FlashCompleted)) == len(jobs)


async def no_board_stays_taken(lab: Lab, http: httpx.AsyncClient) -> None:
    leases = {(one.host, one.device): one.lease_id for one in await lab.facts(DeviceLeased)}
    released = {one.lease_id for one in await lab.facts(DeviceReleased)}
    assert set(leases.values()) <= released
    assert {one["state"] for one in await devices(http)} == {"available"}


async def a_name_that_two_hosts_have_wants_its_host(lab: Lab, http: httpx.AsyncClient) -> None:
    job = next(one for one in await lab.facts(FlashRequested) if one.profile == "esp32c3")
    asked = {"device_id": "esp-1", "artifact_id": job.image.digest}
    refused = await http.post("/api/flash/start", json=asked)
    assert refused.status_code == 400
    assert "lab-1" in refused.json()["detail"]
    taken = await http.post("/api/flash/start", json=asked | {"device_id": "lab-2/esp-1"})
    assert taken.json()["host"] == "lab-2", taken.text

    async def done() -> bool:
        return any(one.job_id == taken.json()["jobId"] for one in await lab.facts(FlashCompleted))

    await eventually(done, within_s=30, what="the job on lab-2")


async def rows_equal_a_rebuild(lab: Lab) -> None:
    live = {
        lab.directory / "observability" / "observability": of_observability.SCHEMA,
        **{lab.directory / host / "flash-agent": of_flash_agent.schema(host) for host in BOARDS},
    }
    for name in ("observability", *BOARDS):
        await child.stop_tree(lab.started[name], grace_s=3.0)
    for place, schema in live.items():
        async with Projection(lab.bus, place / "projection.sqlite", schema).running():
            pass  # what came while the service itself was going down
        async with Projection(lab.bus, place / "fresh.sqlite", schema, with_snapshots=False).running():
            pass
        assert rows_of(place / "projection.sqlite") == rows_of(place / "fresh.sqlite"), place
