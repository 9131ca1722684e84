/*
 * STM32F103: USART1 on PA9 (TX) and PA10 (RX), 115200 8N1, core on the internal 8 MHz oscillator (HSI) as after reset.
 * Registers: reference manual RM0008 (RCC 7.3, GPIO 9.2, USART 27.6).
 */
#include "board.h"
#include "cortexm_systick.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define RCC_CR REGISTER(0x40021000u)
#define RCC_APB2ENR REGISTER(0x40021018u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 1)
#define RCC_APB2ENR_IOPAEN (1u << 2)
#define RCC_APB2ENR_USART1EN (1u << 14)

#define GPIOA_CRH REGISTER(0x40010804u)
#define GPIOA_BSRR REGISTER(0x40010810u)

#define USART1_SR REGISTER(0x40013800u)
#define USART1_DR REGISTER(0x40013804u)
#define USART1_BRR REGISTER(0x40013808u)
#define USART1_CR1 REGISTER(0x4001380Cu)
#define USART_SR_RXNE (1u << 5)
#define USART_SR_TXE (1u << 7)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_UE (1u << 13)

#define HSI_HZ 8000000u
#define SIMULATED_HZ 24000000u /* QEMU's stm32vldiscovery runs SysTick at this rate, whatever RCC is told */
#define BAUD 115200u

/* Nothing here waits for ever: the simulator's RCC reads 0, so a loop on a ready flag would never end there. */
#define READY_TURNS 10000u
#define ROOM_TURNS 100000u /* at least 50 ms at 8 MHz; a byte takes 87 us */

static uint32_t ticks_per_ms = HSI_HZ / 1000u;

void board_init(void)
{
    RCC_CR |= RCC_CR_HSION;
    for (uint32_t turn = 0; turn < READY_TURNS && (RCC_CR & RCC_CR_HSIRDY) == 0u; turn++) {
    }
    /* A real chip that runs this line runs on its HSI, so the flag is set. It reads 0 only where the clock tree isn't modelled. */
    if ((RCC_CR & RCC_CR_HSIRDY) == 0u) {
        ticks_per_ms = SIMULATED_HZ / 1000u;
    }

    RCC_APB2ENR |= RCC_APB2ENR_IOPAEN | RCC_APB2ENR_USART1EN;
    (void)RCC_APB2ENR; /* reading back takes as long as the clock needs to be there */

    /* PA9: alternate function, push-pull, 10 MHz (1001). PA10: input with a pull (1000), which BSRR makes a pull-up. */
    GPIOA_BSRR = 1u << 10;
    GPIOA_CRH = (GPIOA_CRH & ~0xFF0u) | (0x9u << 4) | (0x8u << 8);

    /* BRR is the clock by the baud, rounded: 69, which is 115942 baud, 0.64 % fast. */
    USART1_BRR = (HSI_HZ + BAUD / 2u) / BAUD;
    USART1_CR1 = USART_CR1_UE | USART_CR1_TE | USART_CR1_RE;
}

void uart_putc(char c)
{
    for (uint32_t turn = 0; turn < ROOM_TURNS; turn++) {
        if ((USART1_SR & USART_SR_TXE) != 0u) {
            USART1_DR = (uint8_t)c;
            return;
        }
    }
}

int uart_getc_nonblocking(void)
{
    if ((USART1_SR & USART_SR_RXNE) == 0u) {
        return -1;
    }
    return (int)(USART1_DR & 0xFFu); /* reading DR after SR also clears an overrun, RM0008 27.6.1 */
}

/*
 * Exact on the HSI, and exact in the simulator because board_init() saw which of the two it is; wrong by the ratio of the clocks in
 * firmware that switches to the PLL.
 */
void delay_ms(uint32_t ms)
{
    systick_delay(ms, ticks_per_ms);
}
