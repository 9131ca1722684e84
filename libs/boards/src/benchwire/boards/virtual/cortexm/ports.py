"""The debug port and its one access port (an AHB-AP), as a probe on the SWD pins sees them (ADIv5)."""

from typing import Protocol

from benchwire.boards.virtual.cortexm.description import Description

# CTRL/STAT: each power-up request is acknowledged in the bit above it
POWER_UP_REQUESTS = 1 << 28 | 1 << 30
CTRL_STORED = 0x5000_0F00

AP_CSW, AP_TAR, AP_DRW, AP_BASE, AP_IDR = 0x00, 0x04, 0x0C, 0xF8, 0xFC
BASE_PRESENT = 3
CSW_DEVICE_ENABLED = 1 << 6
CSW_STORED = 0x2F00_0037
CSW_INCREMENT = 0x30


class Bus(Protocol):
    """What the access port is connected to."""

    @property
    def identity(self) -> Description:
        """The chip as which it answers."""

    def read_word(self, address: int) -> int:
        """The word at `address`."""

    async def write_word(self, address: int, value: int) -> None:
        """Write the word at `address`."""


class DebugPort:
    """DP and AP registers. AP addresses carry the AP's number in bits 24 to 31."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.reset()

    def reset(self) -> None:
        """As after power on."""
        self._control = 0
        self._select = 0
        self._csw = 0x2300_0002
        self._tar = 0

    def read_dp(self, register: int) -> int:
        """A DP register; unknown ones read 0."""
        match register:
            case 0x0:
                return self._bus.identity.cpu.dpidr
            case 0x4:
                return self._control | (self._control & POWER_UP_REQUESTS) << 1
            case _:
                return 0

    def write_dp(self, register: int, value: int) -> None:
        """Write a DP register; errors aren't sticky here, so ABORT has nothing to clear."""
        match register:
            case 0x4:
                self._control = value & CTRL_STORED
            case 0x8:
                self._select = value
            case _:
                pass

    def read_ap(self, address: int) -> int:
        """An AP register. There is one AP, the others read 0. Raises `BusFault` through DRW."""
        if address == AP_DRW:
            value = self._bus.read_word(self._tar)
            self._advance()
            return value
        registers = {
            AP_CSW: self._csw | CSW_DEVICE_ENABLED,
            AP_TAR: self._tar,
            AP_BASE: self._bus.identity.debug_base | BASE_PRESENT,
            AP_IDR: self._bus.identity.cpu.ap_idr,
        }
        return registers.get(address, 0)

    async def write_ap(self, address: int, value: int) -> None:
        """Write an AP register. Raises `BusFault` through DRW."""
        match address:
            case 0x00:
                self._csw = value & CSW_STORED
            case 0x04:
                self._tar = value
            case 0x0C:
                await self._bus.write_word(self._tar, value)
                self._advance()
            case _:
                pass

    def _advance(self) -> None:
        if self._csw & CSW_INCREMENT:
            self._tar = (self._tar + 4) & 0xFFFF_FFFF
