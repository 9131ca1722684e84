"""The board's SPI flash: 2 MiB, kept in a file."""

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from benchwire.boards.rp2040 import SECTOR_BYTES
from benchwire.boards.virtual.flash_file import flash_cells

SIZE_BYTES = 2 * 1024 * 1024
PAGE_BYTES = 256


class Flash:
    """Erasing sets a sector to 0xFF, programming can only clear bits. Offsets are those within the chip.

    Like the real chip it looks at as many address bits as it has: what lies beyond its end is its beginning again.
    """

    def __init__(self, cells: mmap.mmap) -> None:
        self._cells = cells
        self._flips: dict[int, int] = {}  # what is xored into a byte when it is programmed next
        self._bad: set[int] = set()  # the first byte of each sector that takes nothing any more

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The flash in the file ``path``. Raises ``BoardError`` when it can't be one."""
        with flash_cells(path, SIZE_BYTES) as cells:
            yield cls(cells)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """So many bytes."""
        return self._cells[offset : offset + size_bytes]

    def erase_sector(self, offset: int) -> None:
        """The sector in which ``offset`` lies."""
        start = offset % SIZE_BYTES // SECTOR_BYTES * SECTOR_BYTES
        if start not in self._bad:
            self._cells[start : start + SECTOR_BYTES] = b"\xff" * SECTOR_BYTES

    def program_page(self, offset: int, data: bytes) -> None:
        """``PAGE_BYTES`` of data at the start of a page."""
        start = offset % SIZE_BYTES
        if start // SECTOR_BYTES * SECTOR_BYTES in self._bad:
            return
        present = int.from_bytes(self._cells[start : start + PAGE_BYTES], "little")
        programmed = (present & int.from_bytes(data, "little")).to_bytes(PAGE_BYTES, "little")
        self._cells[start : start + PAGE_BYTES] = programmed
        for wrong in [at for at in self._flips if start <= at < start + PAGE_BYTES]:
            self._cells[wrong] ^= self._flips.pop(wrong)

    def flip_when_programmed(self, offset: int, bit: int) -> None:
        """The next time that this byte is programmed, one of its bits comes out wrong, once."""
        self._flips[offset] = 1 << bit

    def break_sector(self, offset: int) -> None:
        """From now on the sector keeps what it holds, whatever is done to it."""
        self._bad.add(offset // SECTOR_BYTES * SECTOR_BYTES)

    def heal(self) -> None:
        """What was to go wrong does not."""
        self._flips.clear()
        self._bad.clear()

    def sha256(self) -> str:
        """Of the whole chip, in hex."""
        return hashlib.sha256(self._cells).hexdigest()

    def used(self) -> bytes:
        """Everything up to the last byte that is not erased."""
        return self._cells[:].rstrip(b"\xff")
