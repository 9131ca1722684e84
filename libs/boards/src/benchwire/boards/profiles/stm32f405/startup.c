/*
 * Vector table and reset code of a Cortex-M4 (ARMv7-M Architecture Reference Manual, B1.5).
 * A handler that firmware defines under its CMSIS name takes the place of the weak one here.
 */
#include "board.h"

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_top[];

int main(void);
void Reset_Handler(void);
void HardFault_Handler(void);
void report_fault(const uint32_t *frame);

#define CFSR (*(volatile uint32_t *)0xE000ED28u) /* Configurable Fault Status Register, B3.2.15 */

void Reset_Handler(void)
{
    const uint32_t *from = data_load;

    for (uint32_t *to = data_start; to < data_end;) {
        *to++ = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    (void)main();
    for (;;) {
        __asm__ volatile("wfi");
    }
}

/* Says where it happened, then locks the core up on purpose: a debugger sees it, and the simulator ends instead of looking alive. */
__attribute__((used)) void report_fault(const uint32_t *frame)
{
    uart_puts("\r\nFAULT pc=");
    uart_put_hex(frame[6]); /* the stacked return address, B1.5.6 */
    uart_puts(" lr=");
    uart_put_hex(frame[5]);
    uart_puts(" cfsr=");
    uart_put_hex(CFSR);
    uart_puts("\r\n");
    __asm__ volatile("udf #0");
}

__attribute__((naked, weak)) void HardFault_Handler(void)
{
    __asm__ volatile("tst lr, #4\n" /* EXC_RETURN bit 2: which stack holds the frame, B1.5.8 */
                     "ite eq\n"
                     "mrseq r0, msp\n"
                     "mrsne r0, psp\n"
                     "b report_fault\n");
}

static void unexpected(void)
{
    __asm__ volatile("udf #0"); /* becomes a HardFault, which reports it */
}

static void nothing(void)
{
}

#define WEAK(handler, otherwise) void handler(void) __attribute__((weak, alias(#otherwise)))

WEAK(NMI_Handler, unexpected);
WEAK(MemManage_Handler, unexpected);
WEAK(BusFault_Handler, unexpected);
WEAK(UsageFault_Handler, unexpected);
WEAK(SVC_Handler, unexpected);
WEAK(DebugMon_Handler, unexpected);
WEAK(PendSV_Handler, unexpected);
WEAK(SysTick_Handler, nothing); /* delay_ms() only wants to be woken */
WEAK(EXTI0_IRQHandler, unexpected);
WEAK(EXTI15_10_IRQHandler, unexpected);
WEAK(TIM2_IRQHandler, unexpected);
WEAK(TIM3_IRQHandler, unexpected);
WEAK(TIM4_IRQHandler, unexpected);
WEAK(TIM5_IRQHandler, unexpected);
WEAK(USART1_IRQHandler, unexpected);

typedef void (*handler)(void);

#define INTERRUPTS 82 /* RM0090 12.2, vector table: positions 0 to 81 */

__attribute__((section(".vectors"), used)) static const struct {
    const uint32_t *stack;
    handler system[15];
    handler interrupt[INTERRUPTS];
} vectors = {
    .stack = stack_top,
    .system = {Reset_Handler, NMI_Handler, HardFault_Handler, MemManage_Handler, BusFault_Handler, UsageFault_Handler, 0, 0, 0, 0,
               SVC_Handler, DebugMon_Handler, 0, PendSV_Handler, SysTick_Handler},
    .interrupt = {[0 ... 5] = unexpected, [6] = EXTI0_IRQHandler, [7 ... 27] = unexpected, [28] = TIM2_IRQHandler,
                  [29] = TIM3_IRQHandler, [30] = TIM4_IRQHandler, [31 ... 36] = unexpected, [37] = USART1_IRQHandler,
                  [38 ... 39] = unexpected, [40] = EXTI15_10_IRQHandler, [41 ... 49] = unexpected, [50] = TIM5_IRQHandler,
                  [51 ... 81] = unexpected},
};
