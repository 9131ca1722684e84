/* Vector table of the LM3S6965 (data sheet, 2.5: exception model). */
#include "cortexm.h"

V7M_EXCEPTIONS;
WEAK(GPIOA_IRQHandler, unexpected);
WEAK(GPIOB_IRQHandler, unexpected);
WEAK(UART0_IRQHandler, unexpected);
WEAK(UART1_IRQHandler, unexpected);
WEAK(TIMER0A_IRQHandler, unexpected);
WEAK(TIMER1A_IRQHandler, unexpected);
WEAK(TIMER2A_IRQHandler, unexpected);

VECTORS(44) = { /* positions 0 to 43 */
    .stack = stack_top,
    .system = V7M_SYSTEM,
    .interrupt = {[0] = GPIOA_IRQHandler, [1] = GPIOB_IRQHandler, [2 ... 4] = unexpected, [5] = UART0_IRQHandler,
                  [6] = UART1_IRQHandler, [7 ... 18] = unexpected, [19] = TIMER0A_IRQHandler, [20] = unexpected,
                  [21] = TIMER1A_IRQHandler, [22] = unexpected, [23] = TIMER2A_IRQHandler, [24 ... 43] = unexpected},
};
