"""STM32F103RC (high density): reference manual RM0008 (memory map 3.3, electronic signature 30, debug 31), flash manual PM0075."""

from benchwire.boards.virtual.cortexm.chips.st import SRAM_BASE, stm32
from benchwire.boards.virtual.cortexm.cpus import CORTEX_M3
from benchwire.boards.virtual.cortexm.description import Qemu, Region
from benchwire.boards.virtual.cortexm.flash.f1 import FlashF1

CHIP = stm32(
    "stm32f103",
    title="STM32F103RC",
    cpu=CORTEX_M3,
    idcode=0x1001_0414,  # revision Z
    flash_bytes=256 * 1024,
    ram=(Region(SRAM_BASE, 48 * 1024),),
    system=Region(0x1FFF_F000, 4 * 1024),
    flash_size_at=0x7E0,
    unique_id_at=0x7E8,
    controller=FlashF1,
    controller_base=0x4002_2000,
    # an STM32F100: the same RCC, GPIO and USART1, but less memory
    machine=Qemu(machine="stm32vldiscovery", flash_bytes=128 * 1024, ram_bytes=8 * 1024),
)
