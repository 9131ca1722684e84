"""The SPI flash: a NOR chip whose bytes are kept in a file."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from benchwire.boards.virtual.flash_array import BitFlip, Cells, FlashArray, sector_of
from benchwire.boards.virtual.flash_file import flash_cells

SIZE_BYTES = 4 * 1024 * 1024
SECTOR_BYTES = 4096

# What the chip answers to RDID (0x9F): GigaDevice, family 0x40, 2**0x16 bytes.
JEDEC_ID = bytes([0xC8, 0x40, 0x16])

# The head of the chip's SFDP table (JESD216): signature, revision 1.6, one parameter header. The rest reads erased.
SFDP = b"SFDP" + bytes([0x06, 0x01, 0x00, 0xFF]) + bytes([0x00, 0x06, 0x01, 0x10, 0x30, 0x00, 0x00, 0xFF])


class NorError(Exception):
    """The flash can't do this, e.g. because the range lies outside of it or a sector is bad."""


class Nor:
    """A flash that refuses what is outside of the chip.

    Every change is in the file at once, so that the content survives a power cycle and a killed process.
    """

    def __init__(self, cells: Cells) -> None:
        self._array = FlashArray(cells)

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The flash in the file `path`. Raises `BoardError` when it can't be one."""
        with flash_cells(path, SIZE_BYTES) as cells:
            yield cls(cells)

    @classmethod
    def in_memory(cls) -> Self:
        """An erased flash that nobody keeps."""
        return cls(bytearray(b"\xff" * SIZE_BYTES))

    def read(self, address: int, size_bytes: int) -> bytes:
        """`size_bytes` from `address` on. Raises `NorError` when they are not all in the chip."""
        self.check(address, size_bytes)
        return self._array.read(address, size_bytes)

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`. Raises `NorError` when it doesn't fit in the chip, or a sector is bad."""
        self.check(address, len(data))
        for sector in _sectors(address, len(data)):
            if self._array.fails(sector):
                raise NorError(f"the sector at {sector.start:#x} can't be programmed")
        self._array.program(address, data)

    def erase(self, address: int, size_bytes: int) -> None:
        """Erase every sector that the range touches, in order.

        Raises `NorError` when it is not all in the chip, or comes to a bad sector.
        """
        self.check(address, size_bytes)
        for sector in _sectors(address, size_bytes):
            if self._array.fails(sector):
                raise NorError(f"the sector at {sector.start:#x} can't be erased")
            self._array.erase(sector)

    def flip_when_programmed(self, address: int, bit: int) -> None:
        """The next time `address` is programmed this bit of it (0 to 7) comes out wrong, once. Raises `NorError`."""
        self.check(address, 1)
        self._array.flips.append(BitFlip(offset=address, bit=bit))

    def fail_at(self, address: int) -> None:
        """From now on the sector with `address` can't be erased or programmed. Raises `NorError`."""
        self.check(address, 1)
        self._array.bad_sectors.append(sector_of(address, SECTOR_BYTES))

    def mend(self) -> None:
        """No sector is bad any more, and no bit waits for coming out wrong."""
        self._array.mend()

    def md5(self, address: int, size_bytes: int) -> bytes:
        """The 16 bytes of the MD5 of a range. Raises `NorError`."""
        # MD5 is what the loader's protocol asks for; it guards against a bad line, not against an attacker.
        return hashlib.md5(self.read(address, size_bytes), usedforsecurity=False).digest()

    def sha256(self) -> str:
        """SHA-256 of the whole chip in hex."""
        return self._array.sha256()

    def check(self, address: int, size_bytes: int) -> None:
        """Raises `NorError` unless the whole range lies in the chip."""
        if address < 0 or size_bytes < 0 or address + size_bytes > SIZE_BYTES:
            raise NorError(f"{size_bytes} bytes at {address:#x} don't lie in a flash of {SIZE_BYTES:#x} bytes")


def _sectors(address: int, size_bytes: int) -> Iterator[range]:
    """Those that the range touches; an empty one touches none."""
    end = address + size_bytes if size_bytes else 0
    return (sector_of(at, SECTOR_BYTES) for at in range(address - address % SECTOR_BYTES, end, SECTOR_BYTES))
