"""Jobs that wait, are overtaken, tried again, limited and refused: the agent as a process, real tools, virtual boards as processes.

What is flashed is data beside the program, so that no compiler is needed; whether a board boots is looked at elsewhere.
"""

import asyncio
import contextlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from benchwire.boards.virtual import hand
from benchwire.events import child, codec, nats_server, queue
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus, Msg
from benchwire.events.catalog import filter_of
from benchwire.events.device import DeviceAttached, DeviceLeased
from benchwire.events.event import Event
from benchwire.events.flash import (
    FlashCancelled,
    FlashCancelRequested,
    FlashCompleted,
    FlashFailed,
    FlashPauseRequested,
    FlashRequested,
    FlashRetried,
    FlashStarted,
    FlashThrottled,
    FlashThrottleRequested,
)
from benchwire.events.lease import LeaseRequested
from benchwire.events.live import FlashProgress
from benchwire.events.log import Log
from benchwire.events.presence import Presence
from benchwire.events.serial import CaptureRequested
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.processes import below
from benchwire.flash_agent.worker import MAX_HELD

pytestmark = pytest.mark.skipif(shutil.which("setpriv") is None, reason="not installed: setpriv")

HOST, ESP = "lab-1", "esp32c3"
SLOWLY = 15_000  # bytes a second
LARGE = random.Random(7).randbytes(96 * 1024)
SMALL = LARGE[:4096]
DATA_AT = 0x10000  # where no program is looked for

Process = asyncio.subprocess.Process


def now() -> datetime:
    return datetime.now(UTC)


class Lab:
    """One host: its boards, its flash agent, what was said."""

    def __init__(self, bus: Bus, nats_url: str, directory: Path, stack: contextlib.AsyncExitStack) -> None:
        self.bus = bus
        self.log = Log(bus)
        self.progress: list[FlashProgress] = []
        self._nats_url = nats_url
        self._directory = directory
        self._stack = stack

    async def listen(self) -> None:
        async def take(message: Msg) -> None:
            sample = codec.decode(message.data)
            assert isinstance(sample, FlashProgress)
            self.progress.append(sample)

        await self.bus.nc.subscribe("live.flash.>", cb=take)

    async def plug(self, name: str) -> Process:
        argv = [sys.executable, "-m", "benchwire.boards.virtual", ESP, "--name", name]
        argv += ["--run-dir", str(self._directory), "--die-with-parent"]
        return await self._stack.enter_async_context(child.spawn(argv, stdout=child.DEVNULL))

    async def hand(self, board: str, **command: Any) -> None:
        """What a hand on the bench does."""
        await asyncio.to_thread(hand.told, str(self._directory / f"{board}.control"), **command)

    async def line_speed(self, board: str, bytes_per_s: int) -> None:
        await self.hand(board, do="fault", kind="slow", bytes_per_s=bytes_per_s)

    @contextlib.asynccontextmanager
    async def agent(self, **settings: str) -> AsyncGenerator[Process, None]:
        told = {
            "HOST": HOST,
            "DATA": str(self._directory / "data"),
            "VIRTUAL_DIR": str(self._directory),
            "ACK_WAIT_S": "3",
        }
        told |= settings
        env = os.environ | {"NATS_URL": self._nats_url} | {f"BENCHWIRE_{name}": value for name, value in told.items()}
        async with child.spawn([sys.executable, "-m", "benchwire.flash_agent"], env=env, grace_s=3.0) as process:
            await eventually(lambda: Presence(self.bus).is_there("flash-agent", HOST), within_s=30)
            yield process

    @contextlib.asynccontextmanager
    async def board(self, **settings: str) -> AsyncGenerator[Process, None]:
        """The agent, and ``b`` plugged in, on a slow line."""
        await self.plug("b")
        async with self.agent(**settings) as agent:
            await self.fact(DeviceAttached, device="b")
            await self.line_speed("b", SLOWLY)
            yield agent

    async def facts(self, *kinds: type[Event], **fields: str) -> list[Any]:
        return [
            one.event
            async for one in self.log.read(["bench.>"])
            if isinstance(one.event, kinds) and all(getattr(one.event, name) == value for name, value in fields.items())
        ]

    async def fact(self, *kinds: type[Event], **fields: str) -> Any:
        found: list[Any] = await eventually(
            lambda: self.facts(*kinds, **fields), within_s=40, what=f"{[one.__name__ for one in kinds]} {fields}"
        )
        return found[-1]

    async def request(self, job_id: str, data: bytes = SMALL, *, device: str = "b", **fields: Any) -> None:
        image = await Blobs(self.bus).put(data, name="data.bin")
        fields = {"address": DATA_AT, "profile": ESP, **fields}
        await self.log.append(
            FlashRequested(timestamp=now(), host=HOST, job_id=job_id, device=device, image=image, **fields)
        )

    async def cancel(self, job_id: str) -> None:
        await self.log.append(FlashCancelRequested(timestamp=now(), host=HOST, job_id=job_id, reason="enough"))

    async def at(self, job_id: str, stage: str) -> None:
        """Returns when the job is in that stage, and has moved where that can be seen."""

        def there() -> bool:
            return any(
                one.job_id == job_id and one.stage == stage and (one.done_bytes or stage != "writing")
                for one in self.progress
            )

        await eventually(there, within_s=30, what=f"{job_id} {stage}")

    async def lease(self, lease_id: str, holder: str = "ann", for_s: float = 100.0) -> DeviceLeased:
        await self.log.append(
            LeaseRequested(
                timestamp=now(), lease_id=lease_id, holder=holder, for_s=for_s, wait_until=now() + timedelta(seconds=60)
            )
        )
        lease: DeviceLeased = await self.fact(DeviceLeased, lease_id=lease_id)
        return lease


@pytest.fixture
async def lab(nats: nats_server.Server, bus: Bus) -> AsyncIterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="bw-") as directory:  # short: unix sockets live there
        async with contextlib.AsyncExitStack() as stack:
            lab = Lab(bus, nats.url, Path(directory), stack)
            await lab.listen()
            yield lab


def kill_tool_of(agent: Process) -> None:
    tool = below(agent.pid, "_worker")
    assert tool is not None, "no flash tool runs"
    tool.kill()


async def test_a_job_on_a_leased_board_needs_its_lease(lab: Lab) -> None:
    async with lab.board():
        await lab.line_speed("b", 0)
        lease = await lab.lease("l1", "t-1/n-1")
        await lab.request("job_none")
        await lab.request("job_other", lease_id="l2")
        await lab.request("job_named", lease_id="l1")
        await lab.request("job_of_before", task_id="t-1", node_id="n-1")
        for job_id in ("job_none", "job_other"):
            refused = await lab.fact(FlashFailed, job_id=job_id)
            assert (refused.code, refused.flash_state) == ("device_leased", "untouched")
            assert f"b is leased to t-1/n-1 until {lease.expires_at:%Y-%m-%d %H:%M:%S} UTC" in refused.error
        for job_id in ("job_named", "job_of_before"):
            await lab.fact(FlashCompleted, job_id=job_id)


async def test_a_lease_is_judged_when_the_job_gets_its_turn_and_waits_until_the_board_has_no_job(lab: Lab) -> None:
    async with lab.board():
        await lab.request("job_1", LARGE)
        await lab.at("job_1", "writing")
        await lab.request("job_2")
        until = now() + timedelta(seconds=60)
        await lab.log.append(
            LeaseRequested(timestamp=now(), lease_id="l1", holder="ann", for_s=100.0, wait_until=until, device="b")
        )
        await lab.line_speed("b", 0)
        lease = await lab.fact(DeviceLeased, lease_id="l1")
        done = await lab.fact(FlashCompleted, job_id="job_2")
        assert lease.timestamp >= done.timestamp


async def test_a_job_of_higher_priority_overtakes_what_waits_and_interrupts_nothing(lab: Lab) -> None:
    async with lab.board():
        await lab.request("job_1", LARGE)
        await lab.at("job_1", "writing")
        for job_id, priority in (("low", -1), ("usual", 0), ("first", 5), ("usual_too", 0), ("second", 5)):
            await lab.request(job_id, priority=priority)
        await lab.line_speed("b", 0)
        await lab.fact(FlashCompleted, job_id="low")
    done = [one.job_id for one in await lab.facts(FlashCompleted)]
    assert done == ["job_1", "first", "second", "usual", "usual_too", "low"]


async def test_a_tool_that_died_is_followed_by_another_attempt_that_succeeds(lab: Lab) -> None:
    async with lab.board() as agent:
        await lab.request("job_1", LARGE, retries=2)
        await lab.at("job_1", "writing")
        kill_tool_of(agent)
        broke = await lab.fact(FlashRetried, job_id="job_1")
        assert (broke.attempt, broke.code, broke.flash_state, broke.wait_s) == (1, "tool_died", "partial", 1.0)
        await lab.line_speed("b", 0)
        await lab.fact(FlashCompleted, job_id="job_1")
    assert [one.attempt for one in await lab.facts(FlashStarted)] == [1, 2]
    assert await lab.facts(FlashFailed) == []


async def test_a_cable_that_is_dropped_and_plugged_in_again_costs_an_attempt_and_not_the_job(lab: Lab) -> None:
    async with lab.board():
        await lab.line_speed("b", 0)
        await lab.hand("b", do="fault", kind="drop", after_bytes=40_000)
        await lab.request("job_1", LARGE, retries=5)
        broke = await lab.fact(FlashRetried, job_id="job_1")
        assert broke.code == "device_gone"
        await lab.plug("b")
        await lab.fact(FlashCompleted, job_id="job_1")


async def test_a_job_that_takes_too_long_is_stopped_and_says_so(lab: Lab) -> None:
    async with lab.board():
        await lab.request("job_1", LARGE, timeout_s=6.0, retries=3)  # less than it takes to write, more than to connect
        failed = await lab.fact(FlashFailed, job_id="job_1")
        assert (failed.code, failed.flash_state) == ("timed_out", "partial")
        assert "within 6 s" in failed.error
        await lab.line_speed("b", 0)
        await lab.request("job_2")
        await lab.fact(FlashCompleted, job_id="job_2")


async def test_a_job_that_nobody_lets_go_on_is_cancelled_and_its_board_is_free(lab: Lab) -> None:
    async with lab.board(PAUSE_LIMIT_S="1"):
        await lab.request("job_1", LARGE)
        await lab.at("job_1", "writing")
        await lab.log.append(FlashPauseRequested(timestamp=now(), host=HOST, job_id="job_1"))
        cancelled = await lab.fact(FlashCancelled, job_id="job_1")
        assert (cancelled.flash_state, cancelled.reason) == ("partial", "it held for 1 s, and nobody let it go on")
        await lab.line_speed("b", 0)
        await lab.request("job_2")
        await lab.fact(FlashCompleted, job_id="job_2")


async def test_a_limit_is_kept_from_the_start_and_from_when_it_is_changed(lab: Lab) -> None:
    async with lab.board():
        await lab.line_speed("b", 0)
        await lab.request("job_1", LARGE, max_bytes_per_s=8_000)
        await lab.at("job_1", "writing")
        assert await lab.facts(FlashThrottled) == []
        for limit in (6_000, None):
            wanted = FlashThrottleRequested(timestamp=now(), host=HOST, job_id="job_1", max_bytes_per_s=limit)
            await lab.log.append(wanted)
            await eventually(lambda limit=limit: _throttled(lab, limit), within_s=20, what=f"a limit of {limit}")  # type: ignore[misc]
        await lab.fact(FlashCompleted, job_id="job_1")


async def _throttled(lab: Lab, limit: int | None) -> bool:
    return [one.max_bytes_per_s for one in await lab.facts(FlashThrottled)][-1:] == [limit]


@pytest.mark.parametrize(
    ("when", "flash_state"), [("connecting", "untouched"), ("writing", "partial"), ("between attempts", "partial")]
)
async def test_a_cancelled_job_says_what_the_flash_holds(lab: Lab, when: str, flash_state: str) -> None:
    async with lab.board() as agent:
        if when == "connecting":
            await lab.hand("b", do="fault", kind="mute")
        await lab.request("job_1", LARGE, retries=5)
        await lab.at("job_1", "connecting" if when == "connecting" else "writing")
        if when == "between attempts":
            kill_tool_of(agent)
            await lab.fact(FlashRetried, job_id="job_1")
        await lab.cancel("job_1")
        ended = await lab.fact(FlashCancelled, FlashCompleted, FlashFailed, job_id="job_1")
        assert isinstance(ended, FlashCancelled), ended
        assert (ended.flash_state, ended.reason) == (flash_state, "enough")


async def test_no_more_tools_run_at_the_same_time_than_the_host_may_have(lab: Lab) -> None:
    await lab.plug("c")
    async with lab.board(MAX_TOOLS="1"):
        await lab.line_speed("b", 0)
        for device in ("b", "c"):
            await lab.request(f"job_{device}", device=device)
        for device in ("b", "c"):
            await lab.fact(FlashCompleted, job_id=f"job_{device}")
    order = [type(one) for one in await lab.facts(FlashStarted, FlashCompleted)]
    assert order == [FlashStarted, FlashCompleted, FlashStarted, FlashCompleted]


@pytest.mark.parametrize("end", ["kill", "terminate"])
async def test_a_host_that_starts_again_takes_up_its_queue_and_its_leases(lab: Lab, end: str) -> None:
    async with lab.board() as agent:
        await lab.lease("l1")
        await lab.request("job_1", LARGE, lease_id="l1")
        await lab.at("job_1", "writing")
        for job_id, fields in (
            ("job_2", {"lease_id": "l1"}),
            ("job_3", {"lease_id": "l1", "priority": 1}),
            ("job_4", {}),
        ):
            await lab.request(job_id, **fields)
        getattr(agent, end)()
        await agent.wait()
    await lab.line_speed("b", 0)
    async with lab.agent():
        refused = await lab.fact(FlashFailed, job_id="job_4")
        assert refused.code == "device_leased"
    ends = await lab.facts(FlashCompleted, FlashFailed, FlashCancelled)
    order = [one.job_id for one in ends]
    assert order == ["job_1", "job_3", "job_2", "job_4"]
    assert len(await lab.facts(DeviceLeased)) == 1


async def test_a_job_waits_for_a_more_urgent_one_that_the_queue_gives_back_later(lab: Lab) -> None:
    """What a killed agent had comes again one by one, each when its own time to be acknowledged is over."""
    for job_id, priority in (("usual", 0), ("urgent", 1)):
        await lab.request(job_id, priority=priority)
    requests = filter_of(FlashRequested, host=HOST)
    asked = queue.deliveries(lab.bus, f"flash-{HOST}", requests, ack_wait_s=3.0, max_held=MAX_HELD)
    async with aclosing(asked) as deliveries:
        usual, _ = [await anext(deliveries) for _ in range(2)]
    await usual.nak()
    await lab.plug("b")
    async with lab.agent():
        await lab.fact(FlashCompleted, job_id="usual")
    assert [one.job_id for one in await lab.facts(FlashCompleted)] == ["urgent", "usual"]


async def test_what_nobody_could_answer_in_the_log_stops_nothing(lab: Lab) -> None:
    async with lab.board() as agent:
        await lab.line_speed("b", 0)
        image = await Blobs(lab.bus).put(SMALL, name="data.bin")
        job = FlashRequested(
            timestamp=now(), host=HOST, job_id="no.token", device="b", image=image, address=DATA_AT, priority=2**80
        )
        capture = CaptureRequested(
            timestamp=now(), host=HOST, capture_id="no.token", device="b", for_s=1e300, max_bytes=2**70
        )
        lease = LeaseRequested(timestamp=now(), lease_id="no.token", holder="x", for_s=1e300, wait_until=now())
        for subject, event in (
            (f"bench.flash.{HOST}.x.requested", job),
            (f"bench.flash.{HOST}.y.requested", replace(job, job_id="y", device="no token")),
            (f"bench.capture.{HOST}.x.requested", capture),
            ("bench.lease.x.requested", lease),
        ):
            await lab.bus.js.publish(subject, codec.encode(event))
        await lab.log.append(replace(job, job_id="fast", retries=2**62, max_bytes_per_s=10**400))
        await lab.fact(FlashCompleted, job_id="fast")
        assert await lab.lease("l")
        assert agent.returncode is None
