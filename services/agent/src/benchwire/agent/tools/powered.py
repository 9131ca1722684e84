"""One simulator while it runs: what its board prints is taken in and passed on, what is sent to its UART gets there."""

import asyncio
import contextlib
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Self

from benchwire.agent.beside import beside
from benchwire.agent.sandbox import Limits, Sandbox, Watch, keep, text
from benchwire.agent.tools.printed import Hearing
from benchwire.events import child

MAX_WAITING_BYTES = 64 * 1024
STDERR_BYTES = 1 << 20
STDERR_TAIL_CHARS = 4096


class Powered:
    """A simulator that was started. ``hearing`` has what its board prints; ``reading`` ends with that, or at its cap."""

    reading: asyncio.Task[None]

    def __init__(self, process: Process, sandbox: Sandbox, watch: Watch, max_bytes: int) -> None:
        self.hearing = Hearing(max_bytes)
        self.exit_code: int | None = None
        self._process = process
        self._sandbox = sandbox
        self._watch = watch
        self._joined: Sequence[Powered] = ()
        self._is_up = asyncio.Event()
        self._waiting = bytearray()
        self._has_waiting = asyncio.Event()
        self._lost_bytes = 0
        self._saying: asyncio.Task[bytes]

    @classmethod
    @contextlib.asynccontextmanager
    async def on(
        cls, argv: Sequence[str], sandbox: Sandbox, *, workdir: Path, limits: Limits, readable: Sequence[Path],
        max_bytes: int, has_input: bool, power_up_s: float,
    ) -> AsyncGenerator[Self, None]:  # fmt: skip
        """Starts a simulator, which ends with the context. Without ``has_input`` nothing is connected to its UART's receiver.

        What is sent to it waits until it has printed something, but no longer than ``power_up_s``.
        """
        watch, stdin = Watch(), child.PIPE if has_input else child.DEVNULL
        async with sandbox.spawn(
            argv, workdir=workdir, limits=limits, readable=readable, watch=watch, stdin=stdin
        ) as process:
            board = cls(process, sandbox, watch, max_bytes)
            async with (
                beside(board._read()) as board.reading,
                beside(keep(process.stderr, STDERR_BYTES)) as board._saying,
                beside(board._feed(power_up_s)),
            ):
                yield board

    def join(self, others: Sequence["Powered"]) -> None:
        """From now on ``others`` receive what this one sends."""
        self._joined = others

    @property
    def is_up(self) -> bool:
        """Whether it has printed something."""
        return self._is_up.is_set()

    async def ended(self) -> int:
        """Its exit code, once it has ended by itself."""
        self.exit_code = await self._process.wait()
        return self.exit_code

    async def stop(self) -> None:
        """Ends it, if it still runs."""
        await self._sandbox.stop(self._process)

    async def said(self) -> str:
        """The tail of what the simulator itself said, and what else there is to tell. To be asked for when it has ended."""
        said = text(await self._saying).strip()[-STDERR_TAIL_CHARS:]
        lost = f"{self._lost_bytes} bytes for this board were lost: it did not read them in time"
        return "\n".join(filter(None, [said, self._watch.broken, lost if self._lost_bytes else None]))

    async def _read(self) -> None:
        assert self._process.stdout is not None, "spawn always makes pipes"
        while not self.hearing.is_full and (data := await self._process.stdout.read(1 << 16)):
            taken = self.hearing.hear(data, time.monotonic())
            self._is_up.set()
            for other in self._joined:
                other.receive(taken)
        self.hearing.end()

    def receive(self, data: bytes) -> None:
        """Bytes arrive. Never waits, so that a board that does not listen holds up nobody: as on a wire, what finds no room is lost."""
        room = MAX_WAITING_BYTES - len(self._waiting)
        self._waiting += data[:room]
        self._lost_bytes += max(0, len(data) - room)
        self._has_waiting.set()

    async def _feed(self, power_up_s: float) -> None:
        if self._process.stdin is None:
            return
        # The boards of a run are switched on together, but one simulator boots before the other: what comes before a UART is up would be lost.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(power_up_s):
                await self._is_up.wait()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                await self._has_waiting.wait()
                self._has_waiting.clear()
                data = bytes(self._waiting)
                self._waiting.clear()
                self._process.stdin.write(data)
                await self._process.stdin.drain()
