/*
 * STM32F405 / F407: USART1 on PA9 (TX) and PA10 (RX), 115200 8N1, core on the internal 16 MHz oscillator (HSI) as after reset.
 * Registers: reference manual RM0090 (RCC 7.3, GPIO 8.4, USART 30.6).
 */
#include "board.h"
#include "stm32_board.h"

#define RCC_CR REGISTER(0x40023800u)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_AHB1ENR_GPIOAEN (1u << 0)
#define RCC_APB2ENR_USART1EN (1u << 4)

#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_OSPEEDR REGISTER(0x40020008u)
#define GPIOA_PUPDR REGISTER(0x4002000Cu)
#define GPIOA_AFRH REGISTER(0x40020024u)

#define USART1_BRR REGISTER(0x40011008u)
#define USART1_CR1 REGISTER(0x4001100Cu)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_UE (1u << 13)

#define HSI_HZ 16000000u
#define SIMULATED_HZ 168000000u /* QEMU's netduinoplus2 runs SysTick at this rate, whatever RCC is told */

const struct stm32_usart stm32_usart = {
    .status = 0x40011000u,
    .received = 0x40011004u,
    .sent = 0x40011004u,
    .room_turns = 200000u, /* at least 50 ms at 16 MHz; a byte takes 87 us */
};

uint32_t stm32_ticks_per_ms = HSI_HZ / 1000u;

void board_init(void)
{
    RCC_CR |= RCC_CR_HSION;
    /* A real chip that runs this line runs on its HSI, so the flag is set. It reads 0 only where the clock tree isn't modelled. */
    if (!stm32_becomes(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY)) {
        stm32_ticks_per_ms = SIMULATED_HZ / 1000u;
    }

    RCC_AHB1ENR |= RCC_AHB1ENR_GPIOAEN;
    RCC_APB2ENR |= RCC_APB2ENR_USART1EN;
    (void)RCC_APB2ENR; /* the peripheral's clock is there two cycles later (device errata sheet); reading back takes longer */

    /* PA9 and PA10: alternate function (MODER 10) 7 = USART1, pull-up on both so that an open RX is idle. */
    GPIOA_MODER = (GPIOA_MODER & ~((3u << 18) | (3u << 20))) | (2u << 18) | (2u << 20);
    GPIOA_OSPEEDR |= (1u << 18);
    GPIOA_PUPDR = (GPIOA_PUPDR & ~((3u << 18) | (3u << 20))) | (1u << 18) | (1u << 20);
    GPIOA_AFRH = (GPIOA_AFRH & ~((0xFu << 4) | (0xFu << 8))) | (7u << 4) | (7u << 8);

    /* OVER8 = 0: BRR is the clock by the baud, rounded: 139, which is 115108 baud, 0.08 % slow. */
    USART1_BRR = BAUD_DIVIDER(HSI_HZ);
    USART1_CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE;
}
