/* Vector table of the RP2040 (RP2040 datasheet, 2.3.2). The second core stays asleep in the boot ROM. */
#include "cortexm.h"

WEAK(NMI_Handler, unexpected);
WEAK(SVC_Handler, unexpected);
WEAK(PendSV_Handler, unexpected);
WEAK(SysTick_Handler, unexpected);
WEAK(TIMER_IRQ_0_IRQHandler, unexpected);
WEAK(TIMER_IRQ_1_IRQHandler, unexpected);
WEAK(TIMER_IRQ_2_IRQHandler, unexpected);
WEAK(TIMER_IRQ_3_IRQHandler, unexpected);
WEAK(IO_IRQ_BANK0_IRQHandler, unexpected);
WEAK(UART0_IRQ_IRQHandler, unexpected);
WEAK(UART1_IRQ_IRQHandler, unexpected);

VECTORS(26) = {
    .stack = stack_top,
    .system = {Reset_Handler, NMI_Handler, HardFault_Handler, 0, 0, 0, 0, 0, 0, 0, SVC_Handler, 0, 0, PendSV_Handler, SysTick_Handler},
    .interrupt = {TIMER_IRQ_0_IRQHandler, TIMER_IRQ_1_IRQHandler, TIMER_IRQ_2_IRQHandler, TIMER_IRQ_3_IRQHandler,
                  [4 ... 12] = unexpected, [13] = IO_IRQ_BANK0_IRQHandler, [14 ... 19] = unexpected, [20] = UART0_IRQ_IRQHandler,
                  [21] = UART1_IRQ_IRQHandler, [22 ... 25] = unexpected},
};
