"""The flash controller of the STM32L47x: two banks of 2 KiB pages, programmed in double words of 64 bits (RM0351 §3).

Fast programming (FSTPG) isn't modelled: it is refused as a wrong sequence.
"""

from benchwire.boards.virtual.cortexm.flash.st import CR_EOPIE, CR_ERRIE, CR_PG, SR_OPERR, SR_WRPERR, Map, StFlash
from benchwire.boards.virtual.flash_array import FlashArray, sector_of

KEYR, SR, CR, OPTR = 0x08, 0x10, 0x14, 0x20

CR_PER, CR_MER1, CR_MER2 = 1 << 1, 1 << 2, 1 << 15
CR_PNB_SHIFT, CR_PNB_MASK, CR_BKER = 3, 0xFF, 1 << 11
CR_STRT, CR_FSTPG, CR_OPTLOCK, CR_LOCK = 1 << 16, 1 << 18, 1 << 30, 1 << 31
CR_STORED = (
    CR_PG | CR_PER | CR_MER1 | CR_MER2 | (CR_PNB_MASK << CR_PNB_SHIFT) | CR_BKER | CR_FSTPG | CR_EOPIE | CR_ERRIE
)

SR_PROGERR, SR_PGAERR, SR_SIZERR, SR_PGSERR = 1 << 3, 1 << 5, 1 << 6, 1 << 7
SR_ERRORS = SR_OPERR | SR_PROGERR | SR_WRPERR | SR_PGAERR | SR_SIZERR | SR_PGSERR

PAGE_BYTES = 2048
WORD_BYTES = 4
DOUBLE_WORD_BYTES = 8


class FlashL4(StFlash):
    """The page to erase is named by its number and bank. An error that was not cleared refuses what follows."""

    MAP = Map(
        key=KEYR,
        status=SR,
        status_clearable=0xC3FB,
        control=CR,
        control_stored=CR_STORED,
        control_ones=CR_OPTLOCK,
        start=CR_STRT,
        lock=CR_LOCK,
        access_stored=0x7F07,
        access_reset=0x600,
        # as the chip is delivered: two banks, no write protection, watchdogs started by software
        fixed={OPTR: 0xFFEF_F8AA},
    )

    def __init__(self, array: FlashArray) -> None:
        super().__init__(array)
        self._bank_bytes = len(array) // 2

    def reset(self) -> None:
        """Locked, no flags."""
        super().reset()
        self._first_word: tuple[int, bytes] | None = None  # half a double word: its offset and what was stored

    def sector_at(self, offset: int) -> range:
        """A page."""
        return sector_of(offset, PAGE_BYTES)

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
                    self._erase(range(start, start + self._bank_bytes), sectors=self._bank_bytes // PAGE_BYTES)
        else:
            self._fail(SR_PGSERR)
