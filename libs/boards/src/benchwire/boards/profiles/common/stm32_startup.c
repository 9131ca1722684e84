/*
 * Vector table of an STM32: the interrupts named here are in the same places in the F1 (RM0008 10.1.2, which ends at position 59), the F4
 * (RM0090 12.2) and the L4 (RM0351 13.3).
 */
#include "cortexm.h"

V7M_EXCEPTIONS;
WEAK(EXTI0_IRQHandler, unexpected);
WEAK(EXTI15_10_IRQHandler, unexpected);
WEAK(TIM2_IRQHandler, unexpected);
WEAK(TIM3_IRQHandler, unexpected);
WEAK(TIM4_IRQHandler, unexpected);
WEAK(TIM5_IRQHandler, unexpected);
WEAK(USART1_IRQHandler, unexpected);

VECTORS(82) = { /* positions 0 to 81 */
    .stack = stack_top,
    .system = V7M_SYSTEM,
    .interrupt = {[0 ... 5] = unexpected, [6] = EXTI0_IRQHandler, [7 ... 27] = unexpected, [28] = TIM2_IRQHandler,
                  [29] = TIM3_IRQHandler, [30] = TIM4_IRQHandler, [31 ... 36] = unexpected, [37] = USART1_IRQHandler,
                  [38 ... 39] = unexpected, [40] = EXTI15_10_IRQHandler, [41 ... 49] = unexpected, [50] = TIM5_IRQHandler,
                  [51 ... 81] = unexpected},
};
