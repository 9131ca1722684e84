"""Virtual boards with a chip of the ESP32 family; what differs from chip to chip stands in `chips.py`."""
