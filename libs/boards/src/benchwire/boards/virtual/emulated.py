"""Running an app on an emulated core in a thread of its own, without keeping a core of the host busy."""

import os
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

# An app that polls is looked after a thousand times a second; delays are that exact.
POLL_S = 0.001
# A booting app gets this much processor time at full speed before its share counts.
BURST_S = 0.5
NICE = 10


class Ending(msgspec.Struct, frozen=True):
    """Why an app runs no more: nothing can wake it, it crashed, or somebody stopped it."""

    kind: Literal["halted", "crashed", "stopped"]
    reason: str


class Port(Protocol):
    """The UART of a machine, as seen from the cable."""

    lost_bytes: int

    def feed(self, data: bytes) -> None:
        """The host sent `data`. From any thread."""

    def take_sent(self) -> bytes:
        """What the app printed since the last call."""


class Machine(Protocol):
    """A core with its peripherals. While an app polls, it calls the `wait` that it was made with."""

    @property
    def uart(self) -> Port:
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
