"""The registers that the chip's loader lets a host read and write: eFuses, the SPI flash controller, watchdog, UART.

What is not modelled keeps what was written and reads 0 before that.
"""

from collections.abc import Callable

from benchwire.boards.virtual.esp.chips import Chip, Watchdog
from benchwire.boards.virtual.esp.nor import JEDEC_ID, SFDP

SPI_ADDRESS = 0x04  # from the controller's base, at which its command register is
SPI_CMD_USR = 1 << 18
SPI_USER_MISO = 1 << 28

SLOW_CLOCK_HZ = 136_000  # feeds the RTC watchdog
WDT_KEY = 0x50D83AA1
WDT_ENABLE = 1 << 31
WDT_RESETS_SYSTEM = 5  # action of stage 0, bits 28..30: reset the chip and its RTC

RDID, READ_SFDP = 0x9F, 0x5A
READ_STATUS = {0x05: 0, 0x35: 1, 0x15: 2}
WRITE_STATUS = {0x01: 0, 0x31: 1, 0x11: 2}
WRITE_ENABLE, VOLATILE_WRITE_ENABLE, WRITE_DISABLE = 0x06, 0x50, 0x04


class Registers:
    """Words by address. `watchdog_armed` hears in how many seconds the RTC watchdog, just armed, resets the chip."""

    def __init__(self, chip: Chip, mac: bytes, watchdog_armed: Callable[[float], None]) -> None:
        self._spi = chip.spi
        self._watchdog = chip.watchdog
        self._fixed = chip.fixed_words(mac)
        # What the ROM left behind when it met the host at 115200 baud with its 40 MHz crystal.
        self._words = {chip.uart_clkdiv: round(40_000_000 / 115_200)}
        self._status = [0, 0, 0]  # the flash chip's own three status registers
        self._status_writable = False
        self._watchdog_armed = watchdog_armed

    def read(self, address: int) -> int:
        """The 32-bit word at `address`."""
        return self._fixed.get(address, self._words.get(address, 0))

    def write(self, address: int, value: int, mask: int = 0xFFFFFFFF) -> None:
        """Replace the bits of `mask` in the word at `address`; some words do something when they are written."""
        word = (self.read(address) & ~mask) | (value & mask)
        if self._watchdog is not None and address == self._watchdog.config0:
            self._arm(self._watchdog, word)
        self._words[address] = word
        if address == self._spi.base and word & SPI_CMD_USR:
            self._run_spi_command()
            self._words[address] = word & ~SPI_CMD_USR

    def _arm(self, watchdog: Watchdog, config: int) -> None:
        unlocked = self.read(watchdog.protect) == WDT_KEY
        if unlocked and config & WDT_ENABLE and (config >> 28) & 0x7 == WDT_RESETS_SYSTEM:
            self._watchdog_armed(self.read(watchdog.config1) / SLOW_CLOCK_HZ)

    def _run_spi_command(self) -> None:
        answer = self._flash_chip_answers(self.read(self._spi.user2) & 0xFF)
        if self.read(self._spi.user) & SPI_USER_MISO:
            self._words[self._spi.w0] = int.from_bytes(answer[:4].ljust(4, b"\x00"), "little")

    def _flash_chip_answers(self, command: int) -> bytes:
        """What the flash chip puts on its data line; 0xFF where it stays silent."""
        if command == RDID:
            return JEDEC_ID
        if command == READ_SFDP:
            at = (self.read(self._spi.base + SPI_ADDRESS) >> self._spi.address_shift) & 0xFFFFFF
            return SFDP[at : at + 4].ljust(4, b"\xff")
        if command in READ_STATUS:
            return bytes([self._status[READ_STATUS[command]]])
        if command in WRITE_STATUS and self._status_writable:
            self._status[WRITE_STATUS[command]] = self.read(self._spi.w0) & 0xFF
            self._status_writable = False
        elif command in (WRITE_ENABLE, VOLATILE_WRITE_ENABLE, WRITE_DISABLE):
            self._status_writable = command != WRITE_DISABLE
        return b"\xff" * 4
