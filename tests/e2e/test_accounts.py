"""A whole lab as `benchwire deploy init` describes it: TLS, a user for each part, a host behind a leaf node. It works, and nothing is denied."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path, PurePosixPath

import httpx
import pytest

from benchwire.deploy.hosts import writing
from benchwire.deploy.hosts.described import Host, Lab
from benchwire.events import child, nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.catalog import FACTS
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Event
from benchwire.events.flash import FlashCompleted
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.serial import CaptureFinished
from benchwire.events.settings import NatsSettings, load
from benchwire.events.task import TaskFailed, TaskFinished
from benchwire.events.testing.eventually import eventually
from benchwire.web.testing import free_ports

MISSING = [tool for tool in ("riscv64-unknown-elf-gcc", "setpriv") if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

HUB, ROOM = "hub", "room"
BOARD = "esp-1"
SOURCE = """#include "board.h"
int main(void) { board_init(); for (;;) { uart_puts("READY\\r\\n"); delay_ms(300); } }
"""
NODE = {"node_id": "one", "board": "esp32c3", "sources": {"main.c": SOURCE}, "expect": "READY"}
DENIED = re.compile(r'^benchwire_observability_parts_denied\{service="([a-z-]+)"\} (\S+)$', re.MULTILINE)


class Running:
    """The lab: the folder that was written, and where its two HTTP services are."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.out, self._data, self._stack = folder / "out", folder / "data", stack
        client, cluster, leaf, self.observability_port, self.documents_port = free_ports(5)
        hosts = {
            HUB: Host(address="127.0.0.2", parts=["nats", "observability", "documents", "agent"]),
            ROOM: Host(parts=["leaf", "flash-agent"]),
        }
        self.lab = Lab(hosts=hosts, client_port=client, cluster_port=cluster, leaf_port=leaf, monitor_port=0)
        places = writing.Places(
            etc=PurePosixPath(self.out / "hosts" / "{host}"), data=PurePosixPath(self._data / "{host}")
        )
        for host in hosts:
            (self._data / host / "nats").mkdir(parents=True)
        writing.write(self.out, self.lab, places)

    async def server(self, host: str) -> None:
        """The NATS server of that host, with its configuration as it was written."""
        conf = self.out / "hosts" / host / "nats-server.conf"
        await self._start(f"nats-{host}", [nats_server.binary(), "--config", str(conf)], {})

    async def part(self, host: str, part: str, **more: str) -> None:
        """A part with its environment file, and nothing else of this lab."""
        lines = (self.out / "hosts" / host / f"{part}.env").read_text().splitlines()
        told = dict(line.split("=", 1) for line in lines) | {
            f"BENCHWIRE_{name.upper()}": value for name, value in more.items()
        }
        await self._start(f"{part}-{host}", [sys.executable, "-m", f"benchwire.{part.replace('-', '_')}"], told)

    async def board(self) -> Path:
        """A virtual board; the directory in which it registers."""
        run_dir = self._data / "v"
        argv = (sys.executable, "-m", "benchwire.boards.virtual", "esp32c3", "--name", BOARD, "--run-dir", str(run_dir))
        await self._start("board", list(argv), {})
        return run_dir

    async def _start(self, name: str, argv: list[str], env: dict[str, str]) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANTHROPIC_", "BENCHWIRE_", "NATS_"))
        }
        with (self._data / f"{name}.log").open("ab") as log:
            await self._stack.enter_async_context(child.spawn(argv, env=inherited | env, stdout=log, stderr=log))

    def who(self, user: str) -> NatsSettings:
        """How somebody who looks after the lab, or at it, gets in."""
        lines = (self.out / "admin" / f"{user}.env").read_text().splitlines()
        return load(NatsSettings, dict(line.split("=", 1) for line in lines))

    def complaints(self) -> list[str]:
        """What any part, or server, logged as refused or as an error."""
        logs = [*self._data.glob("*.log"), *self._data.glob("*/nats/nats-server.log")]
        words = re.compile(r" ERROR |Violation|does not let this user")
        return [f"{log.name}: {line}" for log in logs for line in log.read_text().splitlines() if words.search(line)]


@pytest.fixture
async def running(lab_dir: Path) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        lab = Running(lab_dir, stack)
        await lab.server(HUB)
        await lab.server(ROOM)
        async with connected(lab.who("admin"), name="admin"):
            pass  # the log is made by nobody else
        run_dir = await lab.board()
        await lab.part(HUB, "observability", observability_port=str(lab.observability_port))
        await lab.part(HUB, "documents", documents_port=str(lab.documents_port))
        await lab.part(HUB, "agent")
        await lab.part(ROOM, "flash-agent", virtual_dir=str(run_dir), ports="off", probes="off")
        yield lab


async def facts(bus: Bus, *kinds: type[Event]) -> list[Event]:
    return [one.event async for one in Log(bus).read([FACTS]) if isinstance(one.event, kinds)]


async def is_ready(bus: Bus, http: httpx.AsyncClient, documents: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):  # not up yet
        (await http.get(f"{documents}/health")).raise_for_status()
        listed = (await http.get("/api/devices")).json()["devices"]
        there = {one.service for one in await Presence(bus).everyone()}
        return there >= {"observability", "documents", "agent", "flash-agent"} and [one["state"] for one in listed] == [
            "available"
        ]
    return False


@pytest.mark.timeout(150)
async def test_a_lab_of_users_with_keys_flashes_a_board_behind_a_leaf_node_and_nobody_is_denied_anything(
    running: Running,
) -> None:
    async with (
        connected(running.who("operator"), name="operator") as bus,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{running.observability_port}", timeout=20, trust_env=False
        ) as http,
    ):
        documents = f"http://127.0.0.1:{running.documents_port}"
        await eventually(lambda: is_ready(bus, http, documents), within_s=60, what="all parts and their board")
        files = {"file": ("notes.txt", b"kept")}
        answer = await http.post(f"{documents}/documents", files=files)
        assert answer.is_success, answer.text
        captured = await http.post(f"/api/devices/{BOARD}/captures", json={"for_s": 2.0})
        assert captured.is_success, captured.text
        asked = await http.post(f"/api/devices/{BOARD}/reset")
        assert asked.is_success, (asked.text, running.complaints())  # the answer came back through the leaf node
        answer = await http.post("/tasks", json={"kind": "firmware", "prompt": "", "nodes": [NODE], "deploy": True})
        assert answer.is_success, answer.text
        (end,) = await eventually(lambda: facts(bus, TaskFinished, TaskFailed), within_s=60, what="the task")
        assert isinstance(end, TaskFinished), end
        assert len(await facts(bus, FlashCompleted)) == 1
        await eventually(lambda: facts(bus, CaptureFinished), within_s=20, what="the capture")

        async def both() -> bool:
            return len(await facts(bus, DocumentCreated)) == 2

        await eventually(both, within_s=20, what="the document that was pushed, and the one that was captured")
        counted = dict(DENIED.findall((await http.get("/metrics")).text))
        assert counted == dict.fromkeys(("observability", "documents", "agent", "flash-agent"), "0.0")
    assert running.complaints() == []


def test_what_is_written_is_taken_by_the_real_server(tmp_path: Path) -> None:
    hosts = {name: Host(address=f"127.0.0.{number}", parts=["nats"]) for number, name in enumerate("abc", start=2)}
    hosts["room"] = Host(parts=["leaf", "flash-agent", "agent"])
    lab = Lab(hosts=hosts)
    writing.write(
        tmp_path, lab, writing.Places(etc=PurePosixPath(tmp_path / "hosts" / "{host}"), data=PurePosixPath(tmp_path))
    )
    for name in hosts:
        argv = [nats_server.binary(), "-t", "--config", str(tmp_path / "hosts" / name / "nats-server.conf")]
        tried = subprocess.run(child.dying_with_owner(argv), capture_output=True, text=True, check=False)
        assert tried.returncode == 0, tried.stderr
