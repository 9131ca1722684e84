"""Running an app on an emulated core in a thread of its own, without keeping a core of the host busy."""

import asyncio
import gc
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Literal, Protocol

import msgspec

# An app that polls is looked after a thousand times a second; delays are that exact.
POLL_S = 0.001
# A booting app gets this much processor time at full speed before its share counts.
BURST_S = 0.5
NICE = 10

# So many looks in a row at a clock or a UART that has nothing new, and the app counts as waiting.
PATIENCE_READS = 32
# One that has been waiting, and did nothing since but look, is known: a delay must not cost its host a twentieth of a core.
PATIENCE_OF_WAITING_READS = 4


class Ending(msgspec.Struct, frozen=True):
    """Why an app runs no more: nothing can wake it, it crashed, or somebody stopped it."""

    kind: Literal["halted", "crashed", "stopped"]
    reason: str


class Line:
    """The line of a machine's UART: what arrived and waits, what was sent, and how far that is ahead of the baud.

    A byte goes out at once; that only so many can be ahead is for the UART to say.
    """

    def __init__(self) -> None:
        self.lost_bytes = 0  # written to a UART that had no room
        self.received: deque[int] = deque()
        self._sent = bytearray()
        self._ahead_bytes = 0.0
        self._looked_at_s = time.monotonic()

    def feed(self, data: bytes) -> None:
        """The host sent `data`. From any thread."""
        self.received.extend(data)

    def take_received(self) -> int:
        """The next byte that arrived, 0 when there is none."""
        return self.received.popleft() if self.received else 0

    def take_sent(self) -> bytes:
        """What the app printed since the last call."""
        sent, self._sent = bytes(self._sent), bytearray()
        return sent

    def ahead_bytes(self, bytes_per_s: float) -> float:
        """How much of what was sent a line of this rate would still have before it."""
        now_s = time.monotonic()
        self._ahead_bytes = max(0.0, self._ahead_bytes - (now_s - self._looked_at_s) * bytes_per_s)
        self._looked_at_s = now_s
        return self._ahead_bytes

    def send(self, byte: int, *, room: bool) -> None:
        """The app writes a byte; without room it is lost and counted, as on the chip."""
        if not room:
            self.lost_bytes += 1
            return
        self._ahead_bytes += 1
        self._sent.append(byte)


class Patience:
    """When an app that polls counts as waiting: `wait` is called from inside of its look, and may sleep."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait
        self.busy()

    def busy(self) -> None:
        """The app did something, or saw something new."""
        self._fruitless_reads, self._reads = 0, PATIENCE_READS

    def looked(self) -> None:
        """It looked at a clock or a UART that has nothing new."""
        self._fruitless_reads += 1
        if self._fruitless_reads >= self._reads:
            self._fruitless_reads, self._reads = 0, PATIENCE_OF_WAITING_READS
            self._wait()


class Machine(Protocol):
    """A core with its peripherals. While an app polls, it calls the `wait` that it was made with."""

    @property
    def uart(self) -> Line:
        """The board's port."""

    def run_slice(self) -> Ending | None:
        """Run some thousand instructions. None: there is more to run."""


class Emulation:
    """One run of one machine, from its reset on.

    `make` gets the function that a waiting machine calls. `send` gets what the app prints, in the thread that called
    `run`. `cpu_share` of one host core is what a busy app may take in the long run.
    """

    def __init__(
        self, make: Callable[[Callable[[], None]], Machine], *, send: Callable[[bytes], None], cpu_share: float = 0.2
    ) -> None:
        self._machine = make(self._wait)
        self._send = send
        self._cpu_share = cpu_share
        self._stopped = threading.Event()
        self._wake = threading.Event()

    @property
    def lost_bytes(self) -> int:
        """How much the app wrote to a UART that had no room."""
        return self._machine.uart.lost_bytes

    def feed(self, data: bytes) -> None:
        """Bytes arrive at the UART. From any thread."""
        self._machine.uart.feed(data)
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return soon. From any thread."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> Ending:
        """Run until the app can't go on or `stop` is called. Blocks; call it in a thread of its own."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        budget_s, checked_s = BURST_S, time.monotonic()
        while not self._stopped.is_set():
            before_s = time.thread_time()
            ending = self._machine.run_slice()
            self._flush()
            if ending is not None:
                return ending
            now_s = time.monotonic()
            earned_s = (now_s - checked_s) * self._cpu_share
            budget_s = min(BURST_S, budget_s + earned_s) - (time.thread_time() - before_s)
            checked_s = now_s
            if budget_s < 0:
                self._stopped.wait(-budget_s / self._cpu_share)
        return Ending("stopped", "reset")

    async def run_in(self, core: Executor) -> Ending:
        """`run`, in a thread of `core`. Who cancels this waits until the thread is free again: soon, at the end of the slice under way."""
        running = asyncio.get_running_loop().run_in_executor(core, self.run)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stop()
            with suppress(asyncio.CancelledError):
                await running
            raise

    def _wait(self) -> None:
        """The app polls: give what it printed away, and sleep until something arrives, a millisecond at most."""
        self._flush()
        if not self._stopped.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _flush(self) -> None:
        sent = self._machine.uart.take_sent()
        if sent:
            self._send(sent)


def let_go() -> None:
    """To be called when a run is over and forgotten: give back what its core had.

    An emulated core reserves a gigabyte of addresses, and its callbacks refer to it in a circle: without this, quick
    resets pile cores up until the collector happens to come by.
    """
    gc.collect()
