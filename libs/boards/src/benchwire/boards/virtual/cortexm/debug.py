"""The debug registers of a Cortex-M: what a debugger finds on the private peripheral bus, and what it can order there.

Numbers are those of the ARMv7-M architecture manual (C1, B3.2). Hardware breakpoints and watchpoints are stored, not
acted upon.
"""

import enum
from typing import Protocol

import msgspec

from benchwire.boards.virtual.cortexm.cpus import DWT_CTRL, FP_CTRL
from benchwire.boards.virtual.cortexm.description import Component, Description

DFSR, DHCSR, DCRSR, DCRDR, DEMCR = 0xE000_ED30, 0xE000_EDF0, 0xE000_EDF4, 0xE000_EDF8, 0xE000_EDFC

DBGKEY = 0xA05F_0000
C_DEBUGEN, C_HALT, C_STEP = 1 << 0, 1 << 1, 1 << 2
C_STORED = 0x2F
S_REGRDY, S_HALT, S_LOCKUP, S_RETIRE_ST, S_RESET_ST = 1 << 16, 1 << 17, 1 << 19, 1 << 24, 1 << 25

VECTKEY = 0x05FA_0000
SYSRESETREQ, VECTRESET = 1 << 2, 1 << 0
VC_CORERESET = 1 << 0
DFSR_HALTED, DFSR_BKPT, DFSR_VCATCH = 1 << 0, 1 << 1, 1 << 3
REGWNR = 1 << 16


class Order(enum.Enum):
    """What a register write asks of the core."""

    HALT = enum.auto()
    RESUME = enum.auto()
    STEP = enum.auto()
    RESET = enum.auto()


class CoreState(enum.Enum):
    """What the core does, as far as a debugger can see."""

    HALTED = "halted"
    ALGORITHM = "algorithm"  # runs code that the debugger loaded
    APP = "app"  # runs the firmware in flash
    LOCKUP = "lockup"  # nothing sensible: flash is erased, or the program crashed


class CoreRegisters(Protocol):
    """The register file that DCRSR and DCRDR reach."""

    def read_register(self, number: int) -> int:
        """Value of the register with this DCRSR number."""

    def write_register(self, number: int, value: int) -> None:
        """Set it."""


class Halting(msgspec.Struct, kw_only=True):
    """Debug control and status that outlive a single access."""

    control: int = 0  # the C_ bits of DHCSR
    fault_status: int = 0  # DFSR
    monitor: int = 0  # DEMCR
    transfer: int = 0  # DCRDR
    was_reset: bool = False  # S_RESET_ST, cleared by reading


class DebugRegisters:
    """Registers on the private peripheral bus, word by word. A write may return an order for the core.

    `identity` is the chip that they name to a debugger.
    """

    def __init__(self, core: CoreRegisters, identity: Description) -> None:
        self.state = CoreState.LOCKUP
        self.identity = identity
        self._core = core
        self._halting = Halting()
        self._stored: dict[int, int] = dict(identity.cpu.reset_values)

    @property
    def debugging(self) -> bool:
        """Whether a debugger has taken control (C_DEBUGEN)."""
        return bool(self._halting.control & C_DEBUGEN)

    @property
    def catches_reset(self) -> bool:
        """Whether the core has to halt at its reset vector."""
        return self.debugging and bool(self._halting.monitor & VC_CORERESET)

    def system_reset(self) -> None:
        """What a system reset does to them: the debugger's own settings stay."""
        self._stored = dict(self.identity.cpu.reset_values)
        self._halting.was_reset = True
        if self.catches_reset:
            self._halting.fault_status |= DFSR_VCATCH

    def power_on(self) -> None:
        """Everything as after power on."""
        self._halting = Halting()
        self._stored = dict(self.identity.cpu.reset_values)
        self.system_reset()

    def halted_by(self, cause: int) -> None:
        """Note in DFSR why the core halted."""
        self._halting.fault_status |= cause

    def read(self, address: int) -> int:
        """The word at `address`, which is a multiple of 4."""
        match address:
            case 0xE000_EDF0:
                return self._read_status()
            case 0xE000_EDF8:
                return self._halting.transfer
            case 0xE000_EDFC:
                return self._halting.monitor
            case 0xE000_ED30:
                return self._halting.fault_status
            case _:
                return self._read_plain(address)

    def _read_plain(self, address: int) -> int:
        page, offset = address & ~0xFFF, address & 0xFFF
        component = self.identity.component_at(page)
        if component is not None and offset >= 0xFD0:
            return identification(component, offset)
        entries = self.identity.rom_tables.get(page)
        if entries is not None:
            return entries[offset // 4] if offset // 4 < len(entries) else 0
        return self.identity.fixed.get(address, self._stored.get(address, 0))

    def write(self, address: int, value: int) -> Order | None:
        """Write the word at `address`; returns what the core has to do now, if anything."""
        halting = self._halting
        match address:
            case 0xE000_EDF0:
                return self._write_control(value)
            case 0xE000_EDF4:
                self._transfer(value)
            case 0xE000_EDF8:
                halting.transfer = value
            case 0xE000_EDFC:
                halting.monitor = value
            case 0xE000_ED30:
                halting.fault_status &= ~value
            case 0xE000_ED0C:
                reset = value & 0xFFFF_0000 == VECTKEY and value & (SYSRESETREQ | VECTRESET)
                return Order.RESET if reset else None
            case 0xE000_2000:
                self._stored[address] = self.identity.cpu.reset_values[FP_CTRL] | value & 1
            case 0xE000_1000:
                self._stored[address] = self.identity.cpu.reset_values[DWT_CTRL] | value & 0x01FF_FFFF
            case _ if address not in self.identity.fixed:
                self._stored[address] = value
        return None

    def _read_status(self) -> int:
        status = self._halting.control | S_REGRDY
        if self.state is CoreState.HALTED:
            status |= S_HALT | C_HALT  # whatever halted the core sets C_HALT
        elif self.state is CoreState.LOCKUP:
            status |= S_LOCKUP
        else:
            status |= S_RETIRE_ST
        if self._halting.was_reset:
            status |= S_RESET_ST
            self._halting.was_reset = False
        return status

    def _write_control(self, value: int) -> Order | None:
        if value & 0xFFFF_0000 != DBGKEY:
            return None
        if not value & C_DEBUGEN:
            # without debug enable the other controls have no effect, and a halted core runs on
            self._halting.control = 0
            return Order.RESUME if self.state is CoreState.HALTED else None
        self._halting.control = value & C_STORED
        if value & C_HALT:
            return None if self.state is CoreState.HALTED else Order.HALT
        if self.state is not CoreState.HALTED:
            return None
        return Order.STEP if value & C_STEP else Order.RESUME

    def _transfer(self, selector: int) -> None:
        # the register file answers only while the core is halted
        if self.state is not CoreState.HALTED:
            return
        number = selector & 0x7F
        if selector & REGWNR:
            self._core.write_register(number, self._halting.transfer)
        else:
            self._halting.transfer = self._core.read_register(number)


def identification(component: Component, offset: int) -> int:
    """A CoreSight identification register (0xFD0 to 0xFFF): one byte each."""
    peripheral = component.peripheral
    if offset >= 0xFF0:
        return (0xB105_000D | component.kind << 12) >> 2 * (offset - 0xFF0) & 0xFF
    if offset >= 0xFE0:
        return peripheral >> 2 * (offset - 0xFE0) & 0xFF
    return peripheral >> 32 + 2 * (offset - 0xFD0) & 0xFF
