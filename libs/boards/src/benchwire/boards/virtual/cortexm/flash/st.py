"""What the flash controllers of ST's chips have in common: a control register behind a lock of two keys, and flags.

The registers stand at other offsets in each, and some bits at other places (`Map`); those named here are in the same places, but
for EOP in the F1.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import msgspec

from benchwire.boards.virtual.flash_array import FlashArray

FLASH_BASE = 0x0800_0000

KEY1, KEY2 = 0x4567_0123, 0xCDEF_89AB

ACR = 0x00
CR_PG = 1 << 0
CR_EOPIE, CR_ERRIE = 1 << 24, 1 << 25
SR_EOP, SR_OPERR, SR_WRPERR = 1 << 0, 1 << 1, 1 << 4


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """Offsets of the registers that every controller has, and masks for their bits."""

    key: int
    status: int
    status_clearable: int  # by writing ones
    control: int
    control_stored: int
    control_ones: int = 0  # what always reads 1
    start: int  # of the control register
    lock: int
    access_stored: int  # of ACR, which sets wait states and caches
    access_fixed: int = 0
    access_reset: int
    fixed: Mapping[int, int]  # registers that only read: option bytes, which can't be changed


class KeyLock:
    """The lock bit: two keys in order open it, anything else keeps it shut until a reset."""

    KEYS = (KEY1, KEY2)

    def __init__(self) -> None:
        self.locked = True
        self._keys_seen = 0
        self._blocked = False

    def turn(self, key: int) -> None:
        """A key was written."""
        if self._blocked or not self.locked or key != self.KEYS[self._keys_seen]:
            self._blocked = True
            return
        self._keys_seen += 1
        if self._keys_seen == len(self.KEYS):
            self._keys_seen = 0
            self.locked = False


class StFlash(ABC):
    """See `FlashController`; a chip's own adds `sector_at`, `program` and `_start`. A bad sector behaves as one that is write protected."""

    MAP: ClassVar[Map]

    def __init__(self, array: FlashArray) -> None:
        self._array = array
        self.reset()

    def reset(self) -> None:
        """Locked, no flags."""
        self._acr = self.MAP.access_reset
        self._sr = 0
        self._cr = 0
        self._lock = KeyLock()

    def read(self, offset: int) -> int:
        """A register."""
        if offset == ACR:
            return self._acr
        if offset == self.MAP.status:
            return self._sr
        if offset == self.MAP.control:
            return self._cr | self.MAP.control_ones | (self.MAP.lock if self._lock.locked else 0)
        return self.MAP.fixed.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """A register. The control register takes nothing while it is locked."""
        if offset == ACR:
            self._acr = value & self.MAP.access_stored | self.MAP.access_fixed
        elif offset == self.MAP.key:
            self._lock.turn(value)
        elif offset == self.MAP.status:
            self._sr &= ~(value & self.MAP.status_clearable)
        elif offset == self.MAP.control and not self._lock.locked:
            self._cr = value & self.MAP.control_stored
            if value & self.MAP.start:
                self._start()
            if value & self.MAP.lock:
                self._lock.locked = True

    @abstractmethod
    def _start(self) -> None:
        """Do the erase that the control register describes."""

    def _erase(self, offsets: range, *, sectors: int = 1) -> None:
        if self._array.fails(offsets):
            self._fail(SR_WRPERR)
            return
        self._array.erase(offsets, sectors=sectors)
        self._succeed()

    def _succeed(self) -> None:
        # EOP and OPERR only show when their interrupts are enabled
        if self._cr & CR_EOPIE:
            self._sr |= SR_EOP

    def _fail(self, flag: int) -> None:
        self._sr |= flag
        if self._cr & CR_ERRIE:
            self._sr |= SR_OPERR
