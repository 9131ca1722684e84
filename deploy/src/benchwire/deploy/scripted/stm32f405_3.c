/* Counts, tests itself, then keeps a heartbeat. */
#include "board.h"

#define COUNTS 5u

int main(void)
{
    uint32_t sum = 0;

    board_init();
    uart_puts("BOOT " BOARD_NAME "\r\n");
    for (uint32_t i = 1; i <= COUNTS; i++) {
        uart_puts("count ");
        uart_put_u32(i);
        uart_puts("\r\n");
        sum += i;
    }
    if (sum == COUNTS * (COUNTS + 1u) / 2u) {
        uart_puts("SELFTEST PASS\r\n");
    } else {
        uart_puts("SELFTEST FAIL sum=");
        uart_put_u32(sum);
        uart_puts("\r\n");
    }
    for (uint32_t tick = 0;; tick++) {
        uart_puts("tick ");
        uart_put_u32(tick);
        uart_puts("\r\n");
        delay_ms(1000);
    }
}
