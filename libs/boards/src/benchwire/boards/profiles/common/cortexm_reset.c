/*
 * Reset code and fault report of a Cortex-M (ARMv6-M and ARMv7-M Architecture Reference Manuals, B1.5).
 */
#include "cortexm.h"

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[];

int main(void);
void report_fault(const uint32_t *frame);

#if __ARM_ARCH >= 7
#define CFSR (*(volatile uint32_t *)0xE000ED28u) /* Configurable Fault Status Register, B3.2.15; ARMv6-M has none */
#endif

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
#ifdef CFSR
    uart_puts(" cfsr=");
    uart_put_hex(CFSR);
#endif
    uart_puts("\r\n");
    unexpected();
}

/* EXC_RETURN bit 2 says which stack holds the frame, B1.5.8. Only instructions that ARMv6-M has, too. */
__attribute__((naked, weak)) void HardFault_Handler(void)
{
    __asm__ volatile(".syntax unified\n"
                     "mov r0, lr\n"
                     "lsls r0, r0, #29\n"
                     "bmi 1f\n"
                     "mrs r0, msp\n"
                     "b 2f\n"
                     "1: mrs r0, psp\n"
                     "2: ldr r1, =report_fault\n"
                     "bx r1\n"
                     ".ltorg\n");
}
