"""The firmware of a virtual STM32L475, running in a thread of the board's process."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchwire.boards.virtual.cortexm.l475.machine import L475
from benchwire.boards.virtual.emulated import Emulation, Ending, let_go
from benchwire.boards.virtual.uart import Uart


class EmulatedApp:
    """See `App`. `send` gets what the firmware prints, on the event loop."""

    def __init__(self, uart: Uart, send: Callable[[bytes], None]) -> None:
        self.starts = 0
        self.pid: int | None = None
        self._uart = uart
        self._print = send
        self._emulation: Emulation | None = None
        self._watch: asyncio.Task[None] | None = None
        self._ending: Ending | None = None

    @property
    def running(self) -> bool:
        """Whether a program runs now."""
        return self._emulation is not None

    async def start(self, image: bytes, tasks: asyncio.TaskGroup) -> None:
        """Boot `image`."""
        await self.stop()
        loop = asyncio.get_running_loop()

        def send(data: bytes) -> None:
            loop.call_soon_threadsafe(self._printed_by, emulation, data)

        emulation = Emulation(partial(L475, image), send=send)
        self.starts += 1
        self._ending = None
        self._emulation = emulation
        self._uart.on_receive(emulation.feed)
        self._watch = tasks.create_task(self._run(emulation), name="firmware")

    async def stop(self) -> None:
        """Take the program away, if one runs."""
        emulation, watch = self._emulation, self._watch
        self._emulation = self._watch = None
        self._uart.on_receive(None)
        if emulation is not None:
            emulation.stop()
        if watch is not None:
            await watch
            del emulation
            let_go()

    def explain(self) -> str | None:
        """Why nothing runs, in words."""
        return None if self._ending is None else f"{self._ending.kind}: {self._ending.reason}"

    async def _run(self, emulation: Emulation) -> None:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="core") as core:
            ending = await emulation.run_in(core)
        # A halted app still runs as far as anybody can see: it spins in an endless loop.
        if self._emulation is emulation and ending.kind != "halted":
            self._emulation = None
            self._uart.on_receive(None)
            self._ending = ending
            print(f"the firmware ended by itself: {self.explain()}", file=sys.stderr, flush=True)  # noqa: T201

    def _printed_by(self, emulation: Emulation, data: bytes) -> None:
        if self._emulation is emulation:  # what a program printed just before a reset doesn't come after it
            self._print(data)
