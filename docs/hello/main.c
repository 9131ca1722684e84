/* A first firmware for any board: it says who it is, tests an addition, and then shows that it lives. */
#include "board.h"

int main(void)
{
    volatile uint32_t one = 1; /* volatile: the chip adds, not the compiler */

    board_init();
    uart_puts("HELLO from " BOARD_NAME "\r\n");
    uart_puts(one + one == 2u ? "SELFTEST PASS\r\n" : "SELFTEST FAIL\r\n");
    for (uint32_t second = 0;; second++) {
        uart_puts("alive for ");
        uart_put_u32(second);
        uart_puts(" s\r\n");
        delay_ms(1000);
    }
}
