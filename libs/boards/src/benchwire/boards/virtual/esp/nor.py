"""The SPI flash: a NOR chip whose bytes are kept in a file."""

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

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
    """Erasing sets a sector to 0xFF, programming can only clear bits; what is outside of the chip is refused.

    Every change is in the file at once, so that the content survives a power cycle and a killed process.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._wrong_bits: dict[int, int] = {}
        self._bad_sectors: set[int] = set()  # where they begin
        self._sha256: str | None = None

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The flash in the file `path`. Raises `BoardError` when it can't be one."""
        with flash_cells(path, SIZE_BYTES) as memory:
            yield cls(memory)

    @classmethod
    @contextmanager
    def in_memory(cls) -> Iterator[Self]:
        """An erased flash that nobody keeps."""
        with mmap.mmap(-1, SIZE_BYTES) as memory:
            memory[:] = b"\xff" * SIZE_BYTES
            yield cls(memory)

    def read(self, address: int, size_bytes: int) -> bytes:
        """`size_bytes` from `address` on. Raises `NorError` when they are not all in the chip."""
        self.check(address, size_bytes)
        return self._memory[address : address + size_bytes]

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`. Raises `NorError` when it doesn't fit in the chip, or a sector is bad."""
        self.check(address, len(data))
        end = address + len(data)
        if (bad := self._first_bad(address, end)) is not None:
            raise NorError(f"the sector at {bad:#x} can't be programmed")
        self._sha256 = None
        present = int.from_bytes(self._memory[address:end], "little")
        self._memory[address:end] = (present & int.from_bytes(data, "little")).to_bytes(len(data), "little")
        for wrong in [at for at in self._wrong_bits if address <= at < end]:
            self._memory[wrong] ^= self._wrong_bits.pop(wrong)

    def erase(self, address: int, size_bytes: int) -> None:
        """Erase every sector that the range touches, in order.

        Raises `NorError` when it is not all in the chip, or comes to a bad sector.
        """
        self.check(address, size_bytes)
        if size_bytes == 0:
            return
        self._sha256 = None
        first = address - address % SECTOR_BYTES
        end = -(-(address + size_bytes) // SECTOR_BYTES) * SECTOR_BYTES
        bad = self._first_bad(first, end)
        erased_to = end if bad is None else bad
        self._memory[first:erased_to] = b"\xff" * (erased_to - first)
        if bad is not None:
            raise NorError(f"the sector at {bad:#x} can't be erased")

    def flip_when_programmed(self, address: int, bit: int) -> None:
        """The next time `address` is programmed this bit of it (0 to 7) comes out wrong, once. Raises `NorError`."""
        self.check(address, 1)
        if not 0 <= bit < 8:
            raise NorError(f"a byte has the bits 0 to 7, and not {bit}")
        self._wrong_bits[address] = 1 << bit

    def fail_at(self, address: int) -> None:
        """From now on the sector with `address` can't be erased or programmed. Raises `NorError`."""
        self.check(address, 1)
        self._bad_sectors.add(address - address % SECTOR_BYTES)

    def mend(self) -> None:
        """No sector is bad any more, and no bit waits for coming out wrong."""
        self._bad_sectors.clear()
        self._wrong_bits.clear()

    def md5(self, address: int, size_bytes: int) -> bytes:
        """The 16 bytes of the MD5 of a range. Raises `NorError`."""
        # MD5 is what the loader's protocol asks for; it guards against a bad line, not against an attacker.
        return hashlib.md5(self.read(address, size_bytes), usedforsecurity=False).digest()

    def sha256(self) -> str:
        """SHA-256 of the whole chip in hex; worked out again only after a change."""
        if self._sha256 is None:
            self._sha256 = hashlib.sha256(self._memory).hexdigest()
        return self._sha256

    def _first_bad(self, start: int, end: int) -> int | None:
        return min((bad for bad in self._bad_sectors if bad < end and start < bad + SECTOR_BYTES), default=None)

    def check(self, address: int, size_bytes: int) -> None:
        """Raises `NorError` unless the whole range lies in the chip."""
        if address < 0 or size_bytes < 0 or address + size_bytes > SIZE_BYTES:
            raise NorError(f"{size_bytes} bytes at {address:#x} don't lie in a flash of {SIZE_BYTES:#x} bytes")
