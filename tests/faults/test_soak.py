"""Many jobs on eight boards at once, with cables pulled, bits flipped, pauses, cancels and an agent that is killed again and again.

At the end every job is in exactly one terminal state, every board is free, and each board holds the old bytes, the new ones, or is marked. The plan
follows from a seed, which is printed: BENCHWIRE_SEED=7 plays one again, BENCHWIRE_SOAK_JOBS=500 makes it long.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.faults.harness import invariants
from tests.faults.harness.lab import place_of

from benchwire.boards import profile as profiles
from benchwire.boards.virtual import hand
from benchwire.boards.virtual.board import BoardError
from benchwire.deploy.settings import Settings
from benchwire.deploy.supervisor import Lab, running
from benchwire.events import child
from benchwire.events.bus import connected
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

HOST = "lab-1"
BOARDS = {
    f"{profile}-{number}": profile
    for profile, count in (("esp32c3", 2), ("esp32", 1), ("esp32s3", 1), ("stm32f405", 1), ("stm32f103", 1), ("stm32l475", 1), ("nrf51822", 1))
    for number in range(1, count + 1)
}  # fmt: skip
OVER = ("completed", "failed", "cancelled")
WAVE_JOBS = 24
PATIENCE_S = 240.0
SIZES = (700, 4096, 9000, 16384)
SLOWLY = 40_000  # bytes a second: long enough for a hand to reach in


class Job(msgspec.Struct):
    """What was asked for."""

    board: str
    image: bytes
    job_id: str


class Bench:
    """The boards: processes of the test's own, plugged in again whenever a cable was pulled."""

    def __init__(self, run_dir: Path, flash_dir: Path) -> None:
        self._run_dir = run_dir
        self._flash_dir = flash_dir
        self.pulled: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def plugged(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            keeping = [tasks.create_task(self._keep(name)) for name in BOARDS]
            try:
                yield
            finally:
                for task in keeping:
                    task.cancel()

    async def _keep(self, name: str) -> None:
        argv = ["-m", "benchwire.boards.virtual", BOARDS[name], "--name", name, "--run-dir", str(self._run_dir)]
        argv.append("--die-with-parent")
        while True:
            board = await asyncio.create_subprocess_exec(
                *child.dying_with_owner([sys.executable, *argv, "--flash-file", str(self.flash_file(name))]),
                stdout=asyncio.subprocess.DEVNULL,
            )
            try:
                await board.wait()
            finally:
                if board.returncode is None:
                    board.terminate()
                    await board.wait()
            self.pulled[name] += 1

    def flash_file(self, name: str) -> Path:
        return self._flash_dir / f"{name}.flash"

    async def do(self, name: str, **command: Any) -> None:
        """A hand on the board; one that is unplugged at this moment feels nothing."""
        with contextlib.suppress(BoardError):
            await asyncio.to_thread(hand.told, str(self._run_dir / f"{name}.control"), **command)


class Soak:
    """``seed`` decides what happens to whom."""

    def __init__(self, lab: Lab, bench: Bench, http: httpx.AsyncClient, seed: int) -> None:
        self._lab = lab
        self._bench = bench
        self._http = http
        self._chance = random.Random(seed)
        self.jobs: list[Job] = []
        self.done: Counter[str] = Counter()

    async def wave(self, count: int) -> None:
        """So many jobs, what happens to them, and their ends."""
        async with asyncio.TaskGroup() as tasks:
            jobs = [await self._start() for _ in range(count)]
            for job in jobs:
                tasks.create_task(self._trouble(job, self._chance.random(), self._chance.random()))
            if self._chance.random() < 0.6:  # an agent that lives on must not have kept anything, either
                tasks.create_task(self._kill_agent(self._chance.uniform(1.0, 6.0)))
            for job in jobs:
                await self._until_over(job)
        for name in BOARDS:
            await self._bench.do(name, do="fault", kind="slow", bytes_per_s=0)

    async def all_flashed(self) -> None:
        """Every board can be flashed, whatever happened to it before. A power cycle ends the faults that still wait for their moment."""
        for name in BOARDS:
            for on in (False, True):
                await self._bench.do(name, do="power", on=on)
        for job in [await self._start(name, plainly=True) for name in BOARDS]:
            await self._until_over(job)
            answer = (await self._http.get(f"/api/flash/jobs/{job.job_id}")).json()
            assert answer["status"] == "completed", answer

    async def _start(self, name: str | None = None, *, plainly: bool = False) -> Job:
        name = name or self._chance.choice(list(BOARDS))
        image = self._chance.randbytes(self._chance.choice(SIZES))
        asked = {
            "device_id": name, "address": str(place_of(profiles.load(BOARDS[name]))[0]), "format": "bin",
            "retries": str(self._chance.choice((0, 0, 1, 2))), "priority": str(self._chance.choice((0, 0, 5))),
            **({"max_bytes_per_s": str(SLOWLY)} if self._chance.random() < 0.3 else {}),
        }  # fmt: skip
        asked |= {"retries": "0"} if plainly else {}
        told: dict[str, Any] = {}

        async def accepted() -> bool:
            answer = await self._http.post("/api/flash/start", files={"file": ("image.bin", image)}, data=asked)
            told.update(answer.json())
            return answer.status_code == 200  # else its board is unplugged at this moment

        await eventually(accepted, within_s=60, what=f"a job for {name} is taken")
        self.jobs.append(Job(name, image, told["jobId"]))
        return self.jobs[-1]

    async def _trouble(self, job: Job, which: float, when: float) -> None:
        await asyncio.sleep(when * 5.0)
        if which < 0.15:
            await self._steer(job, "pause")
            await asyncio.sleep(when)
            await self._steer(job, "resume")
        elif which < 0.3:
            await self._steer(job, "cancel")
        elif which < 0.4:
            self.done["throttle"] += 1
            await self._http.post(f"/api/flash/jobs/{job.job_id}/throttle", json={"max_bytes_per_s": SLOWLY})
        elif which < 0.6:
            await self._fault(job, int(when * 1000))

    async def _steer(self, job: Job, wish: str) -> None:
        self.done[wish] += 1
        answer = await self._http.post(f"/api/flash/jobs/{job.job_id}/{wish}")
        assert answer.status_code in (200, 409), answer.text  # 409: it is over

    async def _fault(self, job: Job, number: int) -> None:
        address, _ = place_of(profiles.load(BOARDS[job.board]))
        faults: list[dict[str, Any]] = [
            {"kind": "drop", "after_bytes": number},
            {"kind": "unplug"},
            {"kind": "flip_bit", "address": address + number % len(job.image)},
            {"kind": "slow", "bytes_per_s": SLOWLY},
        ]
        fault = faults[number % len(faults)]
        self.done[fault["kind"]] += 1
        await self._bench.do(job.board, do="fault", **fault)

    async def _kill_agent(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        killed = self._lab.pids["flash-agent"]
        self.done["kill -9"] += 1
        os.kill(killed, signal.SIGKILL)

        async def back() -> bool:
            return self._lab.states["flash-agent"] == "healthy" and self._lab.pids["flash-agent"] != killed

        await eventually(back, within_s=60, what="the flash agent is back")

    async def _until_over(self, job: Job) -> None:
        async def over() -> bool:
            answer = (await self._http.get(f"/api/flash/jobs/{job.job_id}")).json()
            return answer.get("status") in OVER

        await eventually(over, within_s=PATIENCE_S, what=f"{job.job_id} on {job.board} is over")

    async def devices(self) -> dict[str, dict[str, Any]]:
        answer = (await self._http.get("/api/devices")).json()
        return {one["device_id"]: one for one in answer["devices"]}


async def soaked(directory: Path, jobs: int, seed: int) -> str:
    """How it went, in a line."""
    settings = Settings(data=directory, host=HOST, observability_port=0, documents_port=0, nats_port=0)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "BENCHWIRE_"))}
    environment = inherited | {"BENCHWIRE_ACK_WAIT_S": "3"}  # how long a queue waits for who was killed
    async with running(settings, environment=environment) as lab:
        bench = Bench(lab.site.run_dir, directory)
        async with (
            bench.plugged(),
            httpx.AsyncClient(base_url=lab.site.observability_url, timeout=60) as http,
            connected(NatsSettings(nats_url=lab.site.nats_url), name="witness") as bus,
        ):
            soak = Soak(lab, bench, http, seed)
            await eventually(lambda: _all_there(soak), within_s=60, what="all boards are there")
            for begun in range(0, jobs, WAVE_JOBS):
                await soak.wave(min(WAVE_JOBS, jobs - begun))
            await eventually(lambda: _all_free(soak), within_s=60, what="every board is there and free")
            await soak.all_flashed()
            devices = await soak.devices()
            facts = await invariants.story(bus)
            images = {job.job_id: job.image for job in soak.jobs}
            flashes = {
                name: (bench.flash_file(name), place_of(profiles.load(profile))[1]) for name, profile in BOARDS.items()
            }
            found = [
                invariants.acknowledged_once(facts, [("flash_requested", job.job_id) for job in soak.jobs]),
                await invariants.ended_once_or_owned(bus, facts),
                invariants.boards_as_their_jobs_say(facts, images, devices, flashes),
            ]
            invariants.check(found)
    return f"{jobs} jobs: {found[-1].figures}; done to them: {dict(soak.done)}; cables pulled {bench.pulled.total()}"


async def _all_there(soak: Soak) -> bool:
    return set(await soak.devices()) == set(BOARDS)


async def _all_free(soak: Soak) -> bool:
    devices = await soak.devices()
    return set(devices) == set(BOARDS) and all(one["state"] == "available" for one in devices.values())


@pytest.mark.timeout(600)
async def test_every_job_ends_once_and_every_board_is_known(lab_dir: Path) -> None:
    await soaked(lab_dir, jobs=WAVE_JOBS, seed=int(os.environ.get("BENCHWIRE_SEED", "1")))


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_so_it_is_after_hundreds_of_jobs(lab_dir: Path) -> None:
    seed = int(os.environ.get("BENCHWIRE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
    sys.stdout.write(f"BENCHWIRE_SEED={seed}\n")
    told = await soaked(lab_dir, jobs=int(os.environ.get("BENCHWIRE_SOAK_JOBS", "500")), seed=seed)
    sys.stdout.write(f"{told}\n")
