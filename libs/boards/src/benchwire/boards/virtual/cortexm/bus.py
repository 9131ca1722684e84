"""What the buses of a chip have in common."""


class BusFault(Exception):
    """There is nothing at this address, or it can't be accessed like this."""
