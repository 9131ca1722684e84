/* Vector table of the LM3S6965 (data sheet, 2.5: exception model). */
#include "cortexm.h"

static void nothing(void)
{
}

WEAK(NMI_Handler, unexpected);
WEAK(MemManage_Handler, unexpected);
WEAK(BusFault_Handler, unexpected);
WEAK(UsageFault_Handler, unexpected);
WEAK(SVC_Handler, unexpected);
WEAK(DebugMon_Handler, unexpected);
WEAK(PendSV_Handler, unexpected);
WEAK(SysTick_Handler, nothing); /* delay_ms() only wants to be woken */
WEAK(GPIOA_IRQHandler, unexpected);
WEAK(GPIOB_IRQHandler, unexpected);
WEAK(UART0_IRQHandler, unexpected);
WEAK(UART1_IRQHandler, unexpected);
WEAK(TIMER0A_IRQHandler, unexpected);
WEAK(TIMER1A_IRQHandler, unexpected);
WEAK(TIMER2A_IRQHandler, unexpected);

VECTORS(44) = { /* positions 0 to 43 */
    .stack = stack_top,
    .system = {Reset_Handler, NMI_Handler, HardFault_Handler, MemManage_Handler, BusFault_Handler, UsageFault_Handler, 0, 0, 0, 0,
               SVC_Handler, DebugMon_Handler, 0, PendSV_Handler, SysTick_Handler},
    .interrupt = {[0] = GPIOA_IRQHandler, [1] = GPIOB_IRQHandler, [2 ... 4] = unexpected, [5] = UART0_IRQHandler,
                  [6] = UART1_IRQHandler, [7 ... 18] = unexpected, [19] = TIMER0A_IRQHandler, [20] = unexpected,
                  [21] = TIMER1A_IRQHandler, [22] = unexpected, [23] = TIMER2A_IRQHandler, [24 ... 43] = unexpected},
};
