"""The firmware of an STM32L475, running: Debian's QEMU has no machine for it, so unicorn is its core."""
