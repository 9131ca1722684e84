"""STM32F405xG: reference manual RM0090 (memory map 2.3, flash 3, debug 38, electronic signature 39) and data sheet."""

from benchwire.boards.virtual.cortexm.chips.st import SRAM_BASE, stm32
from benchwire.boards.virtual.cortexm.cpus import CORTEX_M4
from benchwire.boards.virtual.cortexm.description import Qemu, Region
from benchwire.boards.virtual.cortexm.flash.f4 import FlashF4

CHIP = stm32(
    "stm32f405",
    title="STM32F405xG",
    cpu=CORTEX_M4,
    idcode=0x1007_6413,  # revision 1
    flash_bytes=1024 * 1024,
    ram=(Region(SRAM_BASE, 128 * 1024), Region(0x1000_0000, 64 * 1024)),
    system=Region(0x1FFF_0000, 32 * 1024),
    unique_id_at=0x7A10,
    flash_size_at=0x7A22,
    controller=FlashF4,
    controller_base=0x4002_3C00,
    machine=Qemu(machine="netduinoplus2", flash_bytes=1024 * 1024, ram_bytes=128 * 1024),
)
