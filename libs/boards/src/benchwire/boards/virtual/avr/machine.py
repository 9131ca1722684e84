"""An ATmega at 16 MHz that keeps real time: no faster than the chip, and slower only when the host has no time."""

import time
from collections.abc import Callable

from benchwire.boards.virtual.avr.simavr import CRASHED, DONE, Core
from benchwire.boards.virtual.emulated import Ending, Line

FREQUENCY_HZ = 16_000_000
SLICE_CYCLES = FREQUENCY_HZ // 1000  # a millisecond
BYTES_PER_SLICE = 11  # that many a line of 115200 baud brings in a millisecond

# A host that had no time for so long does not run the firmware in fast motion afterwards.
LATEST_S = 0.05


class Atmega:
    """One firmware from its reset on. Not thread-safe: only one thread runs its slices. Raises ``SimavrUnusable``."""

    def __init__(self, mcu: str, image: bytes, wait: Callable[[], None]) -> None:
        self._uart = Line()
        self._wait = wait
        self._core = Core(mcu, image, frequency_hz=FREQUENCY_HZ, send=self._send)
        self._began_s = time.monotonic()

    @property
    def uart(self) -> Line:
        """The board's port, USART 0."""
        return self._uart

    def run_slice(self) -> Ending | None:
        """Run a millisecond, when it is time for it. None: there is more to run."""
        core, uart = self._core, self._uart
        ahead_s = core.cycles / FREQUENCY_HZ - (time.monotonic() - self._began_s)
        if ahead_s > 0:
            self._wait()
            return None
        self._began_s += max(0.0, -ahead_s - LATEST_S)
        for _ in range(BYTES_PER_SLICE):
            if uart.received and core.uart_has_room:
                core.receive(uart.take_received())
        core.run_until(core.cycles + SLICE_CYCLES)
        if core.state == CRASHED:
            return Ending("crashed", "simavr: the firmware accessed memory that is not there, or ran out of its flash")
        if core.state == DONE:
            return Ending("halted", "the core sleeps with interrupts off, so that nothing wakes it")
        return None

    def _send(self, byte: int) -> None:
        self._uart.send(byte, room=True)
