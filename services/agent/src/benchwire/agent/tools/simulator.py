"""Runs built images in their profiles' simulators, and tells what the boards printed from what the simulators said.

A simulator boots the image that will be flashed, with its UART on standard input and output; its own words go to standard error and are never
taken for board output. It runs in the sandbox. A run ends when the caller has seen enough of every board, at its deadline, when a board
crashed or printed more than its cap, or on a cancel.
"""

import asyncio
import math
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from enum import StrEnum
from pathlib import Path

import msgspec

from benchwire.agent.sandbox import Limits, Sandbox, python_paths
from benchwire.agent.tools.compiler import Build
from benchwire.agent.tools.powered import Powered
from benchwire.agent.tools.printed import Printed
from benchwire.boards import profile as profiles
from benchwire.boards.profile import Module, Profile, Qemu

SETTLE_S = 0.2  # after all that is required was seen, or a board crashed: time for what follows from it
LOOK_EVERY_S = 0.02
LOOK_AGAIN_S = 0.25  # at a board that prints nothing new: an assertion may have been waiting for its time to be over
LOOKING_SHARE = 4  # a look that takes long is followed by a pause so many times as long
LONGEST_PAUSE_S = 1.0
POWER_UP_S = 2.0  # until a board that says nothing has surely booted, and hears what others send
START_S = 10.0  # what a simulator that is a Python module may take until its own clock starts

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


_BREAKS = (Outcome.CRASHED, Outcome.REFUSED, Outcome.FLOODED)


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run. ``printed`` is the decoded UART and nothing else; ``simulator_error`` the tail of what the simulator said.

    ``exit_code`` is None when it was stopped from outside.
    """

    outcome: Outcome
    printed: Printed
    simulator_error: str
    exit_code: int | None
    duration_s: float

    @property
    def output(self) -> str:
        """What the board printed."""
        return self.printed.text

    @property
    def is_broken(self) -> bool:
        """Whether the firmware cannot run, or cannot stop printing."""
        return self.outcome in _BREAKS

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


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A board's place in a run: it boots ``image``, a file in ``workdir``, until ``until`` (what it printed so far).

    ``joined`` are the places of those whose UARTs receive what this one's sends.
    """

    profile: Profile
    image: Path
    workdir: Path
    until: Callable[[Printed], bool]
    joined: tuple[int, ...] = ()


async def simulate(
    profile: Profile,
    build: Build,
    workdir: Path,
    sandbox: Sandbox,
    *,
    timeout_s: float,
    max_bytes: int,
    until: Callable[[Printed], bool],
) -> Simulation:
    """Boots ``build.image`` alone: see ``together``."""
    if build.image is None:
        raise ValueError("a build that is not ok has no image to simulate")
    seat = Seat(profile=profile, image=build.image, workdir=workdir, until=until)
    (simulation,) = await together([seat], sandbox, timeout_s=timeout_s, max_bytes=max_bytes)
    return simulation


async def together(seats: Sequence[Seat], sandbox: Sandbox, *, timeout_s: float, max_bytes: int) -> list[Simulation]:
    """Boots all boards of ``seats`` and lets them talk, until enough was seen of each, or for ``timeout_s``; a cancel ends them at once.

    Each ``until`` is called at most every 20 ms, in a thread, when there is more to see, and now and then for the time that passes. A board that
    nothing simulates is ``refused``, and so is a tool that this host lacks; the others are then not started.
    """
    refusals = [sandbox.refusal or await asyncio.to_thread(_refusal, one) for one in seats]
    why = next(filter(None, refusals), None)
    if why is not None:
        return [_refused(one or f"what it is joined to cannot be simulated: {why}") for one in refusals]
    started = time.monotonic()
    async with AsyncExitStack() as stack:
        boards = []
        for place, seat in enumerate(seats):
            has_input = any(place in one.joined for one in seats)
            booted = _booted(seat, sandbox, timeout_s, max_bytes, has_input=has_input)
            boards.append(await stack.enter_async_context(booted))
        for seat, board in zip(seats, boards, strict=True):
            board.join([boards[place] for place in seat.joined])
        outcomes = await _Run(seats, boards, timeout_s).outcomes()
        for board in boards:
            await board.stop()
        return [
            Simulation(
                outcome=outcome, printed=board.hearing.printed(), simulator_error=await board.said(),
                exit_code=board.exit_code, duration_s=time.monotonic() - started,
            )
            for board, outcome in zip(boards, outcomes, strict=True)
        ]  # fmt: skip


def _refusal(seat: Seat) -> str | None:
    profile = seat.profile
    if profile.simulator is None:
        return str(profiles.NotSimulated(profile.name))
    lacking = "; ".join(str(one) for one in profiles.missing(profile))
    try:
        return lacking or profile.beyond_simulator(seat.image.read_bytes())
    except OSError as error:
        return f"there is no image {seat.image.name}: {error.strerror}"


def _refused(sentence: str) -> Simulation:
    return Simulation(
        outcome=Outcome.REFUSED, printed=Printed(""), simulator_error=sentence, exit_code=None, duration_s=0.0
    )


@asynccontextmanager
async def _booted(
    seat: Seat, sandbox: Sandbox, timeout_s: float, max_bytes: int, *, has_input: bool
) -> AsyncGenerator[Powered, None]:
    argv, readable = await asyncio.to_thread(_command, seat, timeout_s, max_bytes)
    cpu_s = math.ceil(2 * timeout_s) + 5
    limits = Limits(cpu_s=cpu_s, address_bytes=ADDRESS_BYTES, file_bytes=max(max_bytes, 1 << 20))
    async with Powered.on(
        argv, sandbox, workdir=seat.workdir, limits=limits, readable=readable, max_bytes=max_bytes, has_input=has_input,
        power_up_s=min(POWER_UP_S, timeout_s / 4),
    ) as board:  # fmt: skip
        yield board


def _command(seat: Seat, timeout_s: float, max_bytes: int) -> tuple[list[str], tuple[Path, ...]]:
    """The simulator's command line, and what it must be able to read."""
    simulator = seat.profile.simulator
    assert simulator is not None, "refused before"
    if isinstance(simulator, Module):
        options = ["--timeout-s", f"{timeout_s:g}", "--max-bytes", str(max_bytes)]
        argv = [sys.executable, "-I", "-B", "-m", simulator.module, seat.image.name, *simulator.arguments, *options]
        return argv, python_paths()
    return simulator.argv(seat.image.name), ()


class _Run:
    """Looks at boards that run, and says how each ended."""

    def __init__(self, seats: Sequence[Seat], boards: Sequence[Powered], timeout_s: float) -> None:
        self._seats = seats
        self._boards = boards
        self._timeout_s = timeout_s
        self._started = time.monotonic()
        self._up_at: float | None = None
        self._outcomes: dict[int, Outcome] = {}  # of those that ended by themselves, or at their cap
        self._satisfied: set[int] = set()
        self._looked: dict[int, tuple[float, int]] = {}  # when, and at how many bytes

    async def outcomes(self) -> list[Outcome]:
        """One for each board, in order. Those that still run are not stopped yet."""
        pause_s = LOOK_EVERY_S
        while (left_s := self._left_s()) > 0:
            if reading := self._reading():
                await asyncio.wait(reading, timeout=min(pause_s, left_s), return_when=asyncio.FIRST_COMPLETED)
            began = time.monotonic()
            await self._look()
            pause_s = min(max(LOOK_EVERY_S, LOOKING_SHARE * (time.monotonic() - began)), LONGEST_PAUSE_S)
            await self._note_ends()
            broken = any(one in _BREAKS for one in self._outcomes.values())
            if broken or len(self._satisfied | self._outcomes.keys()) == len(self._boards):
                if reading := self._reading():
                    await asyncio.wait(reading, timeout=SETTLE_S)
                await self._note_ends()
                break
        return [
            self._outcomes.get(place, Outcome.PASSED if place in self._satisfied else Outcome.TIMEOUT)
            for place in range(len(self._boards))
        ]

    def _left_s(self) -> float:
        """The time counts from when all boards run: QEMU does at once, a Python module has to be loaded."""
        now = time.monotonic()
        if self._up_at is None:
            loading = [
                one
                for seat, one in zip(self._seats, self._boards, strict=True)
                if isinstance(seat.profile.simulator, Module) and not one.is_up and not one.reading.done()
            ]
            if not loading or now > self._started + START_S:
                self._up_at = now
        return self._timeout_s - (0.0 if self._up_at is None else now - self._up_at)

    def _reading(self) -> list[asyncio.Task[None]]:
        return [one.reading for one in self._boards if not one.reading.done()]

    async def _look(self) -> None:
        """Asks of each board that has something new whether enough was seen."""
        for place, (seat, board) in enumerate(zip(self._seats, self._boards, strict=True)):
            now, heard_bytes = time.monotonic(), board.hearing.heard_bytes
            looked_at, looked_bytes = self._looked.get(place, (-math.inf, 0))
            is_due = heard_bytes > looked_bytes or (heard_bytes and now - looked_at > LOOK_AGAIN_S)
            if place not in self._satisfied and place not in self._outcomes and is_due:
                printed = board.hearing.printed(None if board.reading.done() else now)
                if await asyncio.to_thread(seat.until, printed):
                    self._satisfied.add(place)
                self._looked[place] = (now, heard_bytes)

    async def _note_ends(self) -> None:
        for place, (seat, board) in enumerate(zip(self._seats, self._boards, strict=True)):
            if not board.reading.done() or place in self._outcomes:
                continue
            if board.hearing.is_full:
                self._outcomes[place] = Outcome.PASSED if place in self._satisfied else Outcome.FLOODED
            else:
                self._outcomes[place] = _ended(seat.profile, await board.ended())


def _ended(profile: Profile, exit_code: int) -> Outcome:
    """What it means that the simulator ended by itself. QEMU aborts (SIGABRT) when the processor locks up."""
    if exit_code < 0 or exit_code >= SIGNALLED:
        return Outcome.CRASHED
    if exit_code == 0:
        # A module ends in order when its processor came to rest. QEMU goes on until it is stopped.
        return Outcome.CRASHED if isinstance(profile.simulator, Qemu) else Outcome.TIMEOUT
    return Outcome.REFUSED
