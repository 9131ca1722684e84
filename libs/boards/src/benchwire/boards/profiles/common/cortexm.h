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

/* Begins the definition of the table at the start of an image: the stack, the core's exceptions, the chip's interrupts. */
#define VECTORS(interrupts)                                          \
    __attribute__((section(".vectors"), used)) static const struct { \
        const uint32_t *stack;                                       \
        handler system[15];                                          \
        handler interrupt[interrupts];                               \
    } vectors

#endif
