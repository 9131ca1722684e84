/* Entry of a RAM image on the ESP32-C3. The ROM has copied .data with the rest of the image; .bss is ours to clear. */
#include "board.h"

extern uint32_t bss_start[], bss_end[];

int main(void);
void _start(void);
void start_c(void);

__attribute__((naked, section(".start"), used)) void _start(void)
{
    __asm__ volatile(".option push\n"
                     ".option norelax\n" /* relaxing would load gp relative to gp */
                     "la gp, __global_pointer$\n"
                     ".option pop\n"
                     "la sp, stack_top\n"
                     "j start_c\n");
}

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
