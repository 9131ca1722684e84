"""STM32L475xG: reference manual RM0351 (memory map 2.2, flash 3, debug 48, electronic signature 49) and data sheet."""

from benchwire.boards.virtual.cortexm.chips.st import SRAM_BASE, stm32
from benchwire.boards.virtual.cortexm.cpus import CORTEX_M4
from benchwire.boards.virtual.cortexm.description import Region
from benchwire.boards.virtual.cortexm.flash.l4 import FlashL4

CHIP = stm32(
    "stm32l475",
    title="STM32L475xG",
    cpu=CORTEX_M4,
    idcode=0x1007_6415,  # revision 4
    flash_bytes=1024 * 1024,
    ram=(Region(SRAM_BASE, 96 * 1024), Region(0x1000_0000, 32 * 1024)),
    system=Region(0x1FFF_0000, 32 * 1024),
    unique_id_at=0x7590,
    flash_size_at=0x75E0,
    controller=FlashL4,
    controller_base=0x4002_2000,
    machine=None,
)
