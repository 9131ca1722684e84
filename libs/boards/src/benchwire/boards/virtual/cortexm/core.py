"""The CPU and its memories, by unicorn: it runs the flash algorithm that the debugger loads into RAM."""

import ctypes
import enum
import struct
from typing import Any

import msgspec
from unicorn import arm_const as arm
from unicorn import unicorn_const as uc_const
from unicorn.unicorn import Uc, UcError

from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.description import Description
from benchwire.boards.virtual.cortexm.flash.controller import FlashController
from benchwire.boards.virtual.flash_array import FlashArray

PERIPHERAL_BASE, PERIPHERAL_BYTES = 0x4000_0000, 0x2000_0000
PRIVATE_BASE, PRIVATE_BYTES = 0xE000_0000, 0x10_0000

EXCP_BKPT = 7  # QEMU's number for a breakpoint instruction, which unicorn hands on
XPSR_THUMB = 1 << 24

# DCRSR register numbers (ARMv7-M C1.6.3) to unicorn's
REGISTERS = {
    **{number: arm.UC_ARM_REG_R0 + number for number in range(13)},
    13: arm.UC_ARM_REG_SP,
    14: arm.UC_ARM_REG_LR,
    15: arm.UC_ARM_REG_PC,
    16: arm.UC_ARM_REG_XPSR,
    17: arm.UC_ARM_REG_MSP,
    18: arm.UC_ARM_REG_PSP,
    33: arm.UC_ARM_REG_FPSCR,
    **{64 + number: arm.UC_ARM_REG_S0 + number for number in range(32)},
}
REGISTER_SP, REGISTER_LR, REGISTER_PC, REGISTER_XPSR = 13, 14, 15, 16
REGISTER_CFBP = 20
# CONTROL, FAULTMASK, BASEPRI, PRIMASK: the bytes of register 20, highest first
CFBP_PARTS = (arm.UC_ARM_REG_CONTROL, arm.UC_ARM_REG_FAULTMASK, arm.UC_ARM_REG_BASEPRI, arm.UC_ARM_REG_PRIMASK)


class Stop(enum.Enum):
    """Why the core is no longer running."""

    BREAKPOINT = enum.auto()
    SPENT = enum.auto()  # the slice's instructions are used up
    FAULT = enum.auto()  # an access or an instruction that has no handler: lockup


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """How a slice of execution ended."""

    stop: Stop
    fault: str = ""


class Core:
    """CPU, RAM and flash of the chip. `cells` is the flash array: a writable buffer of `flash_bytes` bytes."""

    def __init__(
        self, chip: Description, cells: memoryview, array: FlashArray, controller: FlashController, factory: bytes
    ) -> None:
        self._chip = chip
        self._array = array
        self._controller = controller
        self._cells = (ctypes.c_char * chip.flash_bytes).from_buffer(cells)
        self._ram = {region.base: ctypes.create_string_buffer(region.size_bytes) for region in chip.ram}
        self._memories: dict[int, Any] = {
            **self._ram,
            chip.factory.base: ctypes.create_string_buffer(factory, chip.factory.size_bytes),
            **self._flash_memories(),
        }
        self._stopped = Stop.SPENT
        self._stored: tuple[int, bytes] | None = None  # offset and cells of the last store to flash
        self._uc = self._build()

    def _flash_memories(self) -> dict[int, Any]:
        memories, offset = {}, 0
        for region in self._chip.flash:
            memories[region.base] = (ctypes.c_char * region.size_bytes).from_buffer(self._cells, offset)
            offset += region.size_bytes
        if self._chip.flash_at_zero:
            memories[0] = memories[self._chip.program_base]
        return memories

    def _build(self) -> Any:
        uc = Uc(uc_const.UC_ARCH_ARM, uc_const.UC_MODE_THUMB | uc_const.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(self._chip.cpu.unicorn_model)
        readable = uc_const.UC_PROT_READ | uc_const.UC_PROT_EXEC
        for base, memory in self._memories.items():
            writable = uc_const.UC_PROT_WRITE if base in self._ram else 0
            uc.mem_map_ptr(base, len(memory), readable | writable, ctypes.addressof(memory))
        uc.mmio_map(PERIPHERAL_BASE, PERIPHERAL_BYTES, self._mmio_read, None, self._mmio_write, None)
        uc.mmio_map(PRIVATE_BASE, PRIVATE_BYTES, self._private_read, None, self._private_write, None)
        uc.hook_add(uc_const.UC_HOOK_INTR, self._interrupt)
        uc.hook_add(uc_const.UC_HOOK_MEM_WRITE_PROT, self._store_to_flash)
        return uc

    def release(self) -> None:
        """Let go of the flash array, so that its buffer can be closed. The core is of no use afterwards."""
        self._uc = None
        self._memories.clear()
        del self._cells

    def reset(self, *, clear_ram: bool) -> None:
        """Registers as after a system reset: SP and PC come from the vector table at the start of flash."""
        if clear_ram:
            for memory in self._ram.values():
                ctypes.memset(memory, 0, len(memory))
        stack, entry = self.vectors()
        for register in REGISTERS.values():
            self._uc.reg_write(register, 0)
        self._uc.reg_write(arm.UC_ARM_REG_XPSR, XPSR_THUMB)
        self._uc.reg_write(arm.UC_ARM_REG_MSP, stack & ~3)
        self._uc.reg_write(arm.UC_ARM_REG_LR, 0xFFFF_FFFF)
        self._uc.reg_write(arm.UC_ARM_REG_PC, entry | 1)

    def vectors(self) -> tuple[int, int]:
        """Initial stack pointer and entry address, as flash holds them now."""
        stack, entry = struct.unpack("<II", self.read(self._chip.program_base, 8))
        return stack, entry

    def read_register(self, number: int) -> int:
        """A core register by its DCRSR number; unknown ones read 0."""
        if number == REGISTER_CFBP:
            value = 0
            for part in CFBP_PARTS:
                value = value << 8 | int(self._uc.reg_read(part)) & 0xFF
            return value
        if number not in REGISTERS:
            return 0
        value = int(self._uc.reg_read(REGISTERS[number])) & 0xFFFF_FFFF
        return value & ~1 if number == REGISTER_PC else value

    def write_register(self, number: int, value: int) -> None:
        """Set a core register by its DCRSR number; unknown ones ignore it."""
        if number == REGISTER_CFBP:
            for part in reversed(CFBP_PARTS):
                self._uc.reg_write(part, value & 0xFF)
                value >>= 8
        elif number == REGISTER_PC:
            self._uc.reg_write(REGISTERS[number], value | 1)
        elif number in REGISTERS:
            self._uc.reg_write(REGISTERS[number], value)

    def read(self, address: int, size: int) -> bytes:
        """Read memory (not registers). Raises `BusFault` when any byte of it is not there."""
        memory, offset = self._find(address, size)
        return ctypes.string_at(ctypes.addressof(memory) + offset, size)

    def write(self, address: int, data: bytes) -> None:
        """Write RAM. Raises `BusFault` for anything else."""
        memory, offset = self._find(address, len(data))
        if memory not in self._ram.values():
            raise BusFault(f"{address:#010x} is not RAM")
        ctypes.memmove(ctypes.addressof(memory) + offset, data, len(data))

    def prepare(self) -> None:
        """Before running: forget translated code, the debugger may have written other code there."""
        self._uc.ctl_flush_tb()

    def run(self, instructions: int) -> Slice:
        """Run up to that many instructions from the current PC."""
        self._stopped = Stop.SPENT
        start = self.read_register(REGISTER_PC)
        try:
            self._uc.emu_start(start | 1, 0xFFFF_FFFF, count=instructions)
        except UcError as error:
            return Slice(stop=Stop.FAULT, fault=f"{error} at PC {self.read_register(REGISTER_PC):#010x}")
        finally:
            self._put_right()
        return Slice(stop=self._stopped)

    def _find(self, address: int, size: int) -> tuple[Any, int]:
        for base, memory in self._memories.items():
            if base <= address and address + size <= base + len(memory):
                return memory, address - base
        raise BusFault(f"nothing at {address:#010x}, {size} bytes")

    def _mmio_read(self, _uc: Any, offset: int, _size: int, _data: Any) -> int:
        self._put_right()
        register = self._chip.register_of(PERIPHERAL_BASE + offset)
        return 0 if register is None else self._controller.read(register & ~3) >> 8 * (register & 3)

    def _mmio_write(self, _uc: Any, offset: int, _size: int, value: int, _data: Any) -> None:
        self._put_right()
        register = self._chip.register_of(PERIPHERAL_BASE + offset)
        if register is not None:
            self._controller.write(register, value)

    def _private_read(self, _uc: Any, offset: int, _size: int, _data: Any) -> int:
        return self._chip.fixed.get(PRIVATE_BASE + offset & ~3, 0) >> 8 * (offset & 3)

    def _private_write(self, _uc: Any, offset: int, _size: int, value: int, _data: Any) -> None:
        """What an algorithm writes here (a barrier of the NVIC, a vector table) changes nothing that it can see."""

    def _interrupt(self, uc: Any, number: int, _data: Any) -> None:
        self._stopped = Stop.BREAKPOINT if number == EXCP_BKPT else Stop.FAULT
        uc.emu_stop()

    def _store_to_flash(self, _uc: Any, _access: int, address: int, size: int, value: int, _data: Any) -> bool:
        offset = self._chip.offset_of(address, size)
        if offset is None:
            return False
        self._put_right()
        try:
            self._controller.program(offset, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        except BusFault:
            return False
        self._stored = (offset, self._array.read(offset, size))
        return True

    def _put_right(self) -> None:
        """After the hook unicorn stores the plain value all the same; put back what the controller made of it.

        This is done before anything else can happen to the chip. Only a load that directly follows the store, with no
        look at the controller's registers between, sees the plain value.
        """
        if self._stored is not None:
            offset, cells = self._stored
            self._stored = None
            ctypes.memmove(ctypes.addressof(self._cells) + offset, cells, len(cells))
