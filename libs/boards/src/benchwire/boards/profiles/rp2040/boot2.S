/*
 * The RP2040's second stage: the boot ROM copies the first 256 bytes of flash to the end of RAM, compares their checksum, and runs them.
 * It sets up execution in place: each read of the window at 0x10000000 becomes a serial read command (03h), which every flash chip knows.
 * Registers: RP2040 datasheet 4.10.13 (SSI). Position-independent, because it runs from RAM.
 */
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ SSI, 0x18000000
    .equ SSI_CTRLR0, 0x00
    .equ SSI_CTRLR1, 0x04
    .equ SSI_SSIENR, 0x08
    .equ SSI_BAUDR, 0x14
    .equ SSI_SPI_CTRLR0, 0xf4
    .equ VTOR, 0xe000ed08
    .equ VECTORS, 0x10000100

    .section .boot2, "ax"
    .global boot2
    .type boot2, %function
    .thumb_func
boot2:
    ldr r0, =SSI
    movs r1, #0
    str r1, [r0, #SSI_SSIENR] /* it can be set up only while it is off */
    movs r1, #4               /* an even divisor; 03h is good for at least 33 MHz, so for a core of up to 133 MHz */
    str r1, [r0, #SSI_BAUDR]
    ldr r1, =(31 << 16) | (3 << 8) /* standard SPI, frames of 32 bits, send a command and receive */
    str r1, [r0, #SSI_CTRLR0]
    movs r1, #0 /* one frame for each read */
    str r1, [r0, #SSI_CTRLR1]
    ldr r1, =(0x03 << 24) | (2 << 8) | (6 << 2) /* command 03h, 8 bits of it, 24 bits of address */
    movs r2, #SSI_SPI_CTRLR0
    str r1, [r0, r2]
    movs r1, #1
    str r1, [r0, #SSI_SSIENR]

    ldr r0, =VECTORS
    ldr r1, =VTOR
    str r0, [r1]
    ldmia r0, {r0, r1}
    msr msp, r0
    bx r1
    .pool

    /* Checksum of the 252 bytes before it; a test compares it with what the ROM would compute. */
    .org 252
    .word 0x0654c8b0
