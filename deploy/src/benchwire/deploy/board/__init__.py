"""Virtual boards that are added to a lab on this machine, and a hand on each."""
