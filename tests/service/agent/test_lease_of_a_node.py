"""A node's hold on a board, as two runners see it of which one was cut off."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchwire.agent.claim import Claim, Desk
from benchwire.agent.firmware.leasing import Leasing, Wanted
from benchwire.agent.lab import Lab
from benchwire.agent.projection import SCHEMA
from benchwire.agent.sandbox import Kind, Sandbox
from benchwire.agent.settings import Settings
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased, DeviceReleased
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.projection import Projection
from benchwire.events.task import TaskClaimed, TaskRequested


def now() -> datetime:
    return datetime.now(UTC)


async def claimed(bus: Bus, runner: str) -> Claim:
    desk = Desk(Log(bus), Presence(bus), runner)
    decided = await desk.task("t")
    assert isinstance(decided.event, TaskClaimed)
    return desk.claim(decided.event, decided.sequence)


async def test_a_runner_that_was_cut_off_does_not_give_back_the_board_that_its_successor_has(
    bus: Bus, log: Log, tmp_path: Path
) -> None:
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        lab = Lab(Settings(), bus, projection, model=None, sandbox=Sandbox(kind=Kind.LIMITS))
        await log.append(TaskRequested(timestamp=now(), task_id="t", kind="firmware"))
        cut_off, successor = await claimed(bus, "frozen"), await claimed(bus, "other")
        await log.append(DeviceAttached(timestamp=now(), host="h", device="d", profile="p"))
        until = now() + timedelta(minutes=5)
        leased = DeviceLeased(timestamp=now(), host="h", device="d", lease_id="l", holder="t/n", expires_at=until)
        await projection.wait_for(await log.append(leased))

        async def has_it(claim: Claim) -> list[DeviceReleased]:
            async def say(_: str) -> None: ...

            leasing = Leasing(lab, claim, holder="t/n", wanted=Wanted("p"), for_s=60.0, say=say)
            async with leasing.board_of(("h", "d"), lambda: False) as lease:
                assert lease is not None
            return [one.event async for one in log.read(["bench.device.>"]) if isinstance(one.event, DeviceReleased)]

        assert await has_it(cut_off) == []
        assert [one.lease_id for one in await has_it(successor)] == ["l"]
