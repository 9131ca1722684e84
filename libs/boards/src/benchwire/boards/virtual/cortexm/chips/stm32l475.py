"""STM32L475xG: reference manual RM0351 (memory map 2.2, flash 3, debug 48, electronic signature 49) and data sheet."""

from benchwire.boards.virtual.cortexm.chips import st
from benchwire.boards.virtual.cortexm.cpus import CORTEX_M4, ROM_TABLE
from benchwire.boards.virtual.cortexm.description import Description, Region, factory_page
from benchwire.boards.virtual.cortexm.flash.l4 import FlashL4

DEVICE_ID = 0x415
FLASH_BYTES = 1024 * 1024
SYSTEM_BYTES = 32 * 1024


def _factory(board: str) -> bytes:
    flash_kib = (FLASH_BYTES // 1024).to_bytes(2, "little")
    return factory_page(SYSTEM_BYTES, {0x7590: st.unique_id("stm32l475", board), 0x75E0: flash_kib})


CHIP = Description(
    name="stm32l475",
    title="STM32L475xG",
    cpu=CORTEX_M4,
    flash=(Region(0x0800_0000, FLASH_BYTES),),
    flash_at_zero=True,
    ram=(Region(0x2000_0000, 96 * 1024), Region(0x1000_0000, 32 * 1024)),
    factory=Region(0x1FFF_0000, SYSTEM_BYTES),
    factory_bytes=_factory,
    rom_tables={ROM_TABLE: CORTEX_M4.rom_table},
    components=st.rom_table(DEVICE_ID),
    registers={st.DBGMCU_IDCODE: 0x1007_0000 | 0x6000 | DEVICE_ID},  # revision 4
    controller=FlashL4,
    controller_base=0x4002_2000,
    controller_bytes=0x400,
    machine=None,
)
