"""STM32F405xG: reference manual RM0090 (memory map 2.3, flash 3, debug 38, electronic signature 39) and data sheet."""

from benchwire.boards.virtual.cortexm.chips import st
from benchwire.boards.virtual.cortexm.cpus import CORTEX_M4, ROM_TABLE
from benchwire.boards.virtual.cortexm.description import Description, Qemu, Region, factory_page
from benchwire.boards.virtual.cortexm.flash.f4 import FlashF4

DEVICE_ID = 0x413
FLASH_BYTES = 1024 * 1024
SYSTEM_BYTES = 32 * 1024


def _factory(board: str) -> bytes:
    flash_kib = (FLASH_BYTES // 1024).to_bytes(2, "little")
    return factory_page(SYSTEM_BYTES, {0x7A10: st.unique_id("stm32f405", board), 0x7A22: flash_kib})


CHIP = Description(
    name="stm32f405",
    title="STM32F405xG",
    cpu=CORTEX_M4,
    flash=(Region(0x0800_0000, FLASH_BYTES),),
    flash_at_zero=True,
    ram=(Region(0x2000_0000, 128 * 1024), Region(0x1000_0000, 64 * 1024)),
    factory=Region(0x1FFF_0000, SYSTEM_BYTES),
    factory_bytes=_factory,
    rom_tables={ROM_TABLE: CORTEX_M4.rom_table},
    components=st.rom_table(DEVICE_ID),
    registers={st.DBGMCU_IDCODE: 0x1007_0000 | 0x6000 | DEVICE_ID},  # revision 1
    controller=FlashF4,
    controller_base=0x4002_3C00,
    controller_bytes=0x400,
    machine=Qemu(machine="netduinoplus2", flash_bytes=FLASH_BYTES, ram_bytes=128 * 1024),
)
