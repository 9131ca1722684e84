/* What the code that all STM32 boards share has to know of one, and what that code leaves to the board: board_init(). */
#ifndef STM32_BOARD_H
#define STM32_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define BAUD 115200u
/* BRR without oversampling by 8: the clock by the baud, rounded. */
#define BAUD_DIVIDER(clock_hz) (((clock_hz) + BAUD / 2u) / BAUD)

/* Where USART1 has its status (SR or ISR: the flags used here are in the same places) and its data (DR, or RDR and TDR). */
struct stm32_usart {
    uint32_t status;
    uint32_t received;
    uint32_t sent;
    uint32_t clear; /* ICR; 0 where reading the data clears an overrun */
    uint32_t room_turns;
};
extern const struct stm32_usart stm32_usart;

/* Whether the bits of `mask` at `where` become `wanted`. It doesn't wait for ever: where a simulator has no RCC they never do. */
bool stm32_becomes(const volatile uint32_t *where, uint32_t mask, uint32_t wanted);

/* What delay_ms() counts on: set by board_init(). */
extern uint32_t stm32_ticks_per_ms;

#endif
