"""Firmware tasks, with a real runner, the real compiler and QEMU, and an endpoint that answers from a script."""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchwire.agent import cores
from benchwire.agent.takeovers import MOST, TOO_MANY
from benchwire.events.blobs import Blobs
from benchwire.events.bus import LIVE, Bus
from benchwire.events.catalog import filter_of
from benchwire.events.clock import Clock
from benchwire.events.device import DeviceAttached, DeviceLeased, DeviceReleased
from benchwire.events.event import Artifact, Event
from benchwire.events.flash import FlashCancelRequested, FlashCompleted, FlashFailed, FlashRequested
from benchwire.events.follow import follow, newest
from benchwire.events.lease import LeaseRequested, LeaseWithdrawn
from benchwire.events.live import SerialLine, TaskLog
from benchwire.events.log import Log, Recorded, recorded
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.events.task import (
    Assertion,
    NodeAssigned,
    NodeCompiled,
    NodeDeployed,
    NodeDeploying,
    NodeFailed,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSimulated,
    NodeSpec,
    NodeStarted,
    NodeSucceeded,
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskGuided,
    TaskPlanned,
    TaskRequested,
)
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent.granting import Granting
from benchwire.flash_agent.projection import schema

StartModel = Callable[[str], AbstractAsyncContextManager[str]]
StartAgent = Callable[..., AbstractAsyncContextManager[asyncio.subprocess.Process]]
Happened = Callable[[str], Awaitable[list[Event]]]

OVER = (TaskFinished, TaskFailed, TaskCancelled)
EVENTS = "bench.task.t-1.>"

GOOD = '#include "board.h"\nint main(void) { board_init(); uart_puts("TEST PASS\\r\\n"); for (;;) { delay_ms(50); } }\n'
SILENT = '#include "board.h"\nint main(void) { board_init(); for (;;) { delay_ms(50); } }\n'
WRONG = GOOD.replace("TEST PASS", "TEST FAIL")
BROKEN = GOOD.replace("board_init();", "board_init()")
HUGE = GOOD.replace("int main", "static volatile char big[200000];\nint main").replace(
    "for (;;)", "big[1] = 1; for (;;)"
)


def turn(code: str, *, attempt: int | None = None, fence: str = "```", more: str = "") -> str:
    number = f"attempt = {attempt}\n" if attempt is not None else ""
    return f"[[turn]]\n{number}{more}text = '''\nHere it is.\n{fence}c\n{code}{fence}\n'''\n"


def requested(*nodes: NodeSpec, task_id: str = "t-1", **more: Any) -> TaskRequested:
    fields = {"kind": "firmware", "prompt": "", "nodes": list(nodes), **more}
    return TaskRequested(timestamp=datetime.now(UTC), task_id=task_id, **fields)


def node(name: str = "node-1", **more: Any) -> NodeSpec:
    fields = {"board": "stm32f405", "description": "a self-test", "deploy": False, **more}
    return NodeSpec(node_id=name, **fields)


async def end_of(happened: Happened, task_id: str = "t-1", *, within_s: float = 60) -> Event:
    async def over() -> Event | None:
        return next((one for one in await happened(f"bench.task.{task_id}.>") if isinstance(one, OVER)), None)

    event: Event = await eventually(over, within_s=within_s, what=f"{task_id} to be over")
    return event


async def until(happened: Happened, kind: type[Event], *, within_s: float = 60) -> Event:
    async def there() -> Event | None:
        return next((one for one in await happened(EVENTS) if isinstance(one, kind)), None)

    event: Event = await eventually(there, within_s=within_s, what=kind.__name__)
    return event


def simulators(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    """The QEMUs below a runner."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended while this looked
            if one.name().startswith("qemu-system"):
                found.append(one)
    return found


async def test_a_firmware_is_retried_with_what_failed_until_it_passes(
    bus: Bus, log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    script = (
        "[[turn]]\nattempt = 1\ntext = 'I would rather talk about it.'\n"
        + turn(BROKEN, attempt=2) + turn(HUGE, attempt=3) + turn(SILENT, attempt=4)
        + turn(WRONG, attempt=5) + turn(GOOD, attempt=6)
    )  # fmt: skip
    async with model(script) as url, agent(url=url):
        await log.append(
            requested(
                prompt="a self-test", board="stm32f405", nodes=[node()], max_iterations=6, simulation_timeout_s=2.5
            )
        )
        assert isinstance(await end_of(happened), TaskFinished)
        events = await happened(EVENTS)
        stored = next(one for one in events if isinstance(one, NodeImageStored))
        image = await Blobs(bus).get(stored.image.digest)
    assert len(image) == stored.image.size_bytes > 0
    retried = [one for one in events if isinstance(one, NodeRetried)]
    assert [one.stage for one in retried] == ["generate", "compile", "memory", "simulate", "assert"]
    assert "expected ';'" in retried[1].feedback
    assert "printed nothing" in retried[3].feedback
    assert "'TEST PASS' was not seen" in retried[4].feedback
    assert "TEST FAIL" in retried[4].feedback
    kinds = [type(one) for one in events]
    assert kinds[:5] == [TaskRequested, TaskClaimed, TaskPlanned, NodeStarted, NodeRetried]
    assert kinds[-6:] == [NodeGenerated, NodeCompiled, NodeSimulated, NodeImageStored, NodeSucceeded, TaskFinished]
    assert stored.iteration == 6


async def test_what_is_asked_again_holds_the_feedback_and_the_guidance(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    # The second turn only answers to the compiler's words and the person's; without them there is no code in any answer.
    script = turn(BROKEN, attempt=1, more="delay_s = 2\n") + turn(
        GOOD, attempt=2, more="contains = [\"expected ';'\", 'mind the semicolon', 'Board profile: stm32f405']\n"
    )
    async with model(script) as url, agent(url=url):
        await log.append(requested(node(), max_iterations=2))
        await until(happened, NodeStarted)
        await log.append(TaskGuided(timestamp=datetime.now(UTC), task_id="t-1", guidance="mind the semicolon"))
        assert isinstance(await end_of(happened), TaskFinished)


async def test_a_node_that_never_passes_fails_with_its_last_failure(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    async with model(turn(BROKEN)) as url, agent(url=url):
        await log.append(requested(node(), max_iterations=2))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "none of 2 iterations passed" in end.reason
    assert "expected ';'" in end.reason


async def said_of(bus: Bus, name: str) -> list[str]:
    """What whoever watches was told about a node beside the facts."""
    found = [recorded(one) for one in await newest(bus, filter_of(TaskLog, task_id="t-1"), 100, stream=LIVE)]
    samples = [one.event for one in found if isinstance(one, Recorded)]
    return [one.line for one in samples if isinstance(one, TaskLog) and one.node_id == name]


async def test_sources_of_a_person_are_tried_once_and_need_no_model(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent():
        await log.append(requested(node("good", sources={"main.c": GOOD}), node("bad", sources={"main.c": BROKEN})))
        end = await end_of(happened)
        await eventually(lambda: said_of(bus, "bad"), within_s=30, what="the samples to be kept")
        # Whoever reads them puts the node in front, and hears of its facts anyway.
        assert await said_of(bus, "bad") == ["iteration 1 of 1"]
    assert isinstance(end, TaskFailed)
    assert end.reason.startswith("bad: It does not compile")
    events = await happened(EVENTS)
    assert [one.node_id for one in events if isinstance(one, NodeSucceeded)] == ["good"]
    assert [one.model for one in events if isinstance(one, NodeGenerated)] == [None, None]
    assert not [one for one in events if isinstance(one, NodeRetried)]


async def test_without_a_model_a_task_with_only_a_prompt_fails_at_once(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent():
        await log.append(requested(prompt="blink", board="stm32f405"))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "ANTHROPIC_API_KEY" in end.reason


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"kind": "poetry"}, "kind 'poetry' are not made"),
        ({"prompt": ""}, "neither a prompt nor nodes"),
        ({"board": "toaster"}, "no board profile is called 'toaster'"),
        ({"board": "esp32s3"}, "no simulator runs firmware for esp32s3 honestly"),
    ],
)
async def test_a_task_that_cannot_be_planned_fails_with_the_reason(
    log: Log, agent: StartAgent, happened: Happened, fields: dict[str, str], sentence: str
) -> None:
    async with agent(url="http://127.0.0.1:9"):
        await log.append(requested(**{"prompt": "blink", **fields}))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert sentence in end.reason


async def test_many_tasks_at_once_take_turns_at_the_cores_and_none_loses_its_time(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    """Nothing may be said until a second is over, so that each simulation takes that long; the later ones wait for several others."""
    quiet = Assertion(name="quiet", pattern="PANIC", kind="absent", within_s=1.0)
    shown = Assertion(name="pass", pattern="TEST PASS")
    most = 0
    async with agent() as process:
        for number in range(6):
            one = node(sources={"main.c": GOOD}, assertions=[quiet, shown])
            await log.append(requested(one, task_id=f"t-{number}", simulation_timeout_s=20.0))

        async def over() -> list[Event]:
            nonlocal most
            most = max(most, len(simulators(process)))
            return [one for one in await happened("bench.task.*.>") if isinstance(one, OVER)]

        await eventually(lambda: _all_of(over, 6), within_s=60, what="all tasks to be over")
        ends = await over()
    assert [type(one) for one in ends] == [TaskFinished] * 6
    assert 1 <= most <= cores.available()


async def _all_of(look: Callable[[], Awaitable[list[Event]]], count: int) -> bool:
    return len(await look()) == count


async def test_a_cancel_in_the_middle_of_a_simulation_ends_it(log: Log, agent: StartAgent, happened: Happened) -> None:
    async with agent() as process:
        await log.append(requested(node(sources={"main.c": SILENT}), simulation_timeout_s=600.0))
        await eventually(lambda: simulators(process), within_s=30, what="QEMU to run")
        (qemu,) = simulators(process)
        await log.append(TaskCancelRequested(timestamp=datetime.now(UTC), task_id="t-1", reason="enough"))
        end = await end_of(happened)
        await eventually(lambda: not qemu.is_running(), what="the end of what was killed")
    assert isinstance(end, TaskCancelled)
    assert end.reason == "enough"


async def test_a_cancel_in_the_middle_of_a_model_call_ends_it(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    async with model(turn(GOOD, more="pause_s = 600\n")) as url, agent(url=url):
        await log.append(requested(node()))
        await until(happened, NodeStarted)
        await log.append(TaskCancelRequested(timestamp=datetime.now(UTC), task_id="t-1"))
        assert isinstance(await end_of(happened), TaskCancelled)


async def test_without_a_board_a_node_fails_in_bounded_time(log: Log, agent: StartAgent, happened: Happened) -> None:
    async with agent(board_wait_s="0.5"):
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "no stm32f405 board is attached" in end.reason
    assert [type(one) for one in (await happened(EVENTS))[-3:]] == [NodeImageStored, NodeFailed, TaskFailed]


async def test_a_runner_that_is_killed_in_the_middle_leaves_nothing_undone(
    log: Log, model: StartModel, agent: StartAgent, happened: Happened
) -> None:
    async with model(turn(GOOD, more="pause_s = 600\n")) as url, agent(url=url, ack_wait_s="3") as process:
        await log.append(requested(node("first", sources={"main.c": GOOD}), node("second", description="the second")))
        await until(happened, NodeSucceeded)
        process.kill()
        await process.wait()
    async with model(turn(GOOD)) as url, agent(url=url, ack_wait_s="3"):
        assert isinstance(await end_of(happened), TaskFinished)
    events = await happened(EVENTS)
    assert [one.attempt for one in events if isinstance(one, TaskClaimed)] == [1, 2]
    assert sorted((one.node_id, one.attempt) for one in events if isinstance(one, NodeStarted)) == [
        ("first", 1),
        ("second", 1),
        ("second", 2),
    ]
    assert sorted(one.node_id for one in events if isinstance(one, NodeSucceeded)) == ["first", "second"]


async def test_a_task_that_took_one_runner_after_the_other_along_ends_with_that_reason(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    await log.append(requested(node(sources={"main.c": GOOD})))
    for attempt in range(1, MOST + 1):
        await log.append(TaskClaimed(timestamp=datetime.now(UTC), task_id="t-1", runner="lost", attempt=attempt))
    async with agent():
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert end.reason == TOO_MANY
    assert len([one for one in await happened(EVENTS) if isinstance(one, TaskClaimed)]) == MOST


class Host:
    """The host of one board, played by the test: it writes what a flash agent writes of jobs, and the board prints what it is told.

    Its boards are leased by the flash agent's own rules.
    """

    def __init__(self, bus: Bus, prints: str | None) -> None:
        self.bus = bus
        self.log = Log(bus)
        self.prints = prints
        self.jobs: list[FlashRequested] = []

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        device = DeviceAttached(timestamp=datetime.now(UTC), host="lab-1", device="board-1", profile="stm32f405")
        present = Present(service="flash-agent", name="lab-1", version="0", pid=1)
        await self.log.append(device)
        async with Presence(self.bus).announced(present), asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(self._flash()), tasks.create_task(self._lease())]
            try:
                yield self
            finally:
                for one in playing:
                    one.cancel()

    async def _lease(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            projection = Projection(self.bus, Path(directory) / "projection.sqlite", schema("lab-1"))
            async with projection.running():
                granting = Granting(self.log, projection, "lab-1", Clock(self.bus))
                projection.on_commit(granting.heard)
                await granting.run()

    async def _flash(self) -> None:
        async for batch in follow(self.bus, [filter_of(FlashRequested, host="lab-1")]):
            for message in batch.messages:
                one = recorded(message)
                assert isinstance(one, Recorded)
                assert isinstance(one.event, FlashRequested)
                await self._done(one.event)

    async def _done(self, job: FlashRequested) -> None:
        self.jobs.append(job)
        ids = {"host": job.host, "job_id": job.job_id, "device": job.device}
        now = datetime.now(UTC)
        if self.prints == "flash fails":
            failed = FlashFailed(timestamp=now, code="x", error="no probe", flash_state="untouched", **ids)
            await self.log.append(failed)
            return
        if self.prints is None:
            return
        stale = SerialLine(
            timestamp=now, host=job.host, device=job.device, line="TEST PASS", number=1, job_id="job_before"
        )
        await self.log.sample(stale)
        fresh = SerialLine(
            timestamp=now, host=job.host, device=job.device, line=self.prints, number=2, job_id=job.job_id
        )
        await self.log.sample(fresh)
        await self.log.append(
            FlashCompleted(timestamp=now, total_bytes=job.image.size_bytes, duration_s=0.1, verified_by="crc", **ids)
        )


async def test_an_image_is_deployed_and_the_line_of_its_own_boot_proves_it(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent(), Host(bus, "all is well: TEST PASS").running() as host:
        expecting = node(
            sources={"main.c": GOOD}, deploy=True, assertions=[Assertion(name="pass", pattern="TEST PASS")]
        )
        await log.append(requested(expecting))
        assert isinstance(await end_of(happened), TaskFinished)
    (deploying,) = [one for one in await happened(EVENTS) if isinstance(one, NodeDeploying)]
    (deployed,) = [one for one in await happened(EVENTS) if isinstance(one, NodeDeployed)]
    (job,) = host.jobs
    assert deployed.line == "all is well: TEST PASS"
    assert deployed.job_id == deploying.job_id == job.job_id
    assert (job.profile, job.address, job.task_id, job.node_id) == ("stm32f405", 0x08000000, "t-1", "node-1")
    lease = [type(one) for one in await happened("bench.device.>")]
    assert lease == [DeviceAttached, DeviceLeased, DeviceReleased]


@pytest.mark.parametrize(
    "case",
    [("something else", "It printed: something else"), ("flash fails", "flashing board-1 on lab-1 failed: no probe")],
)
async def test_a_board_that_does_not_do_as_expected_fails_the_node(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened, case: tuple[str, str]
) -> None:
    prints, sentence = case
    async with agent(line_wait_s="3"), Host(bus, prints).running():
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True, expect="TEST PASS")))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert sentence in end.reason


async def test_two_nodes_share_the_only_board_one_after_the_other(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent(), Host(bus, "TEST PASS").running() as host:
        await log.append(requested(*[node(f"node-{one}", sources={"main.c": GOOD}, deploy=True) for one in range(2)]))
        assert isinstance(await end_of(happened), TaskFinished)
    assert len(host.jobs) == 2
    lease = [type(one) for one in await happened("bench.device.>")]
    assert lease == [DeviceAttached, DeviceLeased, DeviceReleased, DeviceLeased, DeviceReleased]


async def test_a_cancelled_task_takes_its_flash_job_along(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent(), Host(bus, None).running() as host:
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
        await eventually(lambda: host.jobs, within_s=30, what="a flash job")
        await log.append(TaskCancelRequested(timestamp=datetime.now(UTC), task_id="t-1"))
        assert isinstance(await end_of(happened), TaskCancelled)
    flash = [type(one) for one in await happened("bench.flash.>")]
    assert flash == [FlashRequested, FlashCancelRequested]


async def test_a_runner_that_comes_back_follows_the_flash_job_instead_of_asking_twice(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    host = Host(bus, None)
    async with host.running():
        async with agent(ack_wait_s="3") as process:
            await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
            await eventually(lambda: host.jobs, within_s=30, what="a flash job")
            process.kill()
            await process.wait()
        host.prints = "TEST PASS"
        await host._done(host.jobs[0])
        async with agent(ack_wait_s="3"):
            assert isinstance(await end_of(happened), TaskFinished)
    flash = [type(one) for one in await happened("bench.flash.>")]
    assert flash == [FlashRequested, FlashCompleted]


async def test_a_compiler_that_is_missing_is_said_before_the_model_is_asked(
    log: Log, agent: StartAgent, happened: Happened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with agent(url="http://127.0.0.1:9"):
        await log.append(requested(node()))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "arm-none-eabi-gcc is missing" in end.reason
    assert not [one for one in await happened(EVENTS) if isinstance(one, NodeGenerated)]


async def test_a_work_directory_that_cannot_be_written_fails_the_node_with_a_sentence(
    log: Log, agent: StartAgent, happened: Happened, tmp_path: Path
) -> None:
    async with agent():
        (tmp_path / "runner-1" / "agent" / "builds").write_text("in the way")
        await log.append(requested(node(sources={"main.c": GOOD})))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "could not work on it: [Errno" in end.reason
    assert [one.node_id for one in await happened(EVENTS) if isinstance(one, NodeFailed)] == ["node-1"]


async def test_a_task_whose_plan_is_too_large_for_the_log_ends_with_a_sentence(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    nodes = [node(f"n{number}", description="") for number in range(20)]
    async with agent(url="http://127.0.0.1:9"):
        await log.append(requested(*nodes, prompt="x" * 100_000))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "more than the log takes in one piece" in end.reason


async def test_a_task_that_is_cancelled_after_its_runner_died_takes_its_flash_job_along(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    now = datetime.now(UTC)
    await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
    await log.append(TaskClaimed(timestamp=now, task_id="t-1", runner="dead"))
    names: dict[str, Any] = {"host": "lab-1", "device": "board-1", "job_id": "job_1"}
    await log.append(NodeDeploying(timestamp=now, task_id="t-1", node_id="node-1", **names))
    image = Artifact(digest="0" * 64, size_bytes=1, name="image")
    await log.append(FlashRequested(timestamp=now, image=image, address=0, **names))
    await log.append(TaskCancelRequested(timestamp=now, task_id="t-1"))
    async with agent():
        assert isinstance(await end_of(happened), TaskCancelled)

        async def taken_along() -> bool:
            return any(isinstance(one, FlashCancelRequested) for one in await happened("bench.flash.>"))

        await eventually(taken_along)


async def test_a_board_that_a_killed_runner_had_leased_for_the_node_is_the_one_that_is_taken(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    """Another one was taken, and the first stayed leased for a task that was over."""
    on: dict[str, Any] = {"timestamp": datetime.now(UTC), "host": "lab-1"}
    expires_at = datetime.now(UTC) + timedelta(minutes=5)
    async with agent(), Host(bus, "TEST PASS").running() as host:
        for device in ("board-0", "board-2"):
            await log.append(DeviceAttached(device=device, profile="stm32f405", **on))
        lease = DeviceLeased(device="board-2", lease_id="before", holder="t-1/node-1", expires_at=expires_at, **on)
        await log.append(lease)
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
        assert isinstance(await end_of(happened), TaskFinished)
    assert [one.device for one in host.jobs] == ["board-2"]
    assert isinstance((await happened("bench.device.lab-1.board-2.*"))[-1], DeviceReleased)


@pytest.mark.parametrize(
    "case",
    [
        ({"host": "lab-1", "device": "board-2"}, "board-2"),
        ({"labels": {"camera": "yes"}}, "board-3"),
        ({"device": "board-4"}, "board-4"),
    ],
)
async def test_a_node_goes_onto_the_board_that_it_is_for(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened, case: tuple[dict[str, Any], str]
) -> None:
    assigned, board = case
    on: dict[str, Any] = {"timestamp": datetime.now(UTC), "host": "lab-1"}
    async with agent(), Host(bus, "TEST PASS").running() as host:
        await log.append(DeviceAttached(device="board-2", profile="stm32f405", **on))
        await log.append(
            DeviceAttached(device="board-3", profile="stm32f405", labels={"camera": "yes", "x": "y"}, **on)
        )
        await log.append(DeviceAttached(device="board-4", **on))  # nobody knows yet what it is
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True, **assigned)))
        assert isinstance(await end_of(happened), TaskFinished)
    assert [one.device for one in host.jobs] == [board]


async def test_a_node_goes_onto_the_board_that_a_person_named_last(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    on: dict[str, Any] = {"timestamp": datetime.now(UTC), "host": "lab-1"}
    of: dict[str, Any] = {"timestamp": datetime.now(UTC), "task_id": "t-1", "host": "lab-1"}
    for name in ("board-2", "board-3", "board-4"):
        await log.append(DeviceAttached(device=name, profile="stm32f405", **on))
    asked = node(sources={"main.c": GOOD}, deploy=True, host="lab-1", device="board-2", labels={"camera": "yes"})
    await log.append(requested(asked))
    await log.append(NodeAssigned(node_id="node-1", device="board-3", **of))
    await log.append(NodeAssigned(node_id="node-1", device="board-4", **of))
    await log.append(NodeAssigned(node_id="another", device="board-2", **of))
    async with agent(), Host(bus, "TEST PASS").running() as host:
        assert isinstance(await end_of(happened), TaskFinished)
    assert [one.device for one in host.jobs] == ["board-4"]


async def test_a_node_does_not_wait_for_a_board_that_is_of_another_kind(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent(), Host(bus, "TEST PASS").running():
        await log.append(DeviceAttached(timestamp=datetime.now(UTC), host="lab-1", device="board-2", profile="esp32c3"))
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True, device="board-2")))
        end = await end_of(happened)
    assert isinstance(end, TaskFailed)
    assert "board-2 on lab-1 is a esp32c3 board; this firmware is for stm32f405" in end.reason


def waiting(lease_id: str, holder: str) -> LeaseRequested:
    now = datetime.now(UTC)
    return LeaseRequested(
        timestamp=now,
        lease_id=lease_id,
        holder=holder,
        for_s=60.0,
        wait_until=now + timedelta(minutes=5),
        profile="stm32f405",
    )


async def test_a_runner_keeps_the_place_in_the_queue_of_the_one_before_it(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    for one in (waiting("before", "t-1/node-1"), waiting("other", "somebody")):
        await log.append(one)
    async with agent():
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
        await until(happened, NodeImageStored)
        async with Host(bus, "TEST PASS").running() as host:
            assert isinstance(await end_of(happened), TaskFinished)
    assert [one.lease_id for one in host.jobs] == ["before"]
    assert [one.lease_id for one in await happened("bench.lease.*.requested") if isinstance(one, LeaseRequested)] == [
        "before",
        "other",
    ]


async def test_a_task_that_is_cancelled_while_it_waits_for_a_board_leaves_the_queue(
    log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with agent(board_wait_s="60"):
        await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
        await eventually(lambda: happened("bench.lease.*.requested"), within_s=30, what="a request for a board")
        await log.append(TaskCancelRequested(timestamp=datetime.now(UTC), task_id="t-1"))
        assert isinstance(await end_of(happened), TaskCancelled)
        left = await eventually(lambda: happened("bench.lease.*.withdrawn"), within_s=30, what="its end")
    assert [type(one) for one in left] == [LeaseWithdrawn]


async def test_a_runner_that_is_stopped_keeps_its_board_for_the_one_that_goes_on(
    bus: Bus, log: Log, agent: StartAgent, happened: Happened
) -> None:
    async with Host(bus, None).running() as host:
        async with agent(ack_wait_s="3") as process:
            await log.append(requested(node(sources={"main.c": GOOD}, deploy=True)))
            await eventually(lambda: host.jobs, within_s=30, what="a flash job")
            process.terminate()
            await process.wait()
        host.prints = "TEST PASS"
        await host._done(host.jobs[0])
        async with agent(ack_wait_s="3"):
            assert isinstance(await end_of(happened), TaskFinished)
    kinds = [type(one) for one in await happened("bench.device.>")]
    assert kinds == [DeviceAttached, DeviceLeased, DeviceLeased, DeviceReleased]  # the second renews the first
