"""The processor: a RISC-V core (unicorn) with the chip's memory and peripherals, run in slices.

What is modelled: RV32IMC in machine mode, RAM, UART0, the counter of SYSTIMER unit 0, traps into the app's own mtvec.
What is not: interrupts, other peripherals (they read 0), code in flash (the cache), functions in ROM, cycle timing.
"""

from collections.abc import Callable

import msgspec
from unicorn import Uc, UcError
from unicorn.riscv_const import (
    UC_RISCV_REG_MCAUSE,
    UC_RISCV_REG_MEPC,
    UC_RISCV_REG_MSTATUS,
    UC_RISCV_REG_MTVAL,
    UC_RISCV_REG_MTVEC,
    UC_RISCV_REG_PC,
    UC_RISCV_REG_RA,
    UC_RISCV_REG_SP,
)
from unicorn.unicorn_const import (
    UC_ARCH_RISCV,
    UC_ERR_EXCEPTION,
    UC_ERR_FETCH_PROT,
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_INSN_INVALID,
    UC_ERR_READ_UNMAPPED,
    UC_ERR_WRITE_UNMAPPED,
    UC_HOOK_INTR,
    UC_HOOK_MEM_UNMAPPED,
    UC_MODE_RISCV32,
)

from benchwire.boards.virtual.emulated import Ending
from benchwire.boards.virtual.esp.c3 import peripherals
from benchwire.boards.virtual.esp.c3.peripherals import Peripherals, Uart0
from benchwire.boards.virtual.esp.ram import Ram

SLICE_INSTRUCTIONS = 50_000
STACK_TOP = 0x3FCDFFF0  # near the end of the RAM; an app sets its own stack
NEVER = 0xFFFFFFFF  # an address that no app gets to: run until something else ends the slice

WFI = 0x10500073
JUMP_TO_SELF = 0x0000006F
SHORT_JUMP_TO_SELF = 0xA001

# mcause (RISC-V privileged architecture) and the words that Espressif's panic handler has for it
FETCH_FAULT, ILLEGAL, BREAKPOINT, LOAD_FAULT, STORE_FAULT, ECALL = 1, 2, 3, 5, 7, 11
CAUSES = {
    FETCH_FAULT: "Instruction access fault",
    ILLEGAL: "Illegal instruction",
    BREAKPOINT: "Breakpoint",
    LOAD_FAULT: "Load access fault",
    STORE_FAULT: "Store access fault",
    ECALL: "Environment call from M-mode",
}
_CAUSE_OF_ERROR = {
    UC_ERR_FETCH_UNMAPPED: FETCH_FAULT,
    UC_ERR_FETCH_PROT: FETCH_FAULT,
    UC_ERR_READ_UNMAPPED: LOAD_FAULT,
    UC_ERR_WRITE_UNMAPPED: STORE_FAULT,
    UC_ERR_INSN_INVALID: BREAKPOINT,  # the only instruction that unicorn reports this way is ebreak
    UC_ERR_EXCEPTION: ILLEGAL,
}
# Exceptions as unicorn's interrupt hook numbers them; it calls with pc already behind the instruction.
_CAUSE_OF_EXCEPTION = {2: ILLEGAL, 8: ECALL, 11: ECALL}


class Trap(msgspec.Struct, frozen=True):
    """An exception of the core."""

    cause: int
    pc: int
    value: int  # for mtval: the address of a bad access


class Machine:
    """One app from its reset on. Not thread-safe: only one thread runs its slices."""

    def __init__(self, ram: Ram, entry: int, mac: bytes, wait: Callable[[], None]) -> None:
        self.peripherals = Peripherals(mac, wait)
        self._ram = ram  # keeps the memory that the core points into
        self._trap: Trap | None = None
        self._bad_address = 0
        self._fault: Exception | None = None
        self._pc = entry
        self._core = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        for address, size_bytes, host_address in ram.regions():
            self._core.mem_map_ptr(address, size_bytes, 0x7, host_address)
        self._core.mmio_map(peripherals.BASE, peripherals.SIZE_BYTES, self._mmio_read, None, self._mmio_write, None)
        self._core.hook_add(UC_HOOK_INTR, self._on_exception)
        self._core.hook_add(UC_HOOK_MEM_UNMAPPED, self._on_unmapped)
        self._core.reg_write(UC_RISCV_REG_SP, STACK_TOP)

    @property
    def uart(self) -> Uart0:
        """The board's port."""
        return self.peripherals.uart

    def run_slice(self) -> Ending | None:
        """Run some thousand instructions. None: there is more to run."""
        self._trap = None
        try:
            self._core.emu_start(self._pc, NEVER, count=SLICE_INSTRUCTIONS)
        except UcError as error:
            cause = _CAUSE_OF_ERROR.get(error.errno)
            if cause is None:
                return Ending("crashed", f"the emulated core failed: {error}")
            self._trap = Trap(cause, self._core.reg_read(UC_RISCV_REG_PC), self._bad_address)
        if self._fault is not None:
            raise self._fault
        if self._trap is not None:
            return self._take(self._trap)
        self._pc = self._core.reg_read(UC_RISCV_REG_PC)
        return self._asleep()

    def _take(self, trap: Trap) -> Ending | None:
        """Enter the app's trap handler; an app without one has crashed."""
        handler = self._core.reg_read(UC_RISCV_REG_MTVEC) & ~0x3
        if handler in (0, trap.pc):
            return Ending("crashed", self._described(trap))
        status = self._core.reg_read(UC_RISCV_REG_MSTATUS)
        enabled = (status >> 3) & 1
        # MIE moves to MPIE, and the handler returns to machine mode
        self._core.reg_write(UC_RISCV_REG_MSTATUS, (status & ~0x88) | (enabled << 7) | 0x1800)
        self._core.reg_write(UC_RISCV_REG_MEPC, trap.pc)
        self._core.reg_write(UC_RISCV_REG_MCAUSE, trap.cause)
        self._core.reg_write(UC_RISCV_REG_MTVAL, trap.value)
        self._pc = handler
        return None

    def _described(self, trap: Trap) -> str:
        registers = {
            "MEPC": trap.pc,
            "RA": self._core.reg_read(UC_RISCV_REG_RA),
            "SP": self._core.reg_read(UC_RISCV_REG_SP),
            "MCAUSE": trap.cause,
            "MTVAL": trap.value,
        }
        told = " ".join(f"{name}={value:#010x}" for name, value in registers.items())
        return f"Guru Meditation Error: Core  0 panic'ed ({CAUSES[trap.cause]}. {told})"

    def _asleep(self) -> Ending | None:
        """With no interrupts, neither `wfi` nor a jump to itself ever ends."""
        if self._word(self._pc - 4) == WFI:
            return Ending("halted", f"wfi at {self._pc - 4:#010x}, and no interrupt is modelled")
        here = self._word(self._pc)
        if here == JUMP_TO_SELF or here & 0xFFFF == SHORT_JUMP_TO_SELF:
            return Ending("halted", f"endless jump to itself at {self._pc:#010x}")
        return None

    def _word(self, address: int) -> int:
        try:
            return int.from_bytes(self._core.mem_read(address, 4), "little")
        except UcError:
            return 0

    # -- called by the core; what they raise would be lost there, so it is kept for run_slice

    def _mmio_read(self, core: Uc, offset: int, _size_bytes: int, _data: object) -> int:
        try:
            return self.peripherals.read(offset & ~3) >> (8 * (offset & 3))
        except Exception as error:  # noqa: BLE001 - raised again by run_slice
            self._fault = error
            core.emu_stop()
            return 0

    def _mmio_write(self, core: Uc, offset: int, _size_bytes: int, value: int, _data: object) -> None:
        try:
            self.peripherals.write(offset & ~3, value << (8 * (offset & 3)))
        except Exception as error:  # noqa: BLE001 - raised again by run_slice
            self._fault = error
            core.emu_stop()

    def _on_exception(self, core: Uc, number: int, _data: object) -> None:
        cause = _CAUSE_OF_EXCEPTION.get(number, ILLEGAL)
        self._trap = Trap(cause, core.reg_read(UC_RISCV_REG_PC) - 4, 0)
        core.emu_stop()

    def _on_unmapped(self, _core: Uc, _access: int, address: int, _size: int, _value: int, _data: object) -> bool:
        self._bad_address = address & 0xFFFFFFFF
        return False
