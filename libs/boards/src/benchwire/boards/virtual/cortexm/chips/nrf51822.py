"""nRF51822-xxAA: nRF51 series reference manual 3.0 (memory 5, NVMC 6, FICR 7, UICR 8) and product specification."""

import uuid

from benchwire.boards.virtual.cortexm.cpus import CORTEX_M0, ROM_TABLE
from benchwire.boards.virtual.cortexm.description import (
    ROM_TABLE_CLASS,
    Component,
    Description,
    Qemu,
    Region,
    factory_page,
)
from benchwire.boards.virtual.cortexm.flash.nvmc import PAGE_BYTES, UICR_BYTES, FlashNvmc

FLASH_BYTES = 256 * 1024
RAM_BYTES = 16 * 1024
FICR_BYTES = 4 * 1024
NORDIC_ROM_TABLE = 0xF000_0000
CONFIG_ID = 0xFFFF_007C  # an xxAA of the third revision


def _factory(board: str) -> bytes:
    identity = uuid.uuid5(uuid.NAMESPACE_URL, f"nrf51822:{board}").bytes
    words = {0x10: PAGE_BYTES, 0x14: FLASH_BYTES // PAGE_BYTES, 0x34: 2, 0x38: RAM_BYTES // 2, 0x5C: CONFIG_ID}
    facts = {offset: word.to_bytes(4, "little") for offset, word in words.items()}
    return factory_page(FICR_BYTES, {**facts, 0x60: identity[:8], 0xA4: identity[8:14]})


CHIP = Description(
    name="nrf51822",
    title="nRF51822-xxAA",
    cpu=CORTEX_M0,
    flash=(Region(0, FLASH_BYTES), Region(0x1000_1000, UICR_BYTES)),
    flash_at_zero=False,  # it is there already
    ram=(Region(0x2000_0000, RAM_BYTES),),
    factory=Region(0x1000_0000, FICR_BYTES),
    factory_bytes=_factory,
    # Nordic's own table, which leads on to Arm's
    rom_tables={NORDIC_ROM_TABLE: (0xF00F_F003, 0), ROM_TABLE: CORTEX_M0.rom_table},
    components={NORDIC_ROM_TABLE: Component(ROM_TABLE_CLASS, 0x2_000C_4001)},
    registers={},
    controller=FlashNvmc,
    controller_base=0x4001_E000,
    controller_bytes=0x1000,
    machine=Qemu(machine="microbit", flash_bytes=FLASH_BYTES, ram_bytes=RAM_BYTES),
)
