"""The chips that there are, by the name of their profile."""

from benchwire.boards.virtual.cortexm.chips import nrf51822, stm32f103, stm32f405, stm32l475

CHIPS = {chip.name: chip for chip in (stm32f405.CHIP, stm32f103.CHIP, stm32l475.CHIP, nrf51822.CHIP)}
