/*
 * Arduino boards with an ATmega at 16 MHz: USART0 on the pins 0 (RX) and 1 (TX), which the board's USB bridge is on; 115200 8N1.
 * Registers: data sheets of the ATmega328P (20.11) and the ATmega2560 (22.10), where USART0 is at the same addresses.
 */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/wdt.h>
#include <stdlib.h>
#include <util/delay.h>

#include "board.h"

/* With U2X0: F_CPU / 8 by the baud, less one: 16, which is 117647 baud, 2.1 % fast, as with every Arduino. */
#define BAUD 115200UL
#define BAUD_DIVIDER ((F_CPU / 4UL / BAUD - 1UL) / 2UL)

#define ROOM_TURNS 65535u /* at least 50 ms: some 16 cycles each */

/* avr-libc copies .data and clears .bss only for sections of the usual names; an author may have others. */
__asm__(".global __do_copy_data\n.global __do_clear_bss\n");

void board_init(void)
{
    wdt_disable();
    UCSR0A = _BV(U2X0);
    UBRR0 = BAUD_DIVIDER;
    UCSR0C = _BV(UCSZ01) | _BV(UCSZ00);
    UCSR0B = _BV(RXEN0) | _BV(TXEN0);
}

void uart_putc(char c)
{
    for (uint16_t turn = 0; turn < ROOM_TURNS; turn++) {
        if ((UCSR0A & _BV(UDRE0)) != 0) {
            UDR0 = (uint8_t)c;
            return;
        }
    }
}

int uart_getc_nonblocking(void)
{
    if ((UCSR0A & _BV(RXC0)) == 0) {
        return -1;
    }
    return UDR0;
}

/* Counts cycles: right as long as interrupts take little time. */
void delay_ms(uint32_t ms)
{
    for (; ms != 0u; ms--) {
        _delay_ms(1);
    }
}

/* Says what happened, then accesses memory that is not there: the simulator ends with that instead of looking alive. An AVR would go on. */
static void __attribute__((noreturn)) fault(const char *what)
{
    cli();
    uart_puts("\r\nFAULT ");
    uart_puts(what);
    uart_puts("\r\n");
    *(volatile uint8_t *)(RAMEND + 1) = 0;
    for (;;) {
    }
}

/* What __builtin_trap() calls, too. */
void abort(void)
{
    fault("abort");
}

/* For an interrupt that nobody expects. avr-libc would begin the program anew. */
ISR(BADISR_vect, __attribute__((weak)))
{
    fault("unexpected interrupt");
}
