"""Writing flash and RAM in blocks that the host sends."""

import zlib

from benchwire.boards.virtual.esp.nor import SECTOR_BYTES, Nor, NorError
from benchwire.boards.virtual.esp.packets import INFLATE_FAILED, WRITE_FAILED, LoaderError
from benchwire.boards.virtual.esp.ram import Ram


class RamWrite:
    """An upload of `size_bytes` to `address` in RAM. Raises `RamError` when they are not all RAM."""

    def __init__(self, ram: Ram, *, address: int, size_bytes: int, block_bytes: int) -> None:
        ram.read(address, size_bytes)
        self._ram = ram
        self._address = address
        self._block_bytes = block_bytes

    def block(self, sequence: int, data: bytes) -> None:
        """Write the block with number `sequence`. Raises `RamError`."""
        self._ram.write(self._address + sequence * self._block_bytes, data)


class FlashWrite:
    """One write of `size_bytes` from `address` on, plain or compressed.

    The ROM erases everything up front; the stub erases a sector when it comes to it. Raises `NorError` when the range
    is not in the flash.
    """

    def __init__(self, nor: Nor, *, address: int, size_bytes: int, compressed: bool, erase_first: bool) -> None:
        nor.check(address, size_bytes)
        self._nor = nor
        self._at = address
        self._end = address + size_bytes
        self._erased_to = address - address % SECTOR_BYTES
        self._inflate = zlib.decompressobj() if compressed else None
        self._next_sequence = 0
        self._broken: NorError | None = None
        if erase_first:
            nor.erase(address, size_bytes)
            self._erased_to = self._end

    def block(self, sequence: int, data: bytes) -> None:
        """Write the block with number `sequence`. One that came before (its answer got lost) changes nothing.

        Raises `LoaderError`, and `NorError` from the first block on that the flash could not take.
        """
        if self._broken is not None:
            raise self._broken
        if sequence < self._next_sequence:
            return
        if sequence > self._next_sequence:
            raise LoaderError(WRITE_FAILED)  # one between them got lost
        # The last plain block is filled up with 0xFF; what is beyond the announced size is not written.
        plain = data[: self._end - self._at] if self._inflate is None else self._inflated(data)
        try:
            self._write(plain)
        except NorError as error:
            self._broken = error
            raise
        self._next_sequence += 1

    def _inflated(self, data: bytes) -> bytes:
        assert self._inflate is not None
        room_bytes = self._end - self._at
        try:
            plain = self._inflate.decompress(data, room_bytes + 1)
        except zlib.error as error:
            raise LoaderError(INFLATE_FAILED) from error
        if len(plain) > room_bytes:
            raise LoaderError(WRITE_FAILED)  # more data than announced
        return plain

    def _write(self, data: bytes) -> None:
        end = self._at + len(data)
        if end > self._erased_to:
            self._nor.erase(self._erased_to, end - self._erased_to)
            self._erased_to = -(-end // SECTOR_BYTES) * SECTOR_BYTES
        self._nor.program(self._at, data)
        self._at = end
