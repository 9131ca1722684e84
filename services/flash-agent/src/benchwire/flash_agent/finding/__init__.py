"""Where boards are found: serial ports, debug probes, virtual boards, and the file in which a person says what is there."""
