/*
 * LM3S6965 as on its evaluation board: UART0 on PA0 (RX) and PA1 (TX), 115200 8N1, core at 50 MHz from the PLL and the 8 MHz crystal.
 * Registers: data sheet of the LM3S6965 (system control 5.5, GPIO 8.5, UART 12.5).
 */
#include "board.h"
#include "cortexm_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define RIS REGISTER(0x400FE050u)
#define RCC REGISTER(0x400FE060u)
#define RCGC1 REGISTER(0x400FE104u)
#define RCGC2 REGISTER(0x400FE108u)
#define RIS_PLLL (1u << 6)
#define RCC_MOSCDIS (1u << 0)
#define RCC_OSCSRC (3u << 4) /* 0: the main oscillator */
#define RCC_XTAL (0xFu << 6)
#define RCC_XTAL_8_MHZ (0xEu << 6)
#define RCC_BYPASS (1u << 11)
#define RCC_PWRDN (1u << 13)
#define RCC_USESYSDIV (1u << 22)
#define RCC_SYSDIV (0xFu << 23)
#define RCC_SYSDIV_4 (0x3u << 23) /* of 200 MHz */
#define RCGC1_UART0 (1u << 0)
#define RCGC2_GPIOA (1u << 0)

#define GPIOA_AFSEL REGISTER(0x40004420u)
#define GPIOA_DEN REGISTER(0x4000451Cu)

#define UART0_DR REGISTER(0x4000C000u)
#define UART0_FR REGISTER(0x4000C018u)
#define UART0_IBRD REGISTER(0x4000C024u)
#define UART0_FBRD REGISTER(0x4000C028u)
#define UART0_LCRH REGISTER(0x4000C02Cu)
#define UART0_CTL REGISTER(0x4000C030u)
#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)
#define LCRH_FIFO (1u << 4)
#define LCRH_8_BITS (3u << 5)
#define CTL_ENABLED 0x301u /* UARTEN, TXE, RXE */

#define CLOCK_HZ 50000000u
#define BAUD 115200u
#define BAUD_64THS ((CLOCK_HZ * 4u + BAUD / 2u) / BAUD) /* the divider is the clock by 16 times the baud, in 64ths: 27 and 8 */

#define OSCILLATOR_TURNS 100000u
#define LOCK_TURNS 100000u /* the PLL locks within 0.5 ms */
#define ROOM_TURNS 500000u /* at least 50 ms at 50 MHz; a byte takes 87 us */

/* The main oscillator has no flag that says that it is stable: one waits (data sheet, 5.3). */
static void pause(uint32_t turns)
{
    for (uint32_t turn = 0; turn < turns; turn++) {
        __asm__ volatile("nop");
    }
}

void board_init(void)
{
    /* As the data sheet wants it (5.4): around the PLL first, then the crystal and the PLL's power, and the PLL when it has locked. */
    RCC = (RCC | RCC_BYPASS) & ~(RCC_USESYSDIV | RCC_MOSCDIS);
    pause(OSCILLATOR_TURNS);
    RCC = (RCC & ~(RCC_XTAL | RCC_OSCSRC | RCC_PWRDN)) | RCC_XTAL_8_MHZ;
    RCC = (RCC & ~RCC_SYSDIV) | RCC_SYSDIV_4 | RCC_USESYSDIV;
    for (uint32_t turn = 0; turn < LOCK_TURNS && (RIS & RIS_PLLL) == 0u; turn++) {
    }
    RCC &= ~RCC_BYPASS;

    RCGC1 |= RCGC1_UART0;
    RCGC2 |= RCGC2_GPIOA;
    pause(3u); /* a peripheral's clock is there three cycles later */

    GPIOA_AFSEL |= 3u;
    GPIOA_DEN |= 3u;
    UART0_CTL = 0u;
    UART0_IBRD = BAUD_64THS / 64u;
    UART0_FBRD = BAUD_64THS % 64u;
    UART0_LCRH = LCRH_8_BITS | LCRH_FIFO;
    UART0_CTL = CTL_ENABLED;
}

void uart_putc(char c)
{
    for (uint32_t turn = 0; turn < ROOM_TURNS; turn++) {
        if ((UART0_FR & FR_TXFF) == 0u) {
            UART0_DR = (uint8_t)c;
            return;
        }
    }
}

int uart_getc_nonblocking(void)
{
    if ((UART0_FR & FR_RXFE) != 0u) {
        return -1;
    }
    return (int)(UART0_DR & 0xFFu);
}

void delay_ms(uint32_t ms)
{
    systick_delay(ms, CLOCK_HZ / 1000u);
}
