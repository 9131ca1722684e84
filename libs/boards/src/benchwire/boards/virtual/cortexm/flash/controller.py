"""What a flash controller offers to the chip around it."""

from typing import Protocol


class FlashController(Protocol):
    """Registers and rules. An operation is done at once, so that a busy flag is never seen set."""

    def reset(self) -> None:
        """System reset: locked, no flags; the array keeps what it holds."""

    def read(self, offset: int) -> int:
        """The word at register `offset`; keys and reserved offsets read 0."""

    def write(self, offset: int, value: int) -> None:
        """Write the word at register `offset`; a sequence that the controller doesn't allow sets a flag."""

    def program(self, offset: int, data: bytes) -> None:
        """A store of `data` (1, 2, 4 or 8 bytes, little endian) at `offset` in the array.

        What the rules forbid changes nothing and sets a flag, or raises `BusFault` where the chip answers with a fault.
        """

    def sector_at(self, offset: int) -> range:
        """The offsets that are erased together with `offset`."""
