"""The benchwire command: a whole lab on one machine."""
