/*
 * What all STM32 boards share: waiting for a flag, bytes through USART1, and waiting for a time.
 * Registers: reference manuals RM0008 27.6 (F1), RM0090 30.6 (F4) and RM0351 40.8 (L4).
 */
#include "board.h"
#include "cortexm_systick.h"
#include "stm32_board.h"

#define STATUS_ORE (1u << 3)
#define STATUS_RXNE (1u << 5)
#define STATUS_TXE (1u << 7)
#define CLEAR_ORE (1u << 3)

#define READY_TURNS 10000u

bool stm32_becomes(const volatile uint32_t *where, uint32_t mask, uint32_t wanted)
{
    for (uint32_t turn = 0; turn < READY_TURNS; turn++) {
        if ((*where & mask) == wanted) {
            return true;
        }
    }
    return false;
}

void uart_putc(char c)
{
    for (uint32_t turn = 0; turn < stm32_usart.room_turns; turn++) {
        if ((REGISTER(stm32_usart.status) & STATUS_TXE) != 0u) {
            REGISTER(stm32_usart.sent) = (uint8_t)c;
            return;
        }
    }
}

int uart_getc_nonblocking(void)
{
    uint32_t status = REGISTER(stm32_usart.status);

    /* An overrun stops an L4's receiver until it is cleared (RM0351 40.5.3); an F1 and an F4 clear it by the read that follows. */
    if ((status & STATUS_ORE) != 0u && stm32_usart.clear != 0u) {
        REGISTER(stm32_usart.clear) = CLEAR_ORE;
    }
    if ((status & STATUS_RXNE) == 0u) {
        return -1;
    }
    return (int)(REGISTER(stm32_usart.received) & 0xFFu);
}

/* Exact on the clock that board_init() found or chose; wrong by the ratio of the clocks in firmware that switches to the PLL. */
void delay_ms(uint32_t ms)
{
    systick_delay(ms, stm32_ticks_per_ms);
}
