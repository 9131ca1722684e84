"""The peripherals that an app on the chip sees: UART0, the system timer, and watchdogs that never bite.

Addresses and fields: ESP32-C3 technical reference manual. Everything else in the peripheral range reads 0 and ignores
writes; no interrupt is modelled.
"""

import time
from collections.abc import Callable

from benchwire.boards.virtual.emulated import Line, Patience
from benchwire.boards.virtual.esp.chips import ESP32_C3

BASE = 0x60000000
SIZE_BYTES = 0x100000

# One page each, relative to BASE
UART0 = 0x00000
RTC_CNTL = 0x08000  # with the eFuse controller at +0x800
TIMG0 = 0x1F000
TIMG1 = 0x20000
SYSTIMER = 0x23000

UART_FIFO, UART_STATUS = 0x00, 0x1C
FIFO_BYTES = 128
LINE_BYTES_PER_S = 115_200 / 10  # the rate that the ROM leaves the UART at; other dividers are accepted, not modelled

SYSTIMER_HZ = 16_000_000
UNIT0_OP, UNIT0_LOAD_HI, UNIT0_LOAD_LO = 0x04, 0x0C, 0x10
UNIT0_VALUE_HI, UNIT0_VALUE_LO, UNIT0_LOAD = 0x40, 0x44, 0x5C
UPDATE, VALUE_VALID = 1 << 30, 1 << 29
COUNTER_BITS = 52


class Uart0(Line):
    """Receive FIFO, transmit FIFO that empties at 115200 baud, status with the fill of both.

    A byte goes out at once; only the FIFO's fill follows the baud. What an app writes to a full FIFO is lost and
    counted, as on the chip.
    """

    def status(self) -> int:
        """STATUS: received bytes in bits 0..9, bytes still to send in bits 16..25."""
        return min(len(self.received), FIFO_BYTES) | (self._transmit_fill() << 16)

    def push(self, byte: int) -> None:
        """Write FIFO."""
        self.send(byte, room=self._transmit_fill() < FIFO_BYTES)

    def _transmit_fill(self) -> int:
        return int(self.ahead_bytes(LINE_BYTES_PER_S) + 0.999)


class SystemTimer:
    """Unit 0: counts 16 MHz of real time since the reset; a snapshot on UPDATE; can be loaded. No alarms."""

    def __init__(self) -> None:
        self._zero_ns = time.monotonic_ns()
        self._snapshot = 0
        self._load = {UNIT0_LOAD_HI: 0, UNIT0_LOAD_LO: 0}

    def read(self, offset: int) -> int:
        """The word at `offset` in the timer's page."""
        match offset:
            case 0x04:
                return VALUE_VALID
            case 0x40:
                return self._snapshot >> 32
            case 0x44:
                return self._snapshot & 0xFFFFFFFF
        return self._load.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Set the word at `offset`."""
        if offset == UNIT0_OP and value & UPDATE:
            self._snapshot = self._count()
        elif offset in self._load:
            self._load[offset] = value
        elif offset == UNIT0_LOAD and value & 1:
            count = (self._load[UNIT0_LOAD_HI] << 32) | self._load[UNIT0_LOAD_LO]
            self._zero_ns = time.monotonic_ns() - count * 1_000_000_000 // SYSTIMER_HZ

    def _count(self) -> int:
        elapsed_ns = time.monotonic_ns() - self._zero_ns
        return (elapsed_ns * SYSTIMER_HZ // 1_000_000_000) & ((1 << COUNTER_BITS) - 1)


class Peripherals:
    """What lies between 0x60000000 and 0x600FFFFF.

    `wait` is called from inside a read when the app has been polling for a while with nothing new to see. It may sleep.
    """

    def __init__(self, mac: bytes, wait: Callable[[], None]) -> None:
        self.uart = Uart0()
        self._timer = SystemTimer()
        self._fixed = {address - BASE: word for address, word in ESP32_C3.fixed_words(mac).items()}
        self._kept: dict[int, int] = {}
        self._patience = Patience(wait)

    def read(self, offset: int) -> int:
        """The word at BASE + `offset`."""
        match offset & ~0xFFF:
            case 0x00000:
                return self._read_uart(offset)
            case 0x23000:
                if offset - SYSTIMER == UNIT0_VALUE_LO:
                    self._patience.looked()
                return self._timer.read(offset - SYSTIMER)
        return self._fixed.get(offset, self._kept.get(offset, 0))

    def write(self, offset: int, value: int) -> None:
        """Set the word at BASE + `offset`."""
        match offset & ~0xFFF:
            case 0x00000 if offset == UART_FIFO:
                self._patience.busy()
                self.uart.push(value & 0xFF)
            case 0x23000:
                self._timer.write(offset - SYSTIMER, value)
            # Settings are read back as written: the UART's own and the watchdogs'.
            case 0x00000 | 0x08000 | 0x1F000 | 0x20000:
                self._kept[offset] = value

    def _read_uart(self, offset: int) -> int:
        match offset:
            case 0x00:
                self._patience.busy()
                return self.uart.take_received()
            case 0x1C:
                if not self.uart.received:
                    self._patience.looked()
                return self.uart.status()
        return self._kept.get(offset, 0)
