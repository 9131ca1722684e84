"""A virtual STM32F405 that untouched pyocd flashes and whose firmware runs in QEMU."""
