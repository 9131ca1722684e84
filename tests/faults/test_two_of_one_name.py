"""Two machines of one name: the part that comes second ends with a sentence, and one that was killed is back at once."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchwire.events import child, nats_server
from benchwire.events.bus import Bus
from benchwire.events.host import HostStarted, HostStopped
from benchwire.events.log import Log
from benchwire.events.presence import CannotTell, Presence, Present
from benchwire.events.service import CANNOT_START
from benchwire.events.testing.eventually import eventually

pytestmark = pytest.mark.skipif(shutil.which("setpriv") is None, reason="not installed: setpriv")

NAME = "raspberrypi"
PARTS = [("flash-agent", "BENCHWIRE_HOST"), ("agent", "BENCHWIRE_RUNNER")]


@asynccontextmanager
async def started(
    nats: nats_server.Server, part: str, setting: str, data: Path
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    told = {
        "NATS_URL": nats.url,
        setting: NAME,
        "BENCHWIRE_DATA": str(data),
        "BENCHWIRE_PORTS": "off",
        "BENCHWIRE_PROBES": "off",
    }
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BENCHWIRE_"))
    } | told
    argv = [sys.executable, "-m", f"benchwire.{part.replace('-', '_')}"]
    async with child.spawn(argv, env=env, stderr=asyncio.subprocess.PIPE, grace_s=5.0) as process:
        yield process


async def who(bus: Bus, part: str) -> Present | None:
    try:
        return next((one for one in await Presence(bus).everyone() if one.service == part), None)
    except CannotTell:
        return None


@pytest.mark.parametrize(("part", "setting"), PARTS)
async def test_the_second_of_one_name_ends_and_a_killed_one_is_back_before_its_entry_expires(
    log: Log, nats: nats_server.Server, tmp_path: Path, part: str, setting: str
) -> None:
    bus = log.bus
    async with started(nats, part, setting, tmp_path / "first") as first:
        there = await eventually(lambda: who(bus, part), within_s=60, what=part)
        async with started(nats, part, setting, tmp_path / "second") as second:
            _, said = await asyncio.wait_for(second.communicate(), 60)
            assert second.returncode == CANNOT_START
            assert (
                f"another {part} called {NAME} in this lab; give one of the two a name of its own with {setting}"
                in said.decode()
            )
            assert b"Traceback" not in said
        now = await eventually(lambda: who(bus, part), within_s=20, what="the first one")
        assert now.run == there.run
        first.kill()
        await first.wait()
    async with started(nats, part, setting, tmp_path / "first"):

        async def is_back() -> bool:
            now = await who(bus, part)
            return now is not None and now.run != there.run

        await eventually(is_back, within_s=60, what=f"{part}, again")
        hosts = [type(one.event) async for one in log.read(["bench.host.>"])]
        assert hosts == ([HostStarted, HostStarted] if part == "flash-agent" else []), "the second one said nothing"
        assert HostStopped not in hosts
