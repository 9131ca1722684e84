"""What erasing and programming do to the cells of a flash, and cells that fail. What may be done to them is up to its controller."""

import hashlib
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


def sector_of(offset: int, sector_bytes: int) -> range:
    """The offsets of the sector that holds `offset`, where all sectors have so many bytes."""
    start = offset - offset % sector_bytes
    return range(start, start + sector_bytes)


class FlashArray:
    """Erasing sets all bits, programming clears some. Offsets count from the array's first byte."""

    def __init__(self, cells: Cells) -> None:
        self.programmed_bytes = 0
        self.erased_sectors = 0
        self.flips: list[BitFlip] = []
        self.bad_sectors: list[range] = []
        self._cells = cells
        self._sha256: str | None = None

    def __len__(self) -> int:
        return len(self._cells)

    def read(self, offset: int, size: int) -> bytes:
        """What the cells hold."""
        return bytes(self._cells[offset : offset + size])

    def fails(self, offsets: range) -> bool:
        """Whether a bad sector lies in `offsets`, so that nothing there can be erased or programmed."""
        return any(offsets.start < bad.stop and bad.start < offsets.stop for bad in self.bad_sectors)

    def erase(self, offsets: range, *, sectors: int = 1) -> None:
        """Set every bit of `offsets`."""
        self._sha256 = None
        self._cells[offsets.start : offsets.stop] = b"\xff" * len(offsets)
        self.erased_sectors += sectors

    def program(self, offset: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`; a cell marked in `flips` goes wrong once."""
        self._sha256 = None
        end = offset + len(data)
        # As two big integers: a loop over the bytes of a block takes a hundred times as long.
        stored = int.from_bytes(self._cells[offset:end], "little") & int.from_bytes(data, "little")
        due = {flip for flip in self.flips if offset <= flip.offset < end}
        for flip in due:
            stored ^= 1 << 8 * (flip.offset - offset) + flip.bit
        self.flips = [flip for flip in self.flips if flip not in due]
        self._cells[offset:end] = stored.to_bytes(len(data), "little")
        self.programmed_bytes += len(data)

    def mend(self) -> None:
        """No sector is bad any more, and no bit waits for coming out wrong."""
        self.flips.clear()
        self.bad_sectors.clear()

    def sha256(self) -> str:
        """SHA-256 of the whole array in hex; worked out again only after a change."""
        if self._sha256 is None:
            self._sha256 = hashlib.sha256(self._cells[:]).hexdigest()
        return self._sha256
