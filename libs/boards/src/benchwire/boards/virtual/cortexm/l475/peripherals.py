"""The peripherals that firmware on the STM32L475 sees: clocks, USART1, SysTick, and registers that keep what is written.

Addresses and fields: reference manual RM0351 (RCC 6.4, USART 40.8); SysTick and SCB: ARMv7-M architecture manual B3.
No interrupt is modelled, nor DMA, GPIO inputs, timers, or the PLL, which never gets ready.
"""

import time
from collections.abc import Callable

from benchwire.boards.virtual.cortexm.cpus import CORTEX_M4
from benchwire.boards.virtual.emulated import Line, Patience

RCC, USART1, SYSTEM = 0x4002_1000, 0x4001_3800, 0xE000_E000

RCC_CR, RCC_CFGR, RCC_APB2ENR, RCC_CCIPR = 0x00, 0x08, 0x60, 0x88
RCC_RESET = {RCC_CR: 0x63}
# each oscillator's bit in RCC_CR, and the bit that says that it runs: MSI, HSI16
READY_OF = {1 << 0: 1 << 1, 1 << 8: 1 << 10}
READY_BITS = 1 << 1 | 1 << 10 | 1 << 17 | 1 << 25
USART1_CLOCKED = 1 << 14
MSI_HZ, HSI_HZ = 4_000_000, 16_000_000
CLOCK_MSI, CLOCK_HSI = 0, 1

CR1, BRR, ISR, ICR, RDR, TDR = 0x00, 0x0C, 0x1C, 0x20, 0x24, 0x28
CR1_UE, CR1_RE, CR1_TE = 1 << 0, 1 << 2, 1 << 3
ISR_RXNE, ISR_TC, ISR_TXE, ISR_TEACK, ISR_REACK = 1 << 5, 1 << 6, 1 << 7, 1 << 21, 1 << 22
BITS_PER_BYTE = 10
# The transmitter counts as busy only when it is this far ahead of the line. The chip has room for two bytes; with so
# few, a host would have to look after its core for each of them.
AHEAD_BYTES = 16

SYST_CSR, SYST_RVR, SYST_CVR = 0x10, 0x14, 0x18
CSR_ENABLE, CSR_CLKSOURCE, CSR_COUNTFLAG = 1 << 0, 1 << 2, 1 << 16
CSR_STORED = 0x7
COUNTER_MASK = 0xFF_FFFF


class Clocks:
    """The reset and clock controller: oscillators are ready as soon as they are on, except for the PLL and HSE."""

    def __init__(self) -> None:
        self._words = dict(RCC_RESET)

    @property
    def system_hz(self) -> int:
        """What the core, SysTick and the buses run at."""
        return HSI_HZ if self._words.get(RCC_CFGR, 0) & 3 == CLOCK_HSI else MSI_HZ

    @property
    def usart1_hz(self) -> int:
        """The clock of USART1's baud rate; 0 while it is off."""
        if not self._words.get(RCC_APB2ENR, 0) & USART1_CLOCKED:
            return 0
        return HSI_HZ if self._words.get(RCC_CCIPR, 0) & 3 == 2 else self.system_hz

    def read(self, offset: int) -> int:
        """A register."""
        word = self._words.get(offset, 0)
        if offset == RCC_CR:
            return word & ~READY_BITS | sum(ready for on, ready in READY_OF.items() if word & on)
        if offset == RCC_CFGR:
            # only a clock that runs is switched to, and SWS says which one that is
            return word & ~0xC | (word & 3 if word & 3 in (CLOCK_MSI, CLOCK_HSI) else CLOCK_MSI) << 2
        return word

    def write(self, offset: int, value: int) -> None:
        """A register."""
        self._words[offset] = value


class Usart(Line):
    """USART1, without its FIFO of interrupts: a byte goes out at once, and only TXE follows the baud."""

    def __init__(self, clocks: Clocks) -> None:
        super().__init__()
        self._clocks = clocks
        self._words: dict[int, int] = {}

    def read(self, offset: int) -> int:
        """A register; without its clock all of them read 0."""
        if not self._clocks.usart1_hz:
            return 0
        match offset:
            case 0x1C:
                return self._status()
            case 0x24:
                return self.take_received()
            case _:
                return self._words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """A register; without its clock nothing is written."""
        if not self._clocks.usart1_hz:
            return
        if offset == TDR:
            control = self._words.get(CR1, 0)
            self.send(value & 0xFF, room=bool(control & CR1_UE and control & CR1_TE) and self._has_room())
        elif offset != RDR:
            self._words[offset] = value

    def _status(self) -> int:
        control = self._words.get(CR1, 0)
        if not control & CR1_UE:
            return ISR_TC | ISR_TXE  # as after reset
        status = 0
        if control & CR1_TE:
            status |= ISR_TEACK | (ISR_TXE | ISR_TC if self._has_room() else 0)
        if control & CR1_RE:
            status |= ISR_REACK | (ISR_RXNE if self.received else 0)
        return status

    def _has_room(self) -> bool:
        bytes_per_s = self._clocks.usart1_hz / max(16, self._words.get(BRR, 0)) / BITS_PER_BYTE
        return self.ahead_bytes(bytes_per_s) < AHEAD_BYTES


class SysTick:
    """Counts real time down at the core's clock, or at an eighth of it."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._control = 0
        self._reload = 0
        self._began_s = 0.0
        self._turns_seen = 0

    def read(self, offset: int) -> int:
        """A register. Reading CSR clears COUNTFLAG."""
        match offset:
            case 0x10:
                turns, seen = self._ticks() // (self._reload + 1), self._turns_seen
                self._turns_seen = turns
                return self._control | (CSR_COUNTFLAG if turns > seen else 0)
            case 0x14:
                return self._reload
            case 0x18:
                return self._reload - self._ticks() % (self._reload + 1) if self._control & CSR_ENABLE else 0
            case _:
                return 0

    def write(self, offset: int, value: int) -> None:
        """A register. Any write to CVR starts the count anew."""
        match offset:
            case 0x10:
                if value & CSR_ENABLE and not self._control & CSR_ENABLE:
                    self._restart()
                self._control = value & CSR_STORED
            case 0x14:
                self._reload = value & COUNTER_MASK
            case 0x18:
                self._restart()
            case _:
                pass

    def _restart(self) -> None:
        self._began_s = time.monotonic()
        self._turns_seen = 0

    def _ticks(self) -> int:
        if not self._control & CSR_ENABLE or self._reload == 0:
            return 0
        hz = self._clocks.system_hz if self._control & CSR_CLKSOURCE else self._clocks.system_hz // 8
        return int((time.monotonic() - self._began_s) * hz)


class Peripherals:
    """All registers. `wait` is called from inside a read when the app has been polling for a while with nothing new to see."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.clocks = Clocks()
        self.uart = Usart(self.clocks)
        self.kept: dict[int, int] = {}
        self._systick = SysTick(self.clocks)
        self._patience = Patience(wait)

    def read(self, address: int) -> int:
        """The word at `address`; what isn't modelled reads as it was written, 0 at first."""
        match address & ~0x3FF:
            case 0x4002_1000:
                return self._looked(self.clocks.read(address - RCC), settled=True)
            case 0x4001_3800:
                value = self.uart.read(address - USART1)
                return self._looked(
                    value, settled=address - USART1 == ISR and value & (ISR_RXNE | ISR_TXE) != ISR_RXNE | ISR_TXE
                )
            case 0xE000_E000 if SYST_CSR <= address - SYSTEM <= SYST_CVR:
                value = self._systick.read(address - SYSTEM)
                return self._looked(value, settled=not value & CSR_COUNTFLAG)
        return CORTEX_M4.registers.get(address, self.kept.get(address, 0))

    def write(self, address: int, value: int) -> None:
        """Set the word at `address`."""
        match address & ~0x3FF:
            case 0x4002_1000:
                self.clocks.write(address - RCC, value)
            case 0x4001_3800:
                self._patience.busy()
                self.uart.write(address - USART1, value)
            case 0xE000_E000 if SYST_CSR <= address - SYSTEM <= SYST_CVR:
                self._systick.write(address - SYSTEM, value)
            case _:
                self.kept[address] = value

    def _looked(self, value: int, *, settled: bool) -> int:
        """`settled`: the same look will show the same for a while, unless something arrives."""
        if settled:
            self._patience.looked()
        else:
            self._patience.busy()
        return value
