"""What ST's chips have in common: where flash and RAM begin, what the factory wrote, and how a debugger is told which chip this is."""

import uuid
from collections.abc import Callable

from benchwire.boards.virtual.cortexm.cpus import ROM_TABLE
from benchwire.boards.virtual.cortexm.description import (
    ROM_TABLE_CLASS,
    Component,
    Cpu,
    Description,
    Qemu,
    Region,
    factory_page,
)
from benchwire.boards.virtual.cortexm.flash.controller import FlashController
from benchwire.boards.virtual.cortexm.flash.st import FLASH_BASE
from benchwire.boards.virtual.flash_array import FlashArray

SRAM_BASE = 0x2000_0000
DBGMCU_IDCODE = 0xE004_2000


def stm32(
    name: str,
    *,
    title: str,
    cpu: Cpu,
    idcode: int,
    flash_bytes: int,
    ram: tuple[Region, ...],
    system: Region,
    unique_id_at: int,
    flash_size_at: int,
    controller: Callable[[FlashArray], FlashController],
    controller_base: int,
    machine: Qemu | None,
) -> Description:
    """One STM32. `system` is its system memory, with the electronic signature at the two offsets; `idcode` what DBGMCU_IDCODE reads."""

    def factory_bytes(board: str) -> bytes:
        # 96 bits, which follow from the board's name
        unique_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{name}:{board}").bytes[:12]
        flash_kib = (flash_bytes // 1024).to_bytes(2, "little")
        return factory_page(system.size_bytes, {unique_id_at: unique_id, flash_size_at: flash_kib})

    return Description(
        name=name,
        title=title,
        cpu=cpu,
        flash=(Region(FLASH_BASE, flash_bytes),),
        flash_at_zero=True,
        ram=ram,
        factory=system,
        factory_bytes=factory_bytes,
        rom_tables={ROM_TABLE: cpu.rom_table},
        # the ROM table carries ST's name and the DEV_ID of DBGMCU_IDCODE
        components={ROM_TABLE: Component(ROM_TABLE_CLASS, 0x0_000A_0000 | idcode & 0xFFF)},
        registers={DBGMCU_IDCODE: idcode},
        controller=controller,
        controller_base=controller_base,
        controller_bytes=0x400,
        machine=machine,
    )
