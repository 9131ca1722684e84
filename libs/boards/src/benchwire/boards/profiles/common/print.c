/* Text and numbers over uart_putc, the same on every board. */
#include "board.h"

void uart_puts(const char *text)
{
    while (*text != '\0') {
        uart_putc(*text++);
    }
}

void uart_put_u32(uint32_t value)
{
    char digits[10]; /* 4294967295 */
    unsigned count = 0;

    do {
        digits[count++] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0u);
    while (count != 0u) {
        uart_putc(digits[--count]);
    }
}

void uart_put_i32(int32_t value)
{
    if (value < 0) {
        uart_putc('-');
        uart_put_u32(0u - (uint32_t)value); /* right for INT32_MIN, too */
    } else {
        uart_put_u32((uint32_t)value);
    }
}

void uart_put_hex(uint32_t value)
{
    uart_puts("0x");
    for (int shift = 28; shift >= 0; shift -= 4) {
        uart_putc("0123456789abcdef"[(value >> shift) & 0xFu]);
    }
}
