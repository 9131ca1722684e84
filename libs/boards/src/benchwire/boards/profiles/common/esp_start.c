/* What the entry code of a RAM image on an ESP32 of any kind goes on with. The ROM has copied .data with the rest of the image; .bss is ours to clear. */
#include "board.h"

extern uint32_t bss_start[], bss_end[];

int main(void);
void start_c(void);

__attribute__((used, noreturn)) void start_c(void)
{
    for (uint32_t *to = bss_start; to < bss_end;) {
        *to++ = 0;
    }
    (void)main();
    for (;;) {
        delay_ms(1000);
    }
}
