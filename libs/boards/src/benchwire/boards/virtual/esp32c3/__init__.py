"""A virtual ESP32-C3: its ROM loader, its flash, and a RISC-V core that runs what was flashed."""
