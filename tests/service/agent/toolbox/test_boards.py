"""A session's tools for boards and firmware, with a real flash agent and a virtual board behind them."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anthropic.lib.tools import ToolError

from benchwire.agent.sessions.calls import Tool
from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased, DeviceReleased
from benchwire.events.flash import FlashCompleted, FlashRequested
from benchwire.events.lease import LeaseRequested, LeaseWithdrawn
from benchwire.events.live import SerialLine
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.session import ToolReturned
from benchwire.events.testing.eventually import eventually

OpenTools = Callable[..., AbstractAsyncContextManager[dict[str, Tool]]]

ECHO = """
#include "board.h"

int main(void)
{
    board_init();
    uart_puts("ECHO READY\\r\\n");
    for (;;) {
        int c = uart_getc_nonblocking();
        if (c >= 0) {
            uart_putc((char)c);
        }
    }
}
"""


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory with a short path: the board's unix sockets are in it."""
    directory = Path(tempfile.mkdtemp(prefix="bw-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@contextlib.asynccontextmanager
async def host(nats: nats_server.Server, bus: Bus, directory: Path) -> AsyncGenerator[None, None]:
    """A host with a flash agent and one virtual board, ``stm-1``."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANTHROPIC_", "BENCHWIRE_"))}
    own = {
        "NATS_URL": nats.url, "BENCHWIRE_DATA": str(directory / "data"), "BENCHWIRE_HOST": "lab-1", "BENCHWIRE_PROBES": "off",
        "BENCHWIRE_VIRTUAL_DIR": str(directory / "v"), "BENCHWIRE_IDENTIFY": "off",
    }  # fmt: skip
    board = ["benchwire.boards.virtual", "stm32f405", "--name", "stm-1", "--run-dir", str(directory / "v")]
    async with (
        child.spawn([sys.executable, "-m", *board], env=inherited | own),
        child.spawn([sys.executable, "-m", "benchwire.flash_agent"], env=inherited | own, grace_s=5.0),
    ):
        await eventually(
            lambda: Presence(bus).is_there("flash-agent", "lab-1"), within_s=30, what="the host to be there"
        )
        yield


def now() -> datetime:
    return datetime.now(UTC)


async def facts(log: Log, kind: type[Any]) -> list[Any]:
    return [one.event async for one in log.read(["bench.>"]) if isinstance(one.event, kind)]


async def refused(tool: Tool, **given: Any) -> str:
    with pytest.raises(ToolError) as told:
        await tool.call(given)
    return str(told.value)


async def test_a_session_leases_builds_simulates_flashes_waits_and_writes(
    nats: nats_server.Server, bus: Bus, log: Log, short_dir: Path, tools: OpenTools
) -> None:
    async with host(nats, bus, short_dir), tools() as tool:

        async def listed() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = json.loads(await tool["list_devices"].call({"profile": "stm32f405"}))
            return found

        (board,) = await eventually(listed, within_s=30, what="the board to be listed")
        assert (board["device"], board["host"], board["state"]) == ("stm-1", "lab-1", "free")
        told = await tool["lease_device"].call({"profile": "stm32f405", "wait_s": 30})
        assert told.startswith("stm-1 on lab-1 is leased to this session")
        assert (await listed())[0]["state"] == "leased to this session"

        broken = await refused(
            tool["build_firmware"], profile="stm32f405", sources={"main.c": "int main(void) { return x; }"}
        )
        assert "main.c" in broken
        assert "'x' undeclared" in broken
        await tool["write_file"].call({"path": "main.c", "content": ECHO})
        built = json.loads(await tool["build_firmware"].call({"profile": "stm32f405", "paths": ["main.c"]}))
        assert 0 < built["flash_bytes"] < built["flash_limit_bytes"]
        ran = json.loads(
            await tool["simulate_firmware"].call(
                {
                    "build": built["build"],
                    "assertions": [{"name": "ready", "kind": "substring", "pattern": "ECHO READY"}],
                }
            )
        )
        assert (ran["outcome"], ran["assertions"][0]["passed"]) == ("passed", True)

        assert "was flashed and verified" in await tool["flash_device"].call(
            {"device": "stm-1", "build": built["build"]}
        )
        assert "ECHO READY" in await tool["wait_for_line"].call(
            {"device": "stm-1", "pattern": "READY$", "timeout_s": 30}
        )
        assert (
            await tool["write_serial"].call({"device": "stm-1", "text": "heron 42"})
            == "9 bytes were sent to stm-1 on lab-1"
        )
        heard = await tool["wait_for_line"].call({"device": "stm-1", "pattern": r"heron (\d+)", "timeout_s": 30})
        assert heard == "heron 42\ngroups: ['42']"
        assert "heron 42" in await tool["read_serial"].call({"device": "stm-1"})
        silence = await refused(tool["wait_for_line"], device="stm-1", pattern="heron", timeout_s=0.2)
        assert "printed nothing" in silence, "what was found once is not found again"
        (job,) = await facts(log, FlashRequested)
        (lease,) = await facts(log, LeaseRequested)
        assert (job.session_id, job.lease_id, lease.holder) == ("s", lease.lease_id, "s")
    assert [one.lease_id for one in await facts(log, DeviceReleased)] == [lease.lease_id], "given back with the session"
    returned = [one for one in await facts(log, ToolReturned) if one.tool_name == "flash_device"]
    assert (len(returned), returned[0].error) == (1, None)


@contextlib.asynccontextmanager
async def known(log: Log, bus: Bus, *devices: DeviceAttached) -> AsyncGenerator[None, None]:
    """Boards that the log knows, of hosts that say that they are there."""
    async with contextlib.AsyncExitStack() as stack:
        for name in {one.host for one in devices}:
            present = Present(service="flash-agent", name=name, version="0", pid=1)
            await stack.enter_async_context(Presence(bus).announced(present))
        for one in devices:
            await log.append(one)
        yield


def attached(device: str, host: str = "lab-1", **more: Any) -> DeviceAttached:
    return DeviceAttached(timestamp=now(), host=host, device=device, **{"profile": "esp32c3", **more})


async def test_boards_are_listed_by_what_they_are_and_who_has_them(log: Log, bus: Bus, tools: OpenTools) -> None:
    boards = [
        attached("a", labels={"rack": "2"}), attached("b", labels={"rack": "2", "camera": "yes"}), attached("a", host="lab-2"),
        attached("c", profile="stm32f405", virtual=True), attached("gone", host="lab-3"),
    ]  # fmt: skip
    lease = DeviceLeased(
        timestamp=now(),
        host="lab-1",
        device="b",
        lease_id="l",
        holder="task-1/n",
        expires_at=now() + timedelta(hours=1),
    )
    await log.append(boards.pop())
    async with known(log, bus, *boards), tools() as tool:
        await log.append(lease)

        async def states(**wanted: Any) -> dict[str, str]:
            return {
                f"{one['device']}@{one['host']}": one["state"]
                for one in json.loads(await tool["list_devices"].call(wanted))
            }

        async def leased() -> bool:
            return "leased by task-1/n" in (await states()).values()

        await eventually(leased)
        assert await states() == {
            "a@lab-1": "free", "a@lab-2": "free", "b@lab-1": "leased by task-1/n", "c@lab-1": "free",
            "gone@lab-3": "its host's flash agent is not there",
        }  # fmt: skip
        assert list(await states(labels={"rack": "2"}, profile="esp32c3")) == ["a@lab-1", "b@lab-1"]
        assert "several hosts" in await refused(tool["read_serial"], device="a")
        assert "leased by task-1/n" in await refused(tool["write_serial"], device="b", text="x")
        assert "is not there" in await refused(tool["lease_device"], device="gone")
        assert "no board profile" in await refused(tool["lease_device"], profile="toaster")
        assert "no attached board" in await refused(tool["lease_device"], labels={"rack": "9"})
        assert "no lease" in await refused(tool["release_device"], device="b")
        assert "unknown field" in await refused(tool["list_devices"], colour="red")
        assert await facts(log, LeaseRequested) == []


async def test_a_board_that_stays_taken_is_not_waited_for_any_longer(log: Log, bus: Bus, tools: OpenTools) -> None:
    async with known(log, bus, attached("a")), tools() as tool:
        told = await refused(tool["lease_device"], device="a", wait_s=0.2)
        assert "stayed taken for 0.2 s" in told
        (wanted,) = await facts(log, LeaseRequested)
        (withdrawn,) = await facts(log, LeaseWithdrawn)
        assert withdrawn.lease_id == wanted.lease_id
    assert len(await facts(log, LeaseWithdrawn)) == 1


async def test_a_call_that_is_made_again_finds_its_flash_job(log: Log, bus: Bus, tools: OpenTools) -> None:
    """As when a runner is killed while the board is flashed: whoever goes on makes the same call, and the board is flashed once."""
    async with known(log, bus, attached("c", profile="stm32f405")), tools() as tool:
        built = json.loads(await tool["build_firmware"].call({"profile": "stm32f405", "sources": {"main.c": ECHO}}))
        given = {"device": "c", "build": built["build"], "timeout_s": 0.3}
        for _ in range(2):
            with pytest.raises(Exception, match="did not end within"):
                await asyncio.wait_for(tool["flash_device"].do(given, "toolu_1"), 30)
        assert len({one.job_id for one in await facts(log, FlashRequested)}) == 1
        (job,) = await facts(log, FlashRequested)
        line = SerialLine(timestamp=now(), host="lab-1", device="c", number=1, line="ECHO READY", job_id=job.job_id)
        await log.sample(line)
        done = FlashCompleted(
            timestamp=now(), host="lab-1", job_id=job.job_id, device="c", duration_s=1.0, total_bytes=job.image.size_bytes,
            verified_by="md5",
        )  # fmt: skip
        await log.append(done)
        assert job.job_id in str(await tool["flash_device"].do({**given, "timeout_s": 30}, "toolu_1"))
        waited = await tool["wait_for_line"].call({"device": "c", "pattern": "READY", "timeout_s": 20})
        assert waited == "ECHO READY", "printed while nobody listened"
        assert "no build" in await refused(tool["flash_device"], device="c", build=built["image_digest"])
        assert "build it again" in await refused(tool["simulate_firmware"], build="0" * 64)


@pytest.mark.parametrize("leaving", [True, False])
async def test_a_board_is_kept_for_whoever_goes_on_with_the_session_and_else_given_back(
    log: Log, bus: Bus, tools: Callable[..., AbstractAsyncContextManager[Any]], *, leaving: bool
) -> None:
    """``leaving``: the runner comes to an orderly end. Else the session does, by a stop or because its time is up."""
    lease = DeviceLeased(
        timestamp=now(), host="lab-1", device="a", lease_id="l", holder="s", expires_at=now() + timedelta(hours=1)
    )
    async with known(log, bus, attached("a")):
        await log.append(lease)
        opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def session() -> None:
            async with tools() as tool:
                opened.set_result(tool)
                await asyncio.sleep(600)

        running = asyncio.create_task(session())
        tool = await opened

        async def shown() -> bool:
            return "leased to this session" in str(await tool["list_devices"].call({}))

        await eventually(shown)
        tool.place.work.leaving = leaving
        running.cancel()
        await asyncio.wait([running])
    assert len(await facts(log, DeviceReleased)) == (0 if leaving else 1)


async def test_a_lease_that_is_taken_over_is_renewed_at_once(log: Log, bus: Bus, tools: OpenTools) -> None:
    """Whoever had the session before renewed it last, and that is a while ago."""
    lease = DeviceLeased(
        timestamp=now(), host="lab-1", device="a", lease_id="l", holder="s", expires_at=now() + timedelta(seconds=45)
    )
    async with known(log, bus, attached("a")):
        await log.append(lease)
        async with tools():

            async def renewed() -> bool:
                return any(one.expires_at > lease.expires_at for one in await facts(log, DeviceLeased))

            await eventually(renewed, within_s=20, what="the lease to be renewed")
