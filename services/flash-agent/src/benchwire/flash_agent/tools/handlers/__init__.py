"""Ways to a serial port that pyserial's own handlers are too slow for; pyserial finds a handler here by its name."""
