"""The flash controller of the nRF51 (NVMC): pages of 1 KiB, programmed in words (nRF51 reference manual, chapter 6).

It has no error flags. The array's first part is the code flash, its last page holds the UICR.
"""

from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.flash_array import FlashArray, sector_of

READY, CONFIG, ERASEPAGE, ERASEALL, ERASEPCR0, ERASEUICR = 0x400, 0x504, 0x508, 0x50C, 0x510, 0x514

READ_ONLY, WRITE_ENABLED, ERASE_ENABLED = 0, 1, 2

PAGE_BYTES = 1024
WORD_BYTES = 4
UICR_BYTES = 4096  # with what follows it up to the next 4 KiB; reads and writes there reach nothing else


class FlashNvmc:
    """See `FlashController`. In a bad sector nothing changes, and only reading back shows it."""

    def __init__(self, array: FlashArray) -> None:
        self._array = array
        self._code = range(len(array) - UICR_BYTES)
        self._uicr = range(len(array) - UICR_BYTES, len(array))
        self.reset()

    def reset(self) -> None:
        """Neither writing nor erasing is enabled."""
        self._mode = READ_ONLY

    def sector_at(self, offset: int) -> range:
        """A page, or the UICR."""
        if offset in self._uicr:
            return self._uicr
        return sector_of(offset, PAGE_BYTES)

    def read(self, offset: int) -> int:
        """A register."""
        return {READY: 1, CONFIG: self._mode}.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """A register. Without ERASE_ENABLED an order to erase does nothing."""
        if offset == CONFIG:
            self._mode = value & 3
        elif offset in (ERASEPAGE, ERASEPCR0) and value in self._code:
            self._erase(self.sector_at(value))
        elif offset == ERASEALL and value == 1:
            self._erase(self._code, sectors=len(self._code) // PAGE_BYTES)
            self._erase(self._uicr)
        elif offset == ERASEUICR and value == 1:
            self._erase(self._uicr)

    def program(self, offset: int, data: bytes) -> None:
        """A store to the array; one that isn't an aligned word, or that isn't enabled, is a fault."""
        if len(data) != WORD_BYTES or offset % WORD_BYTES:
            raise BusFault(f"flash offset {offset:#x} takes aligned words only")
        if self._mode != WRITE_ENABLED:
            raise BusFault(f"flash offset {offset:#x} was written while the NVMC's CONFIG doesn't allow it")
        if not self._array.fails(range(offset, offset + WORD_BYTES)):
            self._array.program(offset, data)

    def _erase(self, offsets: range, *, sectors: int = 1) -> None:
        if self._mode == ERASE_ENABLED and not self._array.fails(offsets):
            self._array.erase(offsets, sectors=sectors)
