"""The STM32F1 flash controller (FPEC): pages of 2 KiB, programmed in half-words (PM0075)."""

from benchwire.boards.virtual.cortexm.bus import BusFault
from benchwire.boards.virtual.cortexm.flash.array import FlashArray
from benchwire.boards.virtual.cortexm.flash.controller import KeyLock

ACR, KEYR, OPTKEYR, SR, CR, AR, OBR, WRPR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x1C, 0x20

KEY1, KEY2 = KeyLock.KEYS

CR_PG, CR_PER, CR_MER, CR_STRT, CR_LOCK = 1 << 0, 1 << 1, 1 << 2, 1 << 6, 1 << 7
CR_STORED = CR_PG | CR_PER | CR_MER | 1 << 10 | 1 << 12

SR_PGERR, SR_WRPRTERR, SR_EOP = 1 << 2, 1 << 4, 1 << 5
SR_CLEARABLE = SR_PGERR | SR_WRPRTERR | SR_EOP

FLASH_BASE = 0x0800_0000
PAGE_BYTES = 2048
HALF_WORD_BYTES = 2
ACR_RESET = 0x30
OBR_RESET, WRPR_RESET = 0x03FF_FFFC, 0xFFFF_FFFF


class FlashF1:
    """See `FlashController`. A bad sector behaves as one that is write protected."""

    def __init__(self, array: FlashArray) -> None:
        self._array = array
        self.reset()

    def reset(self) -> None:
        """Locked, no flags."""
        self._acr = ACR_RESET
        self._sr = 0
        self._cr = 0
        self._address = 0
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
            case 0x0C:
                return self._sr
            case 0x10:
                return self._cr | (CR_LOCK if self._lock.locked else 0)
            case 0x1C:
                return OBR_RESET
            case 0x20:
                return WRPR_RESET
            case _:
                return 0

    def write(self, offset: int, value: int) -> None:
        """A register. Option bytes can't be changed."""
        match offset:
            case 0x00:
                self._acr = value & 0x1F | ACR_RESET & 0x20
            case 0x04:
                self._lock.turn(value)
            case 0x0C:
                self._sr &= ~(value & SR_CLEARABLE)
            case 0x10:
                self._control(value)
            case 0x14 if not self._lock.locked:
                self._address = value
            case _:
                pass

    def program(self, offset: int, data: bytes) -> None:
        """A store to the array; one that isn't an aligned half-word is a fault. Without PG it changes nothing."""
        if len(data) != HALF_WORD_BYTES or offset % HALF_WORD_BYTES:
            raise BusFault(f"flash offset {offset:#x} takes aligned half-words only")
        if self._lock.locked or not self._cr & CR_PG:
            return
        if self._array.fails(range(offset, offset + HALF_WORD_BYTES)):
            self._sr |= SR_WRPRTERR
        elif self._array.read(offset, HALF_WORD_BYTES) != b"\xff\xff" and data != b"\x00\x00":
            self._sr |= SR_PGERR  # only an erased half-word can be programmed, except to zero
        else:
            self._array.program(offset, data)
            self._sr |= SR_EOP

    def _control(self, value: int) -> None:
        if self._lock.locked:
            return
        self._cr = value & CR_STORED
        if value & CR_STRT:
            self._start()
        if value & CR_LOCK:
            self._lock.locked = True

    def _start(self) -> None:
        if self._cr & CR_MER:
            self._erase(range(len(self._array)), sectors=len(self._array) // PAGE_BYTES)
        elif self._cr & CR_PER and 0 <= self._address - FLASH_BASE < len(self._array):
            self._erase(self.sector_at(self._address - FLASH_BASE), sectors=1)

    def _erase(self, offsets: range, *, sectors: int) -> None:
        if self._array.fails(offsets):
            self._sr |= SR_WRPRTERR
            return
        self._array.erase(offsets, sectors=sectors)
        self._sr |= SR_EOP
