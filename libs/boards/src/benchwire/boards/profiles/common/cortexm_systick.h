#ifndef CORTEXM_SYSTICK_H
#define CORTEXM_SYSTICK_H

#include <stdint.h>

/* Waits for `ms` milliseconds of a core clock of `ticks_per_ms` (at most 335544). Firmware that changes the clock has to wait by itself. */
void systick_delay(uint32_t ms, uint32_t ticks_per_ms);

#endif
