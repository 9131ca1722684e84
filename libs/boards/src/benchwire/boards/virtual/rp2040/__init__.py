"""A virtual RP2040: its boot loader is a drive that takes UF2 files."""
