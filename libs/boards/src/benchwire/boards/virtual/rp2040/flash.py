"""The board's SPI flash: 2 MiB, kept in a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from benchwire.boards.rp2040 import SECTOR_BYTES
from benchwire.boards.virtual.flash_array import BitFlip, Cells, FlashArray, sector_of
from benchwire.boards.virtual.flash_file import flash_cells

SIZE_BYTES = 2 * 1024 * 1024
PAGE_BYTES = 256


class Flash:
    """Offsets are those within the chip. A bad sector keeps what it holds, and nobody is told.

    Like the real chip it looks at as many address bits as it has: what lies beyond its end is its beginning again.
    """

    def __init__(self, cells: Cells) -> None:
        self._array = FlashArray(cells)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The flash in the file ``path``. Raises ``BoardError`` when it can't be one."""
        with flash_cells(path, SIZE_BYTES) as cells:
            yield cls(cells)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """So many bytes."""
        return self._array.read(offset, size_bytes)

    def erase_sector(self, offset: int) -> None:
        """The sector in which ``offset`` lies."""
        sector = sector_of(offset % SIZE_BYTES, SECTOR_BYTES)
        if not self._array.fails(sector):
            self._array.erase(sector)

    def program_page(self, offset: int, data: bytes) -> None:
        """``PAGE_BYTES`` of data at the start of a page."""
        start = offset % SIZE_BYTES
        if not self._array.fails(range(start, start + PAGE_BYTES)):
            self._array.program(start, data)

    def flip_when_programmed(self, offset: int, bit: int) -> None:
        """The next time that this byte is programmed, one of its bits comes out wrong, once."""
        self._array.flips.append(BitFlip(offset=offset, bit=bit))

    def break_sector(self, offset: int) -> None:
        """From now on the sector keeps what it holds, whatever is done to it."""
        self._array.bad_sectors.append(sector_of(offset, SECTOR_BYTES))

    def mend(self) -> None:
        """No sector is bad any more, and no bit waits for coming out wrong."""
        self._array.mend()

    def sha256(self) -> str:
        """Of the whole chip, in hex."""
        return self._array.sha256()

    def used(self) -> bytes:
        """Everything up to the last byte that is not erased."""
        return self._array.read(0, SIZE_BYTES).rstrip(b"\xff")
