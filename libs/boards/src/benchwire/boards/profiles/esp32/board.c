/*
 * ESP32: UART0 as the ROM left it (115200 8N1 on GPIO1 TX and GPIO3 RX), watchdogs off, time from the cycle counter.
 * Registers: ESP32 Technical Reference Manual, register lists of low-power management, timer group and UART; the FIFO is written through the AHB bus, as the
 * errata ask for.
 */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define RTC_CNTL_WDTCONFIG0 REGISTER(0x3FF4808Cu)
#define RTC_CNTL_WDTWPROTECT REGISTER(0x3FF480A4u)
#define TIMG0_WDTCONFIG0 REGISTER(0x3FF5F048u)
#define TIMG0_WDTWPROTECT REGISTER(0x3FF5F064u)
#define WDT_WRITE_KEY 0x50D83AA1u

#define UART0_FIFO_READ REGISTER(0x3FF40000u)
#define UART0_FIFO_WRITE REGISTER(0x60000000u)
#define UART0_STATUS REGISTER(0x3FF4001Cu)
#define UART_RXFIFO_CNT(status) ((status) & 0xFFu)
#define UART_TXFIFO_CNT(status) (((status) >> 16) & 0xFFu)
#define UART_FIFO_BYTES 128u

#define CYCLES_PER_MS 40000u /* the ROM leaves the CPU at the crystal's 40 MHz */

#define ROOM_TURNS 200000u /* at least 50 ms at 40 MHz */

void board_init(void)
{
    /* The ROM starts a loaded image with the RTC and the main watchdog running. */
    RTC_CNTL_WDTWPROTECT = WDT_WRITE_KEY;
    RTC_CNTL_WDTCONFIG0 = 0u;
    RTC_CNTL_WDTWPROTECT = 0u;

    TIMG0_WDTWPROTECT = WDT_WRITE_KEY;
    TIMG0_WDTCONFIG0 = 0u;
    TIMG0_WDTWPROTECT = 0u;
}

void uart_putc(char c)
{
    for (uint32_t turn = 0; turn < ROOM_TURNS; turn++) {
        if (UART_TXFIFO_CNT(UART0_STATUS) < UART_FIFO_BYTES - 2u) {
            UART0_FIFO_WRITE = (uint8_t)c;
            return;
        }
    }
}

int uart_getc_nonblocking(void)
{
    if (UART_RXFIFO_CNT(UART0_STATUS) == 0u) {
        return -1;
    }
    return (int)(UART0_FIFO_READ & 0xFFu);
}

static uint32_t now_cycles(void)
{
    uint32_t cycles;

    __asm__ volatile("rsr.ccount %0" : "=r"(cycles));
    return cycles;
}

void delay_ms(uint32_t ms)
{
    for (; ms != 0u; ms--) {
        uint32_t start = now_cycles();

        while (now_cycles() - start < CYCLES_PER_MS) {
        }
    }
}
