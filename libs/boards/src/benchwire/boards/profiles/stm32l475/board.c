/*
 * STM32L475: USART1 on PB6 (TX) and PB7 (RX), as on the B-L475E-IOT01A board, 115200 8N1, core on the internal 16 MHz oscillator (HSI16).
 * Registers: reference manual RM0351 (RCC 6.4, GPIO 8.4, USART 40.8).
 */
#include "board.h"
#include "stm32_board.h"

#define RCC_CR REGISTER(0x40021000u)
#define RCC_CFGR REGISTER(0x40021008u)
#define RCC_AHB2ENR REGISTER(0x4002104Cu)
#define RCC_APB2ENR REGISTER(0x40021060u)
#define RCC_CCIPR REGISTER(0x40021088u)
#define RCC_CR_HSION (1u << 8)
#define RCC_CR_HSIRDY (1u << 10)
#define RCC_CFGR_SW 0x3u
#define RCC_CFGR_SW_HSI16 0x1u
#define RCC_CFGR_SWS 0xCu
#define RCC_CFGR_SWS_HSI16 0x4u
#define RCC_AHB2ENR_GPIOBEN (1u << 1)
#define RCC_APB2ENR_USART1EN (1u << 14)
#define RCC_CCIPR_USART1SEL 0x3u
#define RCC_CCIPR_USART1SEL_HSI16 0x2u

#define GPIOB_MODER REGISTER(0x48000400u)
#define GPIOB_OSPEEDR REGISTER(0x48000408u)
#define GPIOB_PUPDR REGISTER(0x4800040Cu)
#define GPIOB_AFRL REGISTER(0x48000420u)

#define USART1_CR1 REGISTER(0x40013800u)
#define USART1_BRR REGISTER(0x4001380Cu)
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)

#define MSI_HZ 4000000u /* what runs after a reset */
#define HSI_HZ 16000000u

const struct stm32_usart stm32_usart = {
    .status = 0x4001381Cu,
    .received = 0x40013824u,
    .sent = 0x40013828u,
    .clear = 0x40013820u,
    .room_turns = 200000u, /* at least 50 ms at 16 MHz; a byte takes 87 us */
};

uint32_t stm32_ticks_per_ms = MSI_HZ / 1000u;

void board_init(void)
{
    RCC_CR |= RCC_CR_HSION;
    (void)stm32_becomes(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_SW) | RCC_CFGR_SW_HSI16;
    if (stm32_becomes(&RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_HSI16)) {
        stm32_ticks_per_ms = HSI_HZ / 1000u;
    }

    RCC_AHB2ENR |= RCC_AHB2ENR_GPIOBEN;
    RCC_CCIPR = (RCC_CCIPR & ~RCC_CCIPR_USART1SEL) | RCC_CCIPR_USART1SEL_HSI16;
    RCC_APB2ENR |= RCC_APB2ENR_USART1EN;
    (void)RCC_APB2ENR; /* the peripheral's clock is there two cycles later, RM0351 6.2.18; reading back takes longer */

    /* PB6 and PB7: alternate function (MODER 10) 7 = USART1, pull-up on both so that an open RX is idle. */
    GPIOB_MODER = (GPIOB_MODER & ~((3u << 12) | (3u << 14))) | (2u << 12) | (2u << 14);
    GPIOB_OSPEEDR |= (1u << 12);
    GPIOB_PUPDR = (GPIOB_PUPDR & ~((3u << 12) | (3u << 14))) | (1u << 12) | (1u << 14);
    GPIOB_AFRL = (GPIOB_AFRL & ~((0xFu << 24) | (0xFu << 28))) | (7u << 24) | (7u << 28);

    /* OVER8 = 0: BRR is the clock by the baud, rounded: 139, which is 115108 baud, 0.08 % slow. */
    USART1_BRR = BAUD_DIVIDER(HSI_HZ);
    USART1_CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE;
}
