"""The STM32F4 flash controller at 0x40023C00: the rules by which flash is unlocked, erased and programmed (RM0090 §3)."""

from typing import Protocol

import msgspec

from benchwire.boards.virtual.stm32.layout import FLASH_BYTES, SECTOR_BYTES, sector_range

ACR, KEYR, OPTKEYR, SR, CR, OPTCR = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14

KEY1, KEY2 = 0x4567_0123, 0xCDEF_89AB

CR_PG, CR_SER, CR_MER = 1 << 0, 1 << 1, 1 << 2
CR_SNB_SHIFT, CR_SNB_MASK = 3, 0xF
CR_PSIZE_SHIFT, CR_PSIZE_MASK = 8, 0x3
CR_STRT, CR_EOPIE, CR_ERRIE, CR_LOCK = 1 << 16, 1 << 24, 1 << 25, 1 << 31
CR_STORED = CR_PG | CR_SER | CR_MER | (CR_SNB_MASK << CR_SNB_SHIFT) | (CR_PSIZE_MASK << CR_PSIZE_SHIFT)
CR_STORED |= CR_EOPIE | CR_ERRIE

SR_EOP, SR_OPERR = 1 << 0, 1 << 1
SR_PGAERR, SR_PGPERR, SR_PGSERR = 1 << 5, 1 << 6, 1 << 7
SR_CLEARABLE = 0xF3

# one programming operation can't leave its 128-bit row
ROW_BYTES = 16

OPTCR_RESET = 0x0FFF_AAED


class Cells(Protocol):
    """The flash array: bytes that a slice reads and writes (an mmap, a bytearray)."""

    def __getitem__(self, key: slice, /) -> bytes | bytearray:
        """Read."""

    def __setitem__(self, key: slice, value: bytes, /) -> None:
        """Write, whatever was there before."""


class BitFlip(msgspec.Struct, frozen=True, kw_only=True):
    """One cell that is going to fail: the next programming of `offset` stores `bit` (0..7) of that byte wrongly."""

    offset: int
    bit: int


class FlashController:
    """Registers and array. An operation is done at once, so that BSY is never seen set."""

    def __init__(self, cells: Cells) -> None:
        self.programmed_bytes = 0
        self.erased_sectors = 0
        self.flips: list[BitFlip] = []
        self._cells = cells
        self.reset()

    def reset(self) -> None:
        """System reset: locked, no flags; the array keeps what it holds."""
        self._acr = 0
        self._sr = 0
        self._cr = CR_LOCK
        self._keys_seen = 0
        self._key_failed = False

    @property
    def locked(self) -> bool:
        """Whether CR refuses writes."""
        return bool(self._cr & CR_LOCK)

    def read(self, offset: int) -> int:
        """The word at register `offset`; keys and reserved offsets read 0."""
        match offset:
            case 0x00:
                return self._acr
            case 0x0C:
                return self._sr
            case 0x10:
                return self._cr
            case 0x14:
                return OPTCR_RESET
            case _:
                return 0

    def write(self, offset: int, value: int) -> None:
        """Write the word at register `offset`. Option bytes can't be changed."""
        match offset:
            case 0x00:
                self._acr = value & 0x1F07
            case 0x04:
                self._unlock(value)
            case 0x0C:
                self._sr &= ~(value & SR_CLEARABLE)
            case 0x10:
                self._control(value)
            case _:
                pass

    def program(self, offset: int, data: bytes) -> None:
        """A store of `data` (1, 2, 4 or 8 bytes, little endian) at `offset` in the array.

        What the configuration doesn't allow sets a flag in SR and changes nothing. Cells go from 1 to 0 only.
        """
        error = self._programming_error(offset, len(data))
        if error:
            self._fail(error)
            return
        cells = slice(offset, offset + len(data))
        stored = bytearray(old & new for old, new in zip(self._cells[cells], data, strict=True))
        self._spoil(offset, stored)
        self._cells[cells] = bytes(stored)
        self.programmed_bytes += len(data)
        self._succeed()

    def _unlock(self, key: int) -> None:
        expected = (KEY1, KEY2)[self._keys_seen]
        if self._key_failed or not self.locked or key != expected:
            # a wrong sequence blocks the register until the next reset
            self._key_failed = True
            return
        self._keys_seen += 1
        if self._keys_seen == 2:
            self._keys_seen = 0
            self._cr &= ~CR_LOCK

    def _control(self, value: int) -> None:
        if self.locked:
            return
        self._cr = value & CR_STORED
        if value & CR_STRT:
            self._start()
        if value & CR_LOCK:
            self._cr |= CR_LOCK

    def _start(self) -> None:
        sector = (self._cr >> CR_SNB_SHIFT) & CR_SNB_MASK
        if self._cr & CR_PG or not self._cr & (CR_SER | CR_MER):
            self._fail(SR_PGSERR)
        elif self._cr & CR_MER:
            self._erase(range(FLASH_BYTES), sectors=len(SECTOR_BYTES))
        elif sector >= len(SECTOR_BYTES):
            self._fail(SR_PGSERR)
        else:
            self._erase(sector_range(sector), sectors=1)

    def _erase(self, offsets: range, *, sectors: int) -> None:
        self._cells[offsets.start : offsets.stop] = b"\xff" * len(offsets)
        self.erased_sectors += sectors
        self._succeed()

    def _programming_error(self, offset: int, size: int) -> int:
        if self.locked or not self._cr & CR_PG or self._cr & (CR_SER | CR_MER):
            return SR_PGSERR
        if size != 1 << ((self._cr >> CR_PSIZE_SHIFT) & CR_PSIZE_MASK):
            return SR_PGPERR
        if offset // ROW_BYTES != (offset + size - 1) // ROW_BYTES:
            return SR_PGAERR
        return 0

    def _spoil(self, offset: int, stored: bytearray) -> None:
        for flip in [flip for flip in self.flips if offset <= flip.offset < offset + len(stored)]:
            stored[flip.offset - offset] ^= 1 << flip.bit
            self.flips.remove(flip)

    def _succeed(self) -> None:
        # EOP and OPERR only show when their interrupts are enabled
        if self._cr & CR_EOPIE:
            self._sr |= SR_EOP

    def _fail(self, flag: int) -> None:
        self._sr |= flag
        if self._cr & CR_ERRIE:
            self._sr |= SR_OPERR
