"""The STM32F4 flash controller: sectors of several sizes, programmed in units of PSIZE (RM0090 §3)."""

from benchwire.boards.virtual.cortexm.flash.st import CR_EOPIE, CR_ERRIE, CR_PG, SR_WRPERR, Map, StFlash

KEYR, SR, CR, OPTCR = 0x04, 0x0C, 0x10, 0x14

CR_SER, CR_MER = 1 << 1, 1 << 2
CR_SNB_SHIFT, CR_SNB_MASK = 3, 0xF
CR_PSIZE_SHIFT, CR_PSIZE_MASK = 8, 0x3
CR_STRT, CR_LOCK = 1 << 16, 1 << 31
CR_STORED = (
    CR_PG | CR_SER | CR_MER | (CR_SNB_MASK << CR_SNB_SHIFT) | (CR_PSIZE_MASK << CR_PSIZE_SHIFT) | CR_EOPIE | CR_ERRIE
)

SR_PGAERR, SR_PGPERR, SR_PGSERR = 1 << 5, 1 << 6, 1 << 7

# four sectors of 16 KiB, one of 64 KiB, seven of 128 KiB
SECTOR_BYTES = (0x4000,) * 4 + (0x1_0000,) + (0x2_0000,) * 7

# one programming operation can't leave its 128-bit row
ROW_BYTES = 16


def sector_range(sector: int) -> range:
    """The offsets of `sector`. Raises IndexError for a sector that the chip doesn't have."""
    if not 0 <= sector < len(SECTOR_BYTES):
        raise IndexError(sector)
    start = sum(SECTOR_BYTES[:sector])
    return range(start, start + SECTOR_BYTES[sector])


class FlashF4(StFlash):
    """The sector to erase is named by its number."""

    MAP = Map(
        key=KEYR,
        status=SR,
        status_clearable=0xF3,
        control=CR,
        control_stored=CR_STORED,
        start=CR_STRT,
        lock=CR_LOCK,
        access_stored=0x1F07,
        access_reset=0,
        fixed={OPTCR: 0x0FFF_AAED},
    )

    def sector_at(self, offset: int) -> range:
        """One of the twelve sectors."""
        return next(found for found in map(sector_range, range(len(SECTOR_BYTES))) if offset in found)

    def program(self, offset: int, data: bytes) -> None:
        """A store to the array."""
        error = self._programming_error(offset, len(data))
        if error:
            self._fail(error)
            return
        self._array.program(offset, data)
        self._succeed()

    def _programming_error(self, offset: int, size: int) -> int:
        if self._lock.locked or not self._cr & CR_PG or self._cr & (CR_SER | CR_MER):
            return SR_PGSERR
        if size != 1 << ((self._cr >> CR_PSIZE_SHIFT) & CR_PSIZE_MASK):
            return SR_PGPERR
        if offset // ROW_BYTES != (offset + size - 1) // ROW_BYTES:
            return SR_PGAERR
        return SR_WRPERR if self._array.fails(range(offset, offset + size)) else 0

    def _start(self) -> None:
        sector = (self._cr >> CR_SNB_SHIFT) & CR_SNB_MASK
        if self._cr & CR_PG or not self._cr & (CR_SER | CR_MER):
            self._fail(SR_PGSERR)
        elif self._cr & CR_MER:
            self._erase(range(len(self._array)), sectors=len(SECTOR_BYTES))
        elif sector >= len(SECTOR_BYTES):
            self._fail(SR_PGSERR)
        else:
            self._erase(sector_range(sector))
