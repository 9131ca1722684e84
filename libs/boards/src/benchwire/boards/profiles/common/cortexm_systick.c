/* Waiting with SysTick (ARMv7-M Architecture Reference Manual, B3.3). It wakes a sleeping core, so that a waiting board costs next to nothing. */
#include "cortexm_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define SYST_CSR REGISTER(0xE000E010u)
#define SYST_RVR REGISTER(0xE000E014u)
#define SYST_CVR REGISTER(0xE000E018u)
#define SYST_CSR_ENABLE (1u << 0)
#define SYST_CSR_TICKINT (1u << 1)
#define SYST_CSR_CLKSOURCE (1u << 2)
#define SYST_CSR_COUNTFLAG (1u << 16)

/* At most 50 ms at a time: 24 bits of SysTick at 168 MHz are 99 ms. */
#define SLICE_MS 50u

static void wait_ticks(uint32_t ticks)
{
    SYST_RVR = ticks - 1u;
    SYST_CVR = 0u; /* any write clears the counter and COUNTFLAG */
    SYST_CSR = SYST_CSR_CLKSOURCE | SYST_CSR_TICKINT | SYST_CSR_ENABLE;
    for (;;) {
        /* With interrupts masked, one that arrives between the test and the sleep is pending and ends the sleep at once. */
        __asm__ volatile("cpsid i" ::: "memory");
        if ((SYST_CSR & SYST_CSR_COUNTFLAG) != 0u) {
            break;
        }
        __asm__ volatile("wfi\n cpsie i" ::: "memory");
    }
    SYST_CSR = 0u;
    __asm__ volatile("cpsie i" ::: "memory");
}

void systick_delay(uint32_t ms, uint32_t ticks_per_ms)
{
    while (ms != 0u) {
        uint32_t slice_ms = ms < SLICE_MS ? ms : SLICE_MS;

        wait_ticks(slice_ms * ticks_per_ms);
        ms -= slice_ms;
    }
}
