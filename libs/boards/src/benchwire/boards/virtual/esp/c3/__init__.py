"""Running an app of the ESP32-C3: its RISC-V core and the peripherals that an app sees."""
