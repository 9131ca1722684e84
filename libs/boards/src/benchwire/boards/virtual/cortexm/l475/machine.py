"""The processor: a Cortex-M4 (unicorn) with the chip's memory and peripherals, run in slices.

What is modelled: Thumb code in thread mode, RAM, flash that only reads, RCC, USART1, SysTick's counter, and the entry
into the firmware's HardFault handler. What is not: interrupts (`wfi` sleeps for a millisecond), the FPU's lazy state,
other peripherals, cycle timing.
"""

import ctypes
import struct
from collections.abc import Callable
from typing import Any

from unicorn import arm_const as arm
from unicorn import unicorn_const as uc_const
from unicorn.unicorn import Uc, UcError

from benchwire.boards.virtual.cortexm.chips.stm32l475 import CHIP
from benchwire.boards.virtual.cortexm.core import (
    PERIPHERAL_BASE,
    PERIPHERAL_BYTES,
    PRIVATE_BASE,
    PRIVATE_BYTES,
    XPSR_THUMB,
)
from benchwire.boards.virtual.cortexm.l475.peripherals import Peripherals, Usart
from benchwire.boards.virtual.emulated import Ending

SLICE_INSTRUCTIONS = 50_000
NEVER = 0xFFFF_FFFF  # an address that no app gets to: run until something else ends the slice

WFI, WFE, JUMP_TO_SELF = 0xBF30, 0xBF20, 0xE7FE

HARD_FAULT = 3
TO_THREAD_MODE = 0xFFFF_FFF9
CFSR, HFSR, BFAR = 0xE000_ED28, 0xE000_ED2C, 0xE000_ED38
HFSR_FORCED = 1 << 30
# bits of CFSR, and what they are called
FETCH_FAULT, DATA_FAULT, UNDEFINED, BAD_STATE = 1 << 8, 1 << 9 | 1 << 15, 1 << 16, 1 << 17
CAUSES = {
    FETCH_FAULT: "instruction bus error",
    DATA_FAULT: "data bus error",
    UNDEFINED: "undefined instruction",
    BAD_STATE: "a jump to an even address",
}
_CAUSE_OF_ERROR = {
    uc_const.UC_ERR_FETCH_UNMAPPED: FETCH_FAULT,
    uc_const.UC_ERR_FETCH_PROT: FETCH_FAULT,
    uc_const.UC_ERR_READ_UNMAPPED: DATA_FAULT,
    uc_const.UC_ERR_WRITE_UNMAPPED: DATA_FAULT,
    uc_const.UC_ERR_WRITE_PROT: DATA_FAULT,
    uc_const.UC_ERR_INSN_INVALID: UNDEFINED,
    uc_const.UC_ERR_EXCEPTION: UNDEFINED,
}
FRAME_REGISTERS = (
    arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12, arm.UC_ARM_REG_LR,
    arm.UC_ARM_REG_PC, arm.UC_ARM_REG_XPSR,
)  # fmt: skip


class L475:
    """One firmware from its reset on. Not thread-safe: only one thread runs its slices."""

    def __init__(self, image: bytes, wait: Callable[[], None]) -> None:
        self._peripherals = Peripherals(wait)
        self._wait = wait
        self._flash = ctypes.create_string_buffer(image.ljust(CHIP.flash_bytes, b"\xff"), CHIP.flash_bytes)
        self._ram = {region.base: ctypes.create_string_buffer(region.size_bytes) for region in CHIP.ram}
        self._bad_address = 0
        self._cause = 0
        self._error: Exception | None = None
        self._in_fault: str | None = None  # what led there
        self._uc = self._build()
        stack, self._pc = struct.unpack_from("<II", image.ljust(8, b"\xff"))
        self._uc.reg_write(arm.UC_ARM_REG_MSP, stack & ~3)
        self._uc.reg_write(arm.UC_ARM_REG_LR, 0xFFFF_FFFF)

    @property
    def uart(self) -> Usart:
        """The board's port."""
        return self._peripherals.uart

    def _build(self) -> Any:
        uc = Uc(uc_const.UC_ARCH_ARM, uc_const.UC_MODE_THUMB | uc_const.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(CHIP.cpu.unicorn_model)
        for base in (CHIP.program_base, 0):
            readable = uc_const.UC_PROT_READ | uc_const.UC_PROT_EXEC
            uc.mem_map_ptr(base, CHIP.flash_bytes, readable, ctypes.addressof(self._flash))
        for base, memory in self._ram.items():
            uc.mem_map_ptr(base, len(memory), uc_const.UC_PROT_ALL, ctypes.addressof(memory))
        for base, size in ((PERIPHERAL_BASE, PERIPHERAL_BYTES), (PRIVATE_BASE, PRIVATE_BYTES)):
            uc.mmio_map(base, size, self._read, base, self._write, base)
        uc.hook_add(uc_const.UC_HOOK_INTR, self._exception)
        uc.hook_add(uc_const.UC_HOOK_MEM_INVALID, self._invalid)
        return uc

    def run_slice(self) -> Ending | None:
        """Run some thousand instructions. None: there is more to run."""
        self._cause = 0
        if not self._pc & 1:
            return self._fault(BAD_STATE)
        try:
            self._uc.emu_start(self._pc, NEVER, count=SLICE_INSTRUCTIONS)
        except UcError as error:
            cause = _CAUSE_OF_ERROR.get(error.errno)
            if cause is None:
                return Ending("crashed", f"the emulated core failed: {error}")
            self._cause = self._cause or cause
        if self._error is not None:
            raise self._error
        if self._cause:
            return self._fault(self._cause)
        here = self._uc.reg_read(arm.UC_ARM_REG_PC) & ~1
        self._pc = here | 1
        if self._half_word(here) == JUMP_TO_SELF:
            return Ending("halted", f"endless jump to itself at {here:#010x}, and no interrupt is modelled")
        if self._half_word(here - 2) in (WFI, WFE):
            self._wait()
        return None

    def _fault(self, cause: int) -> Ending | None:
        """Enter the firmware's HardFault handler; a fault in there locks the core up."""
        pc = self._uc.reg_read(arm.UC_ARM_REG_PC) & ~1 if cause != BAD_STATE else self._pc
        told = f"{CAUSES[cause]} at pc {pc:#010x}"
        if cause == DATA_FAULT:
            told += f", address {self._bad_address:#010x}"
        if self._in_fault is not None:
            return Ending("crashed", f"Lockup: {told}, in the handler of: {self._in_fault}")
        self._in_fault = told
        values = [self._uc.reg_read(register) & 0xFFFF_FFFF for register in FRAME_REGISTERS[:6]]
        frame = struct.pack("<8I", *values, pc, XPSR_THUMB)
        stack = ((self._uc.reg_read(arm.UC_ARM_REG_SP) & 0xFFFF_FFFF) - len(frame)) & ~7
        try:
            self._uc.mem_write(stack, frame)
        except UcError:
            return Ending("crashed", f"Lockup: {told}, and there is no RAM at the stack pointer {stack:#010x}")
        kept = self._peripherals.kept
        kept.update({CFSR: cause, HFSR: HFSR_FORCED, BFAR: self._bad_address})
        self._uc.reg_write(arm.UC_ARM_REG_SP, stack)
        self._uc.reg_write(arm.UC_ARM_REG_LR, TO_THREAD_MODE)
        (self._pc,) = struct.unpack_from("<I", self._flash, 4 * HARD_FAULT)
        return None

    def _half_word(self, address: int) -> int:
        try:
            return int.from_bytes(self._uc.mem_read(address, 2), "little")
        except UcError:
            return 0

    # -- called by the core; what they raise would be lost there, so it is kept for run_slice

    def _read(self, uc: Any, offset: int, _size: int, base: int) -> int:
        try:
            return self._peripherals.read(base + offset & ~3) >> 8 * (offset & 3)
        except Exception as error:  # noqa: BLE001 - raised again by run_slice
            self._error = error
            uc.emu_stop()
            return 0

    def _write(self, uc: Any, offset: int, _size: int, value: int, base: int) -> None:
        try:
            self._peripherals.write(base + offset & ~3, value << 8 * (offset & 3))
        except Exception as error:  # noqa: BLE001 - raised again by run_slice
            self._error = error
            uc.emu_stop()

    def _exception(self, uc: Any, _number: int, _data: object) -> None:
        self._cause = UNDEFINED  # udf, bkpt without a debugger, svc: nothing that this model runs on from
        uc.emu_stop()

    def _invalid(self, _uc: Any, _access: int, address: int, _size: int, _value: int, _data: object) -> bool:
        self._bad_address = address & 0xFFFF_FFFF
        return False
