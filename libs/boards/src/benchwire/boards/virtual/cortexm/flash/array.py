"""The flash array itself, without its controller's rules: what erasing and programming do to cells, and cells that fail."""

from typing import Protocol

import msgspec


class Cells(Protocol):
    """The bytes of the array: a slice reads and writes them (an mmap, a bytearray)."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, key: slice, /) -> bytes | bytearray:
        """Read."""

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        """Write, whatever was there before."""


class BitFlip(msgspec.Struct, frozen=True, kw_only=True):
    """One cell that is going to fail: the next programming of `offset` stores `bit` (0..7) of that byte wrongly."""

    offset: int
    bit: int


class FlashArray:
    """Erasing sets all bits, programming clears some. Offsets count from the array's first byte."""

    def __init__(self, cells: Cells) -> None:
        self.programmed_bytes = 0
        self.erased_sectors = 0
        self.flips: list[BitFlip] = []
        self.bad_sectors: list[range] = []
        self._cells = cells

    def __len__(self) -> int:
        return len(self._cells)

    def read(self, offset: int, size: int) -> bytes:
        """What the cells hold."""
        return bytes(self._cells[offset : offset + size])

    def fails(self, offsets: range) -> bool:
        """Whether a bad sector lies in `offsets`, so that nothing there can be erased or programmed."""
        return any(offsets.start < bad.stop and bad.start < offsets.stop for bad in self.bad_sectors)

    def erase(self, offsets: range, *, sectors: int) -> None:
        """Set every bit of `offsets`."""
        self._cells[offsets.start : offsets.stop] = b"\xff" * len(offsets)
        self.erased_sectors += sectors

    def program(self, offset: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`; a cell marked in `flips` goes wrong once."""
        stored = bytearray(old & new for old, new in zip(self.read(offset, len(data)), data, strict=True))
        for flip in [flip for flip in self.flips if offset <= flip.offset < offset + len(stored)]:
            stored[flip.offset - offset] ^= 1 << flip.bit
            self.flips.remove(flip)
        self._cells[offset : offset + len(data)] = bytes(stored)
        self.programmed_bytes += len(data)
