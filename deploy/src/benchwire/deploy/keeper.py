"""One part of a lab: its process, and the next one when that one dies."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from benchwire.deploy import backoff
from benchwire.deploy.health import Examiner
from benchwire.deploy.parts import Part
from benchwire.deploy.site import CannotStart
from benchwire.events import cancels, child
from benchwire.events.service import CANNOT_START

START_DEADLINE_S = 60.0  # a small machine that starts everything at once and compiles its Python files first
_LOOK_WHEN_STARTING_S = 0.1
_LOOK_WHEN_HEALTHY_S = 5.0
_ROTATE_BYTES = 10 << 20
_LAST_WORDS_BYTES = 4000
_LAST_WORDS_LINES = 12

State = Literal["starting", "healthy", "unwell", "died", "given_up", "stopped"]


class Change(msgspec.Struct, frozen=True):
    """A part is now in this state; ``again`` says that it has been healthy before, ``optional`` that the lab is up without it."""

    part: str
    state: State
    detail: str = ""
    again: bool = False
    optional: bool = False


class _Death(msgspec.Struct, frozen=True):
    """How a process ended, whether it said that another try is of no use, and how long it was healthy."""

    how: str
    refused: bool = False
    healthy_s: float = 0.0


Tell = Callable[[Change], None]


class Keeper:
    """One part: its process, and the next one when that one dies."""

    def __init__(self, part: Part, log: Path, examiner: Examiner, tell: Tell) -> None:
        self.part = part
        self.state: State = "starting"
        self.pid: int | None = None
        self.gone = asyncio.Event()
        self._log = log
        self._log_start_bytes = 0
        self._examiner = examiner
        self._tell = tell
        self._stopping = asyncio.Event()
        self._settled = asyncio.Event()
        self._trouble: CannotStart | None = None
        self._healthy_since: float | None = None  # of the present life, in loop time
        self._was_healthy = False

    async def started(self) -> None:
        """Waits until the part is healthy for the first time. Raises ``CannotStart`` when it will not be."""
        await self._settled.wait()
        if self._trouble is not None:
            raise self._trouble

    async def settled(self) -> None:
        """Waits until the part is healthy for the first time, or will not be."""
        await self._settled.wait()

    @property
    def why(self) -> str:
        """Why the part was given up, with its last words; empty when it was not."""
        return "" if self._trouble is None else "\n".join([str(self._trouble), *self._trouble.last_words])

    def stop(self) -> None:
        """Asks for the end; ``gone`` tells when it has come."""
        self._stopping.set()

    async def keep(self) -> None:
        """Runs the part until ``stop``, or until it cannot be started or is given up."""
        try:
            await self._lives()
        except CannotStart as trouble:
            self._trouble = trouble
            self._now("given_up", str(trouble))
            self._settled.set()
        finally:
            self.gone.set()

    async def _lives(self) -> None:
        deaths = refusals = 0
        while True:
            death = await self._life()
            if self._stopping.is_set():
                self._now("stopped")
                return
            if not self._was_healthy:
                raise self._cannot_start(f"{death.how} at its start")
            deaths = 1 if death.healthy_s >= backoff.FORGIVEN_AFTER_S else deaths + 1
            refusals = refusals + 1 if death.refused else 0
            if refusals >= backoff.REFUSALS_BELIEVED:
                raise self._cannot_start(f"{death.how} {refusals} times in a row: {self._last_line()}")
            delay_s = backoff.delay_s(deaths)
            self._now("died", f"{death.how}; it starts again in {delay_s:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stopping.wait()

    async def _life(self) -> _Death:
        """One process from start to end."""
        if self._stopping.is_set():
            return _Death("was not started")
        self._healthy_since = None
        self._now("starting")
        try:
            with self._opened_log() as out:
                async with child.spawn(
                    self.part.argv, env=self.part.env, stdout=out, stderr=out, grace_s=self.part.grace_s
                ) as process:
                    self.pid = process.pid
                    await _first_done(process.wait(), self._stopping.wait(), self._watch(process.pid))
        except OSError as error:  # no memory for a process, no room for its log
            return _Death(f"could not be run ({error})")
        finally:
            self.pid = None
        code = process.returncode or 0
        ending = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return _Death(ending, refused=code == CANNOT_START, healthy_s=self._healthy_s())

    def _healthy_s(self) -> float:
        return 0.0 if self._healthy_since is None else asyncio.get_running_loop().time() - self._healthy_since

    async def _watch(self, pid: int) -> None:
        """Looks at the process again and again, until it is stuck. Raises ``CannotStart`` for one that is not healthy in time at the lab's start."""
        loop = asyncio.get_running_loop()
        end = loop.time() + START_DEADLINE_S
        while True:
            ailment = await self._examiner.ailment(self.part.health, pid)
            if not ailment and self.state != "healthy":
                self._is_healthy()
            elif ailment and self.state == "healthy":
                self._now("unwell", ailment)
            elif ailment and not self._was_healthy and loop.time() > end:
                raise self._cannot_start(f"is not healthy after {START_DEADLINE_S:g} s: {ailment}")
            elif ailment and self._was_healthy and await self._examiner.is_stuck(self.part.health, pid):
                return
            await asyncio.sleep(_LOOK_WHEN_HEALTHY_S if self.state == "healthy" else _LOOK_WHEN_STARTING_S)

    def _is_healthy(self) -> None:
        if self._healthy_since is None:
            self._healthy_since = asyncio.get_running_loop().time()
        self._now("healthy")
        self._was_healthy = True
        self._settled.set()

    def _now(self, state: State, detail: str = "") -> None:
        self.state = state
        self._tell(Change(self.part.name, state, detail, again=self._was_healthy, optional=self.part.optional))

    def _cannot_start(self, what: str) -> CannotStart:
        return CannotStart(f"{self.part.name} {what}", last_words=self._last_words(), log=self._log)

    def _opened_log(self) -> IO[bytes]:
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > _ROTATE_BYTES:
                self._log.replace(self._log.with_suffix(".log.1"))
        out = self._log.open("ab")
        self._log_start_bytes = out.tell()
        return out

    def _last_words(self) -> list[str]:
        """The last lines that the present or last process wrote."""
        if not self._log.exists():
            return []
        with self._log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start_bytes, end - _LAST_WORDS_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return [line for line in lines if line.strip()][-_LAST_WORDS_LINES:]

    def _last_line(self) -> str:
        return next(reversed(self._last_words()), "it wrote no reason")


async def _first_done(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Runs all until one is done, ends the others, and raises what that one raised."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        await cancels.until_over(tasks)
