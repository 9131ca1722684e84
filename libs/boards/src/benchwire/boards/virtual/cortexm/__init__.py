"""Virtual Cortex-M boards that untouched pyocd flashes and whose firmware runs."""
