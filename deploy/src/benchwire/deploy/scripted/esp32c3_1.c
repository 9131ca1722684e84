/* Tests its RAM, counts, then keeps a heartbeat. */
#include "board.h"

#define WORDS 256u
#define COUNTS 5u

static uint32_t pattern[WORDS];

static uint32_t wrong_words(void)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < WORDS; i++) {
        pattern[i] = i * 2654435761u;
    }
    for (uint32_t i = 0; i < WORDS; i++) {
        wrong += pattern[i] != i * 2654435761u;
    }
    return wrong;
}

int main(void)
{
    board_init();
    uart_puts("BOOT " BOARD_NAME "\r\n");
    for (uint32_t i = 1; i <= COUNTS; i++) {
        uart_puts("count ");
        uart_put_u32(i);
        uart_puts("\r\n");
    }
    if (wrong_words() == 0u) {
        uart_puts("self-test passed\r\n");
    } else {
        uart_puts("self-test failed\r\n");
    }
    for (uint32_t tick = 0;; tick++) {
        uart_puts("tick ");
        uart_put_u32(tick);
        uart_puts("\r\n");
        delay_ms(1000);
    }
}
