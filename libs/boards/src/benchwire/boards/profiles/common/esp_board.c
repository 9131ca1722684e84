/*
 * What the ESP32-C3 and the ESP32-S3 share: UART0 as the ROM left it, the main watchdog, time from the system timer.
 * Registers: the chips' Technical Reference Manuals, register lists of timer group, UART and system timer.
 */
#include "board.h"
#include "esp_board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define TIMG0_WDTCONFIG0 REGISTER(0x6001F048u)
#define TIMG0_WDTWPROTECT REGISTER(0x6001F064u)
#define WDT_WRITE_KEY 0x50D83AA1u
#define SWD_WRITE_KEY 0x8F1D312Au
#define SWD_DISABLE (1u << 30)
#define SWD_AUTO_FEED_EN (1u << 31)

#define UART0_FIFO REGISTER(0x60000000u)
#define UART0_STATUS REGISTER(0x6000001Cu)
#define UART_RXFIFO_CNT(status) ((status) & 0x3FFu)
#define UART_TXFIFO_CNT(status) (((status) >> 16) & 0x3FFu)
#define UART_FIFO_BYTES 128u

#define SYSTIMER_UNIT0_OP REGISTER(0x60023004u)
#define SYSTIMER_UNIT0_VALUE_LO REGISTER(0x60023044u)
#define UNIT0_VALUE_VALID (1u << 29)
#define UNIT0_UPDATE (1u << 30)
#define SYSTIMER_TICKS_PER_MS 16000u /* 16 MHz, whatever the CPU runs at */

#define VALID_TURNS 1000u
#define ROOM_TURNS 1000000u /* at least 50 ms at 240 MHz */

void esp_watchdogs_off(const struct esp_watchdogs *at)
{
    /* The ROM starts a loaded image with the RTC and the main watchdog running, and the super watchdog always runs. */
    REGISTER(at->rtc_protect) = WDT_WRITE_KEY;
    REGISTER(at->rtc_config) = 0u;
    REGISTER(at->rtc_protect) = 0u;

    REGISTER(at->super_protect) = SWD_WRITE_KEY;
    REGISTER(at->super_config) |= SWD_DISABLE | SWD_AUTO_FEED_EN;
    REGISTER(at->super_protect) = 0u;

    TIMG0_WDTWPROTECT = WDT_WRITE_KEY;
    TIMG0_WDTCONFIG0 = 0u;
    TIMG0_WDTWPROTECT = 0u;
}

void uart_putc(char c)
{
    for (uint32_t turn = 0; turn < ROOM_TURNS; turn++) {
        if (UART_TXFIFO_CNT(UART0_STATUS) < UART_FIFO_BYTES - 2u) {
            UART0_FIFO = (uint8_t)c;
            return;
        }
    }
}

int uart_getc_nonblocking(void)
{
    if (UART_RXFIFO_CNT(UART0_STATUS) == 0u) {
        return -1;
    }
    return (int)(UART0_FIFO & 0xFFu);
}

/* The low word of the 52-bit counter: it wraps every 268 s, and unsigned differences don't mind. */
static uint32_t now_ticks(void)
{
    SYSTIMER_UNIT0_OP = UNIT0_UPDATE;
    for (uint32_t turn = 0; turn < VALID_TURNS && (SYSTIMER_UNIT0_OP & UNIT0_VALUE_VALID) == 0u; turn++) {
    }
    return SYSTIMER_UNIT0_VALUE_LO;
}

void delay_ms(uint32_t ms)
{
    for (; ms != 0u; ms--) {
        uint32_t start = now_ticks();

        while (now_ticks() - start < SYSTIMER_TICKS_PER_MS) {
        }
    }
}
