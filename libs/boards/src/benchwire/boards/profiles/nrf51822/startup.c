/* Vector table of the nRF51822 (nRF51 series reference manual 3.0, 4.3: instantiation). */
#include "cortexm.h"

WEAK(NMI_Handler, unexpected);
WEAK(SVC_Handler, unexpected);
WEAK(PendSV_Handler, unexpected);
WEAK(UART0_IRQHandler, unexpected);
WEAK(GPIOTE_IRQHandler, unexpected);
WEAK(TIMER0_IRQHandler, unexpected);
WEAK(TIMER1_IRQHandler, unexpected);
WEAK(TIMER2_IRQHandler, unexpected);
WEAK(RTC0_IRQHandler, unexpected);
WEAK(RTC1_IRQHandler, unexpected);

VECTORS(32) = {
    .stack = stack_top,
    .system = {Reset_Handler, NMI_Handler, HardFault_Handler, 0, 0, 0, 0, 0, 0, 0, SVC_Handler, 0, 0, PendSV_Handler, 0},
    .interrupt = {[0 ... 1] = unexpected, [2] = UART0_IRQHandler, [3 ... 5] = unexpected, [6] = GPIOTE_IRQHandler, [7] = unexpected,
                  [8] = TIMER0_IRQHandler, [9] = TIMER1_IRQHandler, [10] = TIMER2_IRQHandler, [11] = RTC0_IRQHandler,
                  [12 ... 16] = unexpected, [17] = RTC1_IRQHandler, [18 ... 31] = unexpected},
};
