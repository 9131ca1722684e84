/*
 * RP2040: UART0 on GPIO0 (TX) and GPIO1 (RX), 115200 8N1, both cores' clock from the 12 MHz crystal.
 * Registers: RP2040 datasheet (resets 2.14, clocks 2.15, crystal 2.16, GPIO 2.19, UART 4.2, timer 4.6, watchdog tick 4.7).
 */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define CLEAR_BITS(address) REGISTER((address) + 0x3000u) /* the register's alias that clears what is written, 2.1.2 */

#define RESETS_RESET 0x4000C000u
#define RESETS_DONE REGISTER(0x4000C008u)
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_TIMER (1u << 21)
#define RESET_UART0 (1u << 22)

#define XOSC_CTRL REGISTER(0x40024000u)
#define XOSC_STATUS REGISTER(0x40024004u)
#define XOSC_STARTUP REGISTER(0x4002400Cu)
#define XOSC_ENABLE ((0xFABu << 12) | 0xAA0u) /* enabled, 1 to 15 MHz */
#define XOSC_STABLE (1u << 31)

#define CLK_REF_CTRL REGISTER(0x40008030u)
#define CLK_REF_SELECTED REGISTER(0x40008038u)
#define CLK_SYS_CTRL REGISTER(0x4000803Cu)
#define CLK_PERI_CTRL REGISTER(0x40008048u)
#define CLK_REF_FROM_XOSC 2u
#define CLK_SYS_FROM_REF 0u
#define CLK_PERI_ENABLE (1u << 11) /* from the system clock */

#define WATCHDOG_TICK REGISTER(0x4005802Cu)
#define TICK_ENABLE (1u << 9)

#define GPIO0_CTRL REGISTER(0x40014004u)
#define GPIO1_CTRL REGISTER(0x4001400Cu)
#define FUNCTION_UART 2u

#define UART_DR REGISTER(0x40034000u)
#define UART_FR REGISTER(0x40034018u)
#define UART_IBRD REGISTER(0x40034024u)
#define UART_FBRD REGISTER(0x40034028u)
#define UART_LCR_H REGISTER(0x4003402Cu)
#define UART_CR REGISTER(0x40034030u)
#define UART_FR_RXFE (1u << 4)
#define UART_FR_TXFF (1u << 5)
#define UART_LCR_H_8N1_FIFO ((3u << 5) | (1u << 4))
#define UART_CR_ON ((1u << 9) | (1u << 8) | 1u)

#define TIMER_RAW_LOW REGISTER(0x40054028u) /* microseconds */

#define CRYSTAL_MHZ 12u
#define BAUD 115200u

#define READY_TURNS 100000u
#define ROOM_TURNS 200000u /* at least 50 ms at 12 MHz; a byte takes 87 us */

static void wait_for(volatile uint32_t *where, uint32_t bits)
{
    for (uint32_t turn = 0; turn < READY_TURNS && (*where & bits) != bits; turn++) {
    }
}

void board_init(void)
{
    const uint32_t used = RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_TIMER | RESET_UART0;
    const uint32_t divisor_64 = (CRYSTAL_MHZ * 1000000u * 4u + BAUD / 2u) / BAUD; /* 4.2.7.1: the divisor in 64ths, 6 and 33 / 64 */

    XOSC_STARTUP = (CRYSTAL_MHZ * 1000u + 128u) / 256u; /* 1 ms in 256ths of a crystal's turn */
    XOSC_CTRL = XOSC_ENABLE;
    wait_for(&XOSC_STATUS, XOSC_STABLE);
    CLK_REF_CTRL = CLK_REF_FROM_XOSC;
    wait_for(&CLK_REF_SELECTED, 1u << CLK_REF_FROM_XOSC);
    CLK_SYS_CTRL = CLK_SYS_FROM_REF;
    CLK_PERI_CTRL = CLK_PERI_ENABLE;
    WATCHDOG_TICK = TICK_ENABLE | CRYSTAL_MHZ; /* one tick, and one step of the timer, each microsecond */

    CLEAR_BITS(RESETS_RESET) = used;
    wait_for(&RESETS_DONE, used);

    GPIO0_CTRL = FUNCTION_UART;
    GPIO1_CTRL = FUNCTION_UART;
    UART_IBRD = divisor_64 / 64u;
    UART_FBRD = divisor_64 % 64u;
    UART_LCR_H = UART_LCR_H_8N1_FIFO;
    UART_CR = UART_CR_ON;
}

void uart_putc(char c)
{
    for (uint32_t turn = 0; turn < ROOM_TURNS; turn++) {
        if ((UART_FR & UART_FR_TXFF) == 0u) {
            UART_DR = (uint8_t)c;
            return;
        }
    }
}

int uart_getc_nonblocking(void)
{
    if ((UART_FR & UART_FR_RXFE) != 0u) {
        return -1;
    }
    return (int)(UART_DR & 0xFFu);
}

void delay_ms(uint32_t ms)
{
    while (ms != 0u) {
        const uint32_t start = TIMER_RAW_LOW;

        while (TIMER_RAW_LOW - start < 1000u) {
        }
        ms--;
    }
}
