/*
 * What every board gives its firmware. The same calls on every profile; firmware brings `int main(void)` and calls board_init() first.
 *
 * There is no C library: only the compiler's own headers (stdint.h, stdbool.h, stddef.h, limits.h, stdarg.h) and what stands here.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* The profile's name as a string literal, for example "stm32f405"; the build defines it. */
#ifndef BOARD_NAME
#error "BOARD_NAME comes from the board profile"
#endif

/* Clocks, pins, watchdogs and the UART (115200 baud, 8N1). Call it once, first. */
void board_init(void);

/* One byte on the UART. Waits for room, but not for ever: a byte that finds none in about 50 ms is dropped. */
void uart_putc(char c);

/* The next byte that came in (0..255), or -1 when there is none. Never waits. */
int uart_getc_nonblocking(void);

/* Waits for at least `ms` milliseconds of the board's clock. */
void delay_ms(uint32_t ms);

/* Text as it is; no line ending is added. */
void uart_puts(const char *text);
void uart_put_u32(uint32_t value);
void uart_put_i32(int32_t value);
/* Eight lower case digits with a leading 0x. */
void uart_put_hex(uint32_t value);

/* What the compiler may call for copies and initialisers. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);
size_t strlen(const char *text);

#endif
