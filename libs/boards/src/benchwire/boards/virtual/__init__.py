"""Boards without hardware, for the same tools that flash real ones. One process each; see `main`."""
