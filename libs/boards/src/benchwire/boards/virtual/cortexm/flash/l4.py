"""The flash controller of the STM32L47x: two banks of 2 KiB pages, programmed in double words of 64 bits (RM0351 §3).

Fast programming (FSTPG) isn't modelled: it is refused as a wrong sequence.
"""

from benchwire.boards.virtual.cortexm.flash.array import FlashArray
from benchwire.boards.virtual.cortexm.flash.controller import KeyLock

ACR, KEYR, SR, CR, ECCR, OPTR = 0x00, 0x08, 0x10, 0x14, 0x18, 0x20

KEY1, KEY2 = KeyLock.KEYS

CR_PG, CR_PER, CR_MER1, CR_MER2 = 1 << 0, 1 << 1, 1 << 2, 1 << 15
CR_PNB_SHIFT, CR_PNB_MASK, CR_BKER = 3, 0xFF, 1 << 11
CR_STRT, CR_FSTPG, CR_EOPIE, CR_ERRIE, CR_OPTLOCK, CR_LOCK = 1 << 16, 1 << 18, 1 << 24, 1 << 25, 1 << 30, 1 << 31
CR_STORED = (
    CR_PG | CR_PER | CR_MER1 | CR_MER2 | (CR_PNB_MASK << CR_PNB_SHIFT) | CR_BKER | CR_FSTPG | CR_EOPIE | CR_ERRIE
)

SR_EOP, SR_OPERR, SR_PROGERR, SR_WRPERR = 1 << 0, 1 << 1, 1 << 3, 1 << 4
SR_PGAERR, SR_SIZERR, SR_PGSERR = 1 << 5, 1 << 6, 1 << 7
SR_ERRORS = SR_OPERR | SR_PROGERR | SR_WRPERR | SR_PGAERR | SR_SIZERR | SR_PGSERR
SR_CLEARABLE = 0xC3FB

PAGE_BYTES = 2048
WORD_BYTES = 4
DOUBLE_WORD_BYTES = 8
ACR_RESET = 0x600
# as the chip is delivered: two banks, no write protection, watchdogs started by software
OPTR_RESET = 0xFFEF_F8AA


class FlashL4:
    """See `FlashController`. A bad sector behaves as one that is write protected."""

    def __init__(self, array: FlashArray) -> None:
        self._array = array
        self._bank_bytes = len(array) // 2
        self.reset()

    def reset(self) -> None:
        """Locked, no flags."""
        self._acr = ACR_RESET
        self._sr = 0
        self._cr = 0
        self._first_word: tuple[int, bytes] | None = None  # half a double word: its offset and what was stored
        self._lock = KeyLock()

    def sector_at(self, offset: int) -> range:
        """A page."""
        start = offset // PAGE_BYTES * PAGE_BYTES
        return range(start, start + PAGE_BYTES)

    def read(self, offset: int) -> int:
        """A register."""
        match offset:
            case 0x00:
                return self._acr
            case 0x10:
                return self._sr
            case 0x14:
                return self._cr | CR_OPTLOCK | (CR_LOCK if self._lock.locked else 0)
            case 0x20:
                return OPTR_RESET
            case _:
                return 0

    def write(self, offset: int, value: int) -> None:
        """A register. Option bytes can't be changed."""
        match offset:
            case 0x00:
                self._acr = value & 0x7F07
            case 0x08:
                self._lock.turn(value)
            case 0x10:
                self._sr &= ~(value & SR_CLEARABLE)
            case 0x14:
                self._control(value)
            case _:
                pass

    def program(self, offset: int, data: bytes) -> None:
        """A store to the array: the first word of a double word waits for the second."""
        error = self._programming_error(offset, len(data))
        if error:
            self._first_word = None
            self._fail(error)
        elif self._first_word is None:
            self._first_word = offset, data
        else:
            (start, first), self._first_word = self._first_word, None
            self._program_double_word(start, first + data)

    def _program_double_word(self, offset: int, data: bytes) -> None:
        if self._array.fails(range(offset, offset + DOUBLE_WORD_BYTES)):
            self._fail(SR_WRPERR)
        elif self._array.read(offset, len(data)) != b"\xff" * len(data) and data != bytes(len(data)):
            # its error code covers all 64 bits: programmed once, they can only be zeroed
            self._fail(SR_PROGERR)
        else:
            self._array.program(offset, data)
            self._succeed()

    def _programming_error(self, offset: int, size: int) -> int:
        if self._lock.locked or not self._cr & CR_PG or self._cr & CR_FSTPG or self._sr & SR_ERRORS:
            return SR_PGSERR
        if size != WORD_BYTES:
            return SR_SIZERR
        expected = offset % DOUBLE_WORD_BYTES == 0 if self._first_word is None else offset == self._first_word[0] + size
        return 0 if expected else SR_PGAERR

    def _control(self, value: int) -> None:
        if self._lock.locked:
            return
        self._cr = value & CR_STORED
        if value & CR_STRT:
            self._start()
        if value & CR_LOCK:
            self._lock.locked = True

    def _start(self) -> None:
        if self._cr & (CR_PG | CR_FSTPG) or self._sr & SR_ERRORS:
            self._fail(SR_PGSERR)
        elif self._cr & CR_PER:
            page = (self._cr >> CR_PNB_SHIFT) & CR_PNB_MASK
            bank = self._bank_bytes if self._cr & CR_BKER else 0
            self._erase(self.sector_at(bank + page * PAGE_BYTES))
        elif self._cr & (CR_MER1 | CR_MER2):
            for flag, start in ((CR_MER1, 0), (CR_MER2, self._bank_bytes)):
                if self._cr & flag:
                    self._erase(range(start, start + self._bank_bytes))
        else:
            self._fail(SR_PGSERR)

    def _erase(self, offsets: range) -> None:
        if self._array.fails(offsets):
            self._fail(SR_WRPERR)
            return
        self._array.erase(offsets, sectors=len(offsets) // PAGE_BYTES)
        self._succeed()

    def _succeed(self) -> None:
        # EOP and OPERR only show when their interrupts are enabled
        if self._cr & CR_EOPIE:
            self._sr |= SR_EOP

    def _fail(self, flag: int) -> None:
        self._sr |= flag
        if self._cr & CR_ERRIE:
            self._sr |= SR_OPERR
