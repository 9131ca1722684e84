"""What there is to say about a chip: everything that tells one virtual Cortex-M board from another."""

from collections.abc import Callable, Mapping

import msgspec

from benchwire.boards.virtual.cortexm.flash.controller import FlashController
from benchwire.boards.virtual.flash_array import FlashArray

ROM_TABLE_CLASS, GENERIC_CLASS = 0x1, 0xE


class Region(msgspec.Struct, frozen=True):
    """A piece of the memory map: where it starts and how many bytes it has (both multiples of 4 KiB)."""

    base: int
    size_bytes: int

    def holds(self, address: int, size_bytes: int = 1) -> bool:
        """Whether all of it lies inside."""
        return self.base <= address and address + size_bytes <= self.base + self.size_bytes


class Component(msgspec.Struct, frozen=True):
    """What a debugger reads at the end of a component's page: CoreSight class and peripheral id (40 bits)."""

    kind: int
    peripheral: int


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """A core as Arm delivers it: how it names itself, and what its debug parts are."""

    name: str
    unicorn_model: int
    dpidr: int  # of the debug port
    ap_idr: int  # of the access port
    registers: Mapping[int, int]  # read-only words of the private peripheral bus; the others keep what is written
    reset_values: Mapping[int, int]
    components: Mapping[int, Component]
    rom_table: tuple[int, ...]  # entries of the table at 0xE00FF000


class Qemu(msgspec.Struct, frozen=True, kw_only=True):
    """The QEMU machine that runs what was flashed: its name and the memory that it has, in bytes from each base."""

    machine: str
    flash_bytes: int
    ram_bytes: int


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """One chip. `flash` lists the regions of its flash array in the order of the flash file; programs start in the first."""

    name: str  # as its profile
    title: str
    cpu: Cpu
    flash: tuple[Region, ...]
    flash_at_zero: bool  # whether the first flash region shows at address 0 as well
    ram: tuple[Region, ...]
    factory: Region  # what the manufacturer wrote: unique id, flash size
    factory_bytes: Callable[[str], bytes]  # from the board's name
    rom_tables: Mapping[int, tuple[int, ...]]  # entries by address; the first is where the access port points to
    components: Mapping[int, Component]  # the chip's own, besides those of its core
    registers: Mapping[int, int]  # read-only words beside the core's own: DBGMCU_IDCODE
    controller: Callable[[FlashArray], FlashController]
    controller_base: int
    controller_bytes: int
    machine: Qemu | None  # None: the firmware runs in this process

    @property
    def flash_bytes(self) -> int:
        """The whole array."""
        return sum(region.size_bytes for region in self.flash)

    @property
    def program_base(self) -> int:
        """Where the vector table is."""
        return self.flash[0].base

    @property
    def fixed(self) -> Mapping[int, int]:
        """All words of the debug address space that can't be written."""
        return {**self.cpu.registers, **self.registers}

    def offset_of(self, address: int, size_bytes: int = 1) -> int | None:
        """The place in the flash array of what a bus access to `address` reaches; None when it isn't flash."""
        offset = 0
        for region in self.flash:
            if region.holds(address, size_bytes):
                return offset + address - region.base
            offset += region.size_bytes
        if self.flash_at_zero and address + size_bytes <= self.flash[0].size_bytes:
            return address
        return None

    def register_of(self, address: int) -> int | None:
        """The offset of the flash controller's register that a bus access to `address` reaches; None when it reaches another one."""
        offset = address - self.controller_base
        return offset if 0 <= offset < self.controller_bytes else None

    def component_at(self, page: int) -> Component | None:
        """What stands at this page of 4 KiB, if a debugger can identify it."""
        return self.components.get(page) or self.cpu.components.get(page)

    @property
    def debug_base(self) -> int:
        """The ROM table that the access port points to."""
        return next(iter(self.rom_tables))


def factory_page(size_bytes: int, facts: Mapping[int, bytes]) -> bytes:
    """Factory memory with `facts` by offset; the rest is erased."""
    page = bytearray(b"\xff" * size_bytes)
    for offset, fact in facts.items():
        page[offset : offset + len(fact)] = fact
    return bytes(page)
