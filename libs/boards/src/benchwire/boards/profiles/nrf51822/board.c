/*
 * nRF51822: UART on P0.24 (TX) and P0.25 (RX), as on the BBC micro:bit, 115200 8N1, core on the 16 MHz clock.
 * Registers: nRF51 series reference manual 3.0 (CLOCK 13, GPIO 14, TIMER 18, UART 29). The chip has no SysTick.
 */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x40000000u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x40000100u)

#define UART_TASKS_STARTRX REGISTER(0x40002000u)
#define UART_TASKS_STARTTX REGISTER(0x40002008u)
#define UART_EVENTS_RXDRDY REGISTER(0x40002108u)
#define UART_EVENTS_TXDRDY REGISTER(0x4000211Cu)
#define UART_ENABLE REGISTER(0x40002500u)
#define UART_PSELTXD REGISTER(0x4000250Cu)
#define UART_PSELRXD REGISTER(0x40002514u)
#define UART_RXD REGISTER(0x40002518u)
#define UART_TXD REGISTER(0x4000251Cu)
#define UART_BAUDRATE REGISTER(0x40002524u)
#define UART_ENABLED 4u
#define UART_115200 0x01D7E000u

#define GPIO_OUTSET REGISTER(0x50000508u)
#define GPIO_DIRSET REGISTER(0x50000518u)
#define GPIO_PIN_CNF(pin) REGISTER(0x50000700u + 4u * (pin))
#define PIN_INPUT_PULLED_UP (3u << 2)
#define TX_PIN 24u
#define RX_PIN 25u

#define TIMER0_TASKS_START REGISTER(0x40008000u)
#define TIMER0_TASKS_STOP REGISTER(0x40008004u)
#define TIMER0_TASKS_CLEAR REGISTER(0x4000800Cu)
#define TIMER0_EVENTS_COMPARE0 REGISTER(0x40008140u)
#define TIMER0_INTENSET REGISTER(0x40008304u)
#define TIMER0_INTENCLR REGISTER(0x40008308u)
#define TIMER0_MODE REGISTER(0x40008504u)
#define TIMER0_BITMODE REGISTER(0x40008508u)
#define TIMER0_PRESCALER REGISTER(0x40008510u)
#define TIMER0_CC0 REGISTER(0x40008540u)
#define TIMER_COMPARE0 (1u << 16)
#define TIMER_32_BITS 3u
#define TIMER_1_MHZ 4u /* 16 MHz by two to the power of this */

#define NVIC_ISER REGISTER(0xE000E100u)
#define NVIC_ICER REGISTER(0xE000E180u)
#define NVIC_ICPR REGISTER(0xE000E280u)
#define TIMER0_INTERRUPT (1u << 8)

/* Nothing here waits for ever: the simulator has no CLOCK, so its event never comes there. */
#define READY_TURNS 10000u
#define ROOM_TURNS 100000u /* at least 50 ms at 16 MHz; a byte takes 87 us */

/* At most an hour at a time: 32 bits of microseconds are 71 minutes. */
#define SLICE_MS 3600000u

static int sending;

void board_init(void)
{
    /* The crystal: the internal oscillator is too far off for a UART over temperature. */
    CLOCK_EVENTS_HFCLKSTARTED = 0u;
    CLOCK_TASKS_HFCLKSTART = 1u;
    for (uint32_t turn = 0; turn < READY_TURNS && CLOCK_EVENTS_HFCLKSTARTED == 0u; turn++) {
    }

    GPIO_OUTSET = 1u << TX_PIN; /* an idle line is high */
    GPIO_DIRSET = 1u << TX_PIN;
    GPIO_PIN_CNF(RX_PIN) = PIN_INPUT_PULLED_UP;
    UART_PSELTXD = TX_PIN;
    UART_PSELRXD = RX_PIN;
    UART_BAUDRATE = UART_115200;
    UART_ENABLE = UART_ENABLED;
    UART_TASKS_STARTTX = 1u;
    UART_TASKS_STARTRX = 1u;

    TIMER0_MODE = 0u;
    TIMER0_BITMODE = TIMER_32_BITS;
    TIMER0_PRESCALER = TIMER_1_MHZ;
    /* QEMU asks whether the UART takes bytes only when something wakes its main loop, and STARTRX doesn't: a timer does. */
    delay_ms(1);
}

void uart_putc(char c)
{
    /* TXDRDY says that a byte went out, so before the first one there is nothing to wait for. */
    for (uint32_t turn = 0; sending && UART_EVENTS_TXDRDY == 0u; turn++) {
        if (turn == ROOM_TURNS) {
            return;
        }
    }
    UART_EVENTS_TXDRDY = 0u;
    sending = 1;
    UART_TXD = (uint8_t)c;
}

int uart_getc_nonblocking(void)
{
    if (UART_EVENTS_RXDRDY == 0u) {
        return -1;
    }
    UART_EVENTS_RXDRDY = 0u; /* before reading RXD, which may bring the next event at once, reference manual 29.5 */
    return (int)(UART_RXD & 0xFFu);
}

/* TIMER0 wakes a sleeping core, so that a waiting board costs next to nothing. */
static void wait_us(uint32_t us)
{
    TIMER0_TASKS_STOP = 1u;
    TIMER0_TASKS_CLEAR = 1u;
    TIMER0_EVENTS_COMPARE0 = 0u;
    TIMER0_CC0 = us;
    TIMER0_INTENSET = TIMER_COMPARE0;
    /* With interrupts masked the handler doesn't run, but a pending interrupt ends a sleep, and one that comes before it, too. */
    __asm__ volatile("cpsid i" ::: "memory");
    NVIC_ISER = TIMER0_INTERRUPT;
    TIMER0_TASKS_START = 1u;
    while (TIMER0_EVENTS_COMPARE0 == 0u) {
        __asm__ volatile("wfi" ::: "memory");
        NVIC_ICER = TIMER0_INTERRUPT; /* what else woke the core is handled here, TIMER0 is not */
        __asm__ volatile("cpsie i\n isb\n cpsid i" ::: "memory");
        NVIC_ISER = TIMER0_INTERRUPT;
    }
    TIMER0_TASKS_STOP = 1u;
    TIMER0_INTENCLR = TIMER_COMPARE0;
    TIMER0_EVENTS_COMPARE0 = 0u;
    NVIC_ICER = TIMER0_INTERRUPT;
    NVIC_ICPR = TIMER0_INTERRUPT;
    __asm__ volatile("cpsie i" ::: "memory");
}

void delay_ms(uint32_t ms)
{
    while (ms != 0u) {
        uint32_t slice_ms = ms < SLICE_MS ? ms : SLICE_MS;

        wait_us(slice_ms * 1000u);
        ms -= slice_ms;
    }
}
