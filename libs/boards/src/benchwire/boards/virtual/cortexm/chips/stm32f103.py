"""STM32F103RC (high density): reference manual RM0008 (memory map 3.3, electronic signature 30, debug 31), flash manual PM0075."""

from benchwire.boards.virtual.cortexm.chips import st
from benchwire.boards.virtual.cortexm.cpus import CORTEX_M3, ROM_TABLE
from benchwire.boards.virtual.cortexm.description import Description, Qemu, Region, factory_page
from benchwire.boards.virtual.cortexm.flash.f1 import FlashF1

DEVICE_ID = 0x414
FLASH_BYTES = 256 * 1024
SYSTEM_BYTES = 4 * 1024


def _factory(board: str) -> bytes:
    flash_kib = (FLASH_BYTES // 1024).to_bytes(2, "little")
    return factory_page(SYSTEM_BYTES, {0x7E0: flash_kib, 0x7E8: st.unique_id("stm32f103", board)})


CHIP = Description(
    name="stm32f103",
    title="STM32F103RC",
    cpu=CORTEX_M3,
    flash=(Region(0x0800_0000, FLASH_BYTES),),
    flash_at_zero=True,
    ram=(Region(0x2000_0000, 48 * 1024),),
    factory=Region(0x1FFF_F000, SYSTEM_BYTES),
    factory_bytes=_factory,
    rom_tables={ROM_TABLE: CORTEX_M3.rom_table},
    components=st.rom_table(DEVICE_ID),
    registers={st.DBGMCU_IDCODE: 0x1001_0000 | DEVICE_ID},  # revision Z
    controller=FlashF1,
    controller_base=0x4002_2000,
    controller_bytes=0x400,
    # an STM32F100: the same RCC, GPIO and USART1, but less memory
    machine=Qemu(machine="stm32vldiscovery", flash_bytes=128 * 1024, ram_bytes=8 * 1024),
)
