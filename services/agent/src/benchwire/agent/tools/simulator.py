"""Runs a built image in its profile's simulator, and tells what the board printed from what the simulator said.

The simulator boots the image that will be flashed, with its UART on standard output; its own words go to standard error and are never
taken for board output. It runs in the sandbox, and ends when the caller has seen enough, at its deadline, at its cap, or on a cancel.
"""

import asyncio
import math
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import msgspec

from benchwire.agent.sandbox import Limits, Sandbox, keep, python_paths, text
from benchwire.agent.tools.compiler import Build
from benchwire.boards import profile as profiles
from benchwire.boards.profile import Module, Profile, Qemu

SETTLE_S = 0.2  # after all that is required was seen: time for something forbidden, or a crash, to follow
LOOK_EVERY_S = 0.02
STDERR_BYTES = 1 << 20
STDERR_TAIL_CHARS = 4096

# QEMU reserves its translation cache (up to 1 GiB) and the machine's memory as address space; unicorn does the same.
ADDRESS_BYTES = 4 << 30
SIGNALLED = 128  # a shell's, and bubblewrap's, exit code for a process that died of signal n is 128 + n


class Outcome(StrEnum):
    """How a simulation ended. Only ``passed`` and ``timeout`` leave output that may be judged."""

    PASSED = "passed"  # the caller saw all it wanted
    TIMEOUT = "timeout"  # it still ran at its deadline, or had come to rest before
    CRASHED = "crashed"  # the simulated processor died
    REFUSED = "refused"  # the firmware never started
    FLOODED = "flooded"  # it printed more than its cap before the caller saw all it wanted


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run. ``output`` is the decoded UART and nothing else; ``simulator_error`` the tail of what the simulator said.

    ``exit_code`` is None when it was stopped from outside.
    """

    outcome: Outcome
    output: str
    simulator_error: str
    exit_code: int | None
    duration_s: float

    @property
    def failure(self) -> str | None:
        """Why the output proves nothing, whatever it says; None when it may be judged."""
        match self.outcome:
            case Outcome.CRASHED:
                return (
                    f"the firmware crashed: {self.simulator_error or f'the simulator ended with code {self.exit_code}'}"
                )
            case Outcome.REFUSED:
                return (
                    f"the simulator refused to start: {self.simulator_error or f'it ended with code {self.exit_code}'}"
                )
            case Outcome.FLOODED:
                return f"the firmware printed {len(self.output)} characters without showing what is asserted"
            case Outcome.PASSED | Outcome.TIMEOUT:
                return None if self.output.strip() else "the firmware printed nothing"


async def simulate(
    profile: Profile,
    build: Build,
    workdir: Path,
    sandbox: Sandbox,
    *,
    timeout_s: float,
    max_bytes: int,
    until: Callable[[str], bool],
) -> Simulation:
    """Boots ``build.image`` (a file in ``workdir``) until ``until(output so far)``, the deadline or the cap; a cancel ends it at once.

    ``until`` is called at most every 20 ms, and only when there is more to see. A board that nothing simulates is ``refused``, and so is
    a tool that this host lacks.
    """
    if build.image is None:
        raise ValueError("a build that is not ok has no image to simulate")
    started = time.monotonic()
    if profile.simulator is None:
        return _refused(str(profiles.NotSimulated(profile.name)))
    lacking = await asyncio.to_thread(profiles.missing, profile)
    if lacking:
        return _refused("; ".join(str(one) for one in lacking))
    argv, readable = await asyncio.to_thread(_command, profile.simulator, build.image.name, timeout_s, max_bytes)
    limits = Limits(cpu_s=math.ceil(2 * timeout_s) + 5, address_bytes=ADDRESS_BYTES, file_bytes=max(max_bytes, 1 << 20))
    printed = bytearray()
    async with (
        sandbox.spawn(argv, workdir=workdir, limits=limits, readable=readable) as process,
        asyncio.TaskGroup() as group,
    ):
        reading = group.create_task(_read(process, printed, max_bytes))
        saying = group.create_task(keep(process.stderr, STDERR_BYTES))
        outcome = await _observe(reading, printed, max_bytes, until, timeout_s)
        exit_code = None
        if outcome is None:
            exit_code = await process.wait()
            outcome = _ended(profile, exit_code)
        else:
            await sandbox.stop(process)
        said = await saying
    return Simulation(
        outcome=outcome,
        output=text(printed),
        simulator_error=text(said).strip()[-STDERR_TAIL_CHARS:],
        exit_code=exit_code,
        duration_s=time.monotonic() - started,
    )


def _refused(sentence: str) -> Simulation:
    return Simulation(outcome=Outcome.REFUSED, output="", simulator_error=sentence, exit_code=None, duration_s=0.0)


def _command(
    simulator: Qemu | Module, image: str, timeout_s: float, max_bytes: int
) -> tuple[list[str], tuple[Path, ...]]:
    """The simulator's command line, and what it must be able to read."""
    if isinstance(simulator, Qemu):
        return simulator.argv(image), ()
    # Its own deadline is the later one: it is there in case nobody is left to stop it.
    options = ["--timeout-s", f"{timeout_s + 1:g}", "--max-bytes", str(max_bytes)]
    return [sys.executable, "-I", "-B", "-m", simulator.module, image, *options], python_paths()


async def _read(process: Process, printed: bytearray, max_bytes: int) -> None:
    """Collects what the board prints, up to the cap; ends with the output, or at the cap."""
    assert process.stdout is not None, "spawn always makes pipes"
    while len(printed) < max_bytes and (data := await process.stdout.read(1 << 16)):
        printed += data[: max_bytes - len(printed)]


async def _observe(
    reading: asyncio.Task[None], printed: bytearray, max_bytes: int, until: Callable[[str], bool], timeout_s: float
) -> Outcome | None:
    """Looks at the growing output; None when the simulator ended by itself, and its exit code has to tell."""
    deadline = time.monotonic() + timeout_s
    seen_bytes = 0
    while (left_s := deadline - time.monotonic()) > 0:
        await asyncio.wait({reading}, timeout=min(LOOK_EVERY_S, left_s))
        if len(printed) > seen_bytes:
            seen_bytes = len(printed)
            if await asyncio.to_thread(until, text(printed)):  # a pattern may take its time
                await asyncio.wait({reading}, timeout=SETTLE_S)
                return None if reading.done() and len(printed) < max_bytes else Outcome.PASSED
        if reading.done():
            return Outcome.FLOODED if len(printed) >= max_bytes else None
    return Outcome.TIMEOUT


def _ended(profile: Profile, exit_code: int) -> Outcome:
    """What it means that the simulator ended by itself. QEMU aborts (SIGABRT) when the processor locks up."""
    if exit_code < 0 or exit_code >= SIGNALLED:
        return Outcome.CRASHED
    if exit_code == 0:
        # A module ends in order when its processor came to rest. QEMU goes on until it is stopped.
        return Outcome.CRASHED if isinstance(profile.simulator, Qemu) else Outcome.TIMEOUT
    return Outcome.REFUSED
