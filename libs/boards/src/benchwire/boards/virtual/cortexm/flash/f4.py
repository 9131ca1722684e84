"""The STM32F4 flash controller: sectors of several sizes, programmed in units of PSIZE (RM0090 §3)."""

from benchwire.boards.virtual.cortexm.flash.array import FlashArray
from benchwire.boards.virtual.cortexm.flash.controller import KeyLock

ACR, KEYR, OPTKEYR, SR, CR, OPTCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14

KEY1, KEY2 = KeyLock.KEYS

CR_PG, CR_SER, CR_MER = 1 << 0, 1 << 1, 1 << 2
CR_SNB_SHIFT, CR_SNB_MASK = 3, 0xF
CR_PSIZE_SHIFT, CR_PSIZE_MASK = 8, 0x3
CR_STRT, CR_EOPIE, CR_ERRIE, CR_LOCK = 1 << 16, 1 << 24, 1 << 25, 1 << 31
CR_STORED = CR_PG | CR_SER | CR_MER | (CR_SNB_MASK << CR_SNB_SHIFT) | (CR_PSIZE_MASK << CR_PSIZE_SHIFT)
CR_STORED |= CR_EOPIE | CR_ERRIE

SR_EOP, SR_OPERR = 1 << 0, 1 << 1
SR_WRPERR, SR_PGAERR, SR_PGPERR, SR_PGSERR = 1 << 4, 1 << 5, 1 << 6, 1 << 7
SR_CLEARABLE = 0xF3

# four sectors of 16 KiB, one of 64 KiB, seven of 128 KiB
SECTOR_BYTES = (0x4000,) * 4 + (0x1_0000,) + (0x2_0000,) * 7

# one programming operation can't leave its 128-bit row
ROW_BYTES = 16

OPTCR_RESET = 0x0FFF_AAED


def sector_range(sector: int) -> range:
    """The offsets of `sector`. Raises IndexError for a sector that the chip doesn't have."""
    if not 0 <= sector < len(SECTOR_BYTES):
        raise IndexError(sector)
    start = sum(SECTOR_BYTES[:sector])
    return range(start, start + SECTOR_BYTES[sector])


class FlashF4:
    """See `FlashController`. A bad sector behaves as one that is write protected."""

    def __init__(self, array: FlashArray) -> None:
        self._array = array
        self.reset()

    def reset(self) -> None:
        """Locked, no flags."""
        self._acr = 0
        self._sr = 0
        self._cr = 0
        self._lock = KeyLock()

    def sector_at(self, offset: int) -> range:
        """One of the twelve sectors."""
        return next(found for found in map(sector_range, range(len(SECTOR_BYTES))) if offset in found)

    def read(self, offset: int) -> int:
        """A register."""
        match offset:
            case 0x00:
                return self._acr
            case 0x0C:
                return self._sr
            case 0x10:
                return self._cr | (CR_LOCK if self._lock.locked else 0)
            case 0x14:
                return OPTCR_RESET
            case _:
                return 0

    def write(self, offset: int, value: int) -> None:
        """A register. Option bytes can't be changed."""
        match offset:
            case 0x00:
                self._acr = value & 0x1F07
            case 0x04:
                self._lock.turn(value)
            case 0x0C:
                self._sr &= ~(value & SR_CLEARABLE)
            case 0x10:
                self._control(value)
            case _:
                pass

    def program(self, offset: int, data: bytes) -> None:
        """A store to the array."""
        error = self._programming_error(offset, len(data))
        if error:
            self._fail(error)
            return
        self._array.program(offset, data)
        self._succeed()

    def _control(self, value: int) -> None:
        if self._lock.locked:
            return
        self._cr = value & CR_STORED
        if value & CR_STRT:
            self._start()
        if value & CR_LOCK:
            self._lock.locked = True

    def _start(self) -> None:
        sector = (self._cr >> CR_SNB_SHIFT) & CR_SNB_MASK
        if self._cr & CR_PG or not self._cr & (CR_SER | CR_MER):
            self._fail(SR_PGSERR)
        elif self._cr & CR_MER:
            self._erase(range(len(self._array)), sectors=len(SECTOR_BYTES))
        elif sector >= len(SECTOR_BYTES):
            self._fail(SR_PGSERR)
        else:
            self._erase(sector_range(sector), sectors=1)

    def _erase(self, offsets: range, *, sectors: int) -> None:
        if self._array.fails(offsets):
            self._fail(SR_WRPERR)
            return
        self._array.erase(offsets, sectors=sectors)
        self._succeed()

    def _programming_error(self, offset: int, size: int) -> int:
        if self._lock.locked or not self._cr & CR_PG or self._cr & (CR_SER | CR_MER):
            return SR_PGSERR
        if size != 1 << ((self._cr >> CR_PSIZE_SHIFT) & CR_PSIZE_MASK):
            return SR_PGPERR
        if offset // ROW_BYTES != (offset + size - 1) // ROW_BYTES:
            return SR_PGAERR
        return SR_WRPERR if self._array.fails(range(offset, offset + size)) else 0

    def _succeed(self) -> None:
        # EOP and OPERR only show when their interrupts are enabled
        if self._cr & CR_EOPIE:
            self._sr |= SR_EOP

    def _fail(self, flag: int) -> None:
        self._sr |= flag
        if self._cr & CR_ERRIE:
            self._sr |= SR_OPERR
