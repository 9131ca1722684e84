/*
 * STM32F103: USART1 on PA9 (TX) and PA10 (RX), 115200 8N1, core on the internal 8 MHz oscillator (HSI) as after reset.
 * Registers: reference manual RM0008 (RCC 7.3, GPIO 9.2, USART 27.6).
 */
#include "board.h"
#include "stm32_board.h"

#define RCC_CR REGISTER(0x40021000u)
#define RCC_APB2ENR REGISTER(0x40021018u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_APB2ENR_IOPAEN (1u << 2)
#define RCC_APB2ENR_USART1EN (1u << 14)

#define GPIOA_CRH REGISTER(0x40010804u)
#define GPIOA_BSRR REGISTER(0x40010810u)

#define USART1_BRR REGISTER(0x40013808u)
#define USART1_CR1 REGISTER(0x4001380Cu)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_UE (1u << 13)

#define HSI_HZ 8000000u
#define SIMULATED_HZ 24000000u /* QEMU's stm32vldiscovery runs SysTick at this rate, whatever RCC is told */

const struct stm32_usart stm32_usart = {
    .status = 0x40013800u,
    .received = 0x40013804u,
    .sent = 0x40013804u,
    .room_turns = 100000u, /* at least 50 ms at 8 MHz; a byte takes 87 us */
};

uint32_t stm32_ticks_per_ms = HSI_HZ / 1000u;

void board_init(void)
{
    RCC_CR |= RCC_CR_HSION;
    /* A real chip that runs this line runs on its HSI, so the flag is set. It reads 0 only where the clock tree isn't modelled. */
    if (!stm32_becomes(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY)) {
        stm32_ticks_per_ms = SIMULATED_HZ / 1000u;
    }

    RCC_APB2ENR |= RCC_APB2ENR_IOPAEN | RCC_APB2ENR_USART1EN;
    (void)RCC_APB2ENR; /* reading back takes as long as the clock needs to be there */

    /* PA9: alternate function, push-pull, 10 MHz (1001). PA10: input with a pull (1000), which BSRR makes a pull-up. */
    GPIOA_BSRR = 1u << 10;
    GPIOA_CRH = (GPIOA_CRH & ~0xFF0u) | (0x9u << 4) | (0x8u << 8);

    /* BRR is the clock by the baud, rounded: 69, which is 115942 baud, 0.64 % fast. */
    USART1_BRR = BAUD_DIVIDER(HSI_HZ);
    USART1_CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE;
}
