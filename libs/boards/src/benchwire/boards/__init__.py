"""Board profiles with their start-up code, and virtual boards that real tools flash."""
