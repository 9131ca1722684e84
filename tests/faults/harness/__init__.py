"""Faults from a seeded plan in a lab under load, and what has to be true of it afterwards."""
