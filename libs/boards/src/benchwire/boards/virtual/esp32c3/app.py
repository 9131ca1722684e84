"""Running an app in a thread of its own, without keeping a core of the host busy."""

import os
import threading
import time
from collections.abc import Callable

from benchwire.boards.virtual.esp32c3.machine import Ending, Machine
from benchwire.boards.virtual.esp32c3.sram import Sram

# An app that polls is looked after a thousand times a second; delays are that exact.
POLL_S = 0.001
# A booting app gets this much processor time at full speed before its share counts.
BURST_S = 0.5
NICE = 10


class App:
    """One run of the code at `entry`.

    `send` gets what the app prints, in the thread that called `run`. `cpu_share` of one host core is what a busy app
    may take in the long run.
    """

    def __init__(
        self, sram: Sram, entry: int, *, mac: bytes, send: Callable[[bytes], None], cpu_share: float = 0.2
    ) -> None:
        self._machine = Machine(sram, entry, mac, self._wait)
        self._uart = self._machine.peripherals.uart
        self._send = send
        self._cpu_share = cpu_share
        self._stopped = threading.Event()
        self._wake = threading.Event()

    @property
    def lost_bytes(self) -> int:
        """How much the app wrote to a full UART FIFO."""
        return self._uart.lost_bytes

    def feed(self, data: bytes) -> None:
        """Bytes arrive at the UART. From any thread."""
        self._uart.feed(data)
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
        sent = self._uart.take_sent()
        if sent:
            self._send(sent)
