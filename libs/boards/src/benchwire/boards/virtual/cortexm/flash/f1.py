"""The STM32F1 flash controller (FPEC): pages of 2 KiB, programmed in half-words (PM0075)."""

from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.flash.st import CR_PG, FLASH_BASE, SR_WRPERR, Map, StFlash
from benchwire.boards.virtual.flash_array import sector_of

KEYR, SR, CR, AR, OBR, WRPR = 0x04, 0x0C, 0x10, 0x14, 0x1C, 0x20

CR_PER, CR_MER, CR_STRT, CR_LOCK = 1 << 1, 1 << 2, 1 << 6, 1 << 7
SR_PGERR, SR_EOP = 1 << 2, 1 << 5
SR_WRPRTERR = SR_WRPERR  # as its manual calls it

PAGE_BYTES = 2048
HALF_WORD_BYTES = 2


class FlashF1(StFlash):
    """Unlike its successors it says the end of each operation, and names the page to erase by its address."""

    MAP = Map(
        key=KEYR,
        status=SR,
        status_clearable=SR_PGERR | SR_WRPRTERR | SR_EOP,
        control=CR,
        control_stored=CR_PG | CR_PER | CR_MER | 1 << 10 | 1 << 12,
        start=CR_STRT,
        lock=CR_LOCK,
        access_stored=0x1F,
        access_fixed=0x20,
        access_reset=0x30,
        fixed={OBR: 0x03FF_FFFC, WRPR: 0xFFFF_FFFF},
    )

    def reset(self) -> None:
        """Locked, no flags."""
        super().reset()
        self._address = 0

    def sector_at(self, offset: int) -> range:
        """A page."""
        return sector_of(offset, PAGE_BYTES)

    def write(self, offset: int, value: int) -> None:
        """A register."""
        if offset == AR and not self._lock.locked:
            self._address = value
        else:
            super().write(offset, value)

    def program(self, offset: int, data: bytes) -> None:
        """A store to the array; one that isn't an aligned half-word is a fault. Without PG it changes nothing."""
        if len(data) != HALF_WORD_BYTES or offset % HALF_WORD_BYTES:
            raise BusFault(f"flash offset {offset:#x} takes aligned half-words only")
        if self._lock.locked or not self._cr & CR_PG:
            return
        if self._array.fails(range(offset, offset + HALF_WORD_BYTES)):
            self._fail(SR_WRPRTERR)
        elif self._array.read(offset, HALF_WORD_BYTES) != b"\xff\xff" and data != b"\x00\x00":
            self._fail(SR_PGERR)  # only an erased half-word can be programmed, except to zero
        else:
            self._array.program(offset, data)
            self._succeed()

    def _start(self) -> None:
        if self._cr & CR_MER:
            self._erase(range(len(self._array)), sectors=len(self._array) // PAGE_BYTES)
        elif self._cr & CR_PER and 0 <= self._address - FLASH_BASE < len(self._array):
            self._erase(self.sector_at(self._address - FLASH_BASE))

    def _succeed(self) -> None:
        self._sr |= SR_EOP
