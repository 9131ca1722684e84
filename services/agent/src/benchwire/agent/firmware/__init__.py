"""Firmware tasks: planned into nodes; each is written, built, simulated, judged, and put on a board."""
