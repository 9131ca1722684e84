/* What the start-up code of every Cortex-M board gives to its vector table. */
#ifndef CORTEXM_H
#define CORTEXM_H

#include "board.h"

typedef void (*handler)(void);

extern uint32_t stack_top[];

void Reset_Handler(void);
void HardFault_Handler(void);

/* For an exception that nobody expects: becomes a HardFault, which reports it. */
static void unexpected(void)
{
    __asm__ volatile("udf #0");
}

/* A handler that firmware defines under its CMSIS name takes the place of the weak one. */
#define WEAK(name, otherwise) void name(void) __attribute__((weak, alias(#otherwise)))

static void __attribute__((unused)) nothing(void)
{
}

/* The exceptions of an ARMv7-M core (DDI 0403, B1.5.2) which firmware may take; delay_ms() only wants to be woken by SysTick. */
#define V7M_EXCEPTIONS                    \
    WEAK(NMI_Handler, unexpected);        \
    WEAK(MemManage_Handler, unexpected);  \
    WEAK(BusFault_Handler, unexpected);   \
    WEAK(UsageFault_Handler, unexpected); \
    WEAK(SVC_Handler, unexpected);        \
    WEAK(DebugMon_Handler, unexpected);   \
    WEAK(PendSV_Handler, unexpected);     \
    WEAK(SysTick_Handler, nothing)

/* Their places in the table, after the stack. */
#define V7M_SYSTEM                                                                                                                   \
    {Reset_Handler, NMI_Handler, HardFault_Handler, MemManage_Handler, BusFault_Handler, UsageFault_Handler, 0, 0, 0, 0, SVC_Handler, \
     DebugMon_Handler, 0, PendSV_Handler, SysTick_Handler}

/* Begins the definition of the table at the start of an image: the stack, the core's exceptions, the chip's interrupts. */
#define VECTORS(interrupts)                                          \
    __attribute__((section(".vectors"), used)) static const struct { \
        const uint32_t *stack;                                       \
        handler system[15];                                          \
        handler interrupt[interrupts];                               \
    } vectors

#endif
