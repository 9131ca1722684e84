"""Firmware for AVR microcontrollers, running: simavr's library is the core and its peripherals."""
