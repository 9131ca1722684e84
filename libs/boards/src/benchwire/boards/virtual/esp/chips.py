"""What differs from chip to chip. Everything else in this folder is the same for all of them.

Sources: Espressif's technical reference manuals (memory maps, eFuses, SPI controller, RTC), and "Serial Protocol" and
"Boot Mode Selection" of the esptool documentation.
"""

import msgspec

# A word in every chip's ROM by which hosts tell chips apart that don't know GET_SECURITY_INFO.
MAGIC_REGISTER = 0x40001000


class RamBlock(msgspec.Struct, frozen=True):
    """A piece of RAM and the addresses at which buses see it."""

    size_bytes: int
    addresses: tuple[int, ...]


class Spi(msgspec.Struct, frozen=True, kw_only=True):
    """The controller that talks to the flash chip: addresses of the registers of a "user command"."""

    base: int
    user: int
    user2: int
    w0: int
    address_shift: int  # how far left a 24-bit flash address stands in its register


class Watchdog(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of the RTC watchdog that esptool uses to reset a chip without a reset line."""

    config0: int
    config1: int
    protect: int


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """How the loader answers when it is asked which chip this is.

    `chip_id` is also what an image for the chip says. A ROM without GET_SECURITY_INFO refuses it as it refuses every
    command that it doesn't know; that of the ESP32 puts the command of its previous answer into the refusal.
    """

    name: str
    chip_id: int
    magic: int
    tells_security_info: bool
    refuses_in_own_name: bool


class Chip(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    profile: str
    identity: Identity
    boot_offset: int  # where in flash the ROM looks for the image that it loads
    ram: tuple[RamBlock, ...]
    spi: Spi
    uart_clkdiv: int
    mac_low: int  # eFuse word with the last four bytes of the MAC; the word after it has the first two
    words: dict[int, int]  # eFuses and other registers that say which variant of the chip this is
    watchdog: Watchdog | None  # None: esptool doesn't reset this chip by its watchdog
    reset_told: str
    run_told: str
    download_told: str
    runs_apps: bool  # whether there is a core to run an app with

    def fixed_words(self, mac: bytes) -> dict[int, int]:
        """The words that nobody can write, by address, on the board with this MAC."""
        mac_words = {self.mac_low: int.from_bytes(mac[2:], "big"), self.mac_low + 4: int.from_bytes(mac[:2], "big")}
        return {**self.words, **mac_words}


_SPI_OF_S3_AND_C3 = Spi(base=0x60002000, user=0x60002018, user2=0x60002020, w0=0x60002058, address_shift=0)

ESP32 = Chip(
    profile="esp32",
    identity=Identity(name="ESP32", chip_id=0, magic=0x00F01D83, tells_security_info=False, refuses_in_own_name=False),
    boot_offset=0x1000,
    ram=(
        RamBlock(0x30000, (0x40070000,)),  # SRAM 0, instructions only
        # SRAM 1. The chip's two views of it run in opposite directions; as nothing is run here, they are two memories.
        RamBlock(0x20000, (0x3FFE0000,)),
        RamBlock(0x20000, (0x400A0000,)),
        RamBlock(0x32000, (0x3FFAE000,)),  # SRAM 2, data only
        RamBlock(0x2000, (0x3FF80000, 0x400C0000)),  # RTC fast memory
        RamBlock(0x2000, (0x50000000,)),  # RTC slow memory
    ),
    spi=Spi(base=0x3FF42000, user=0x3FF4201C, user2=0x3FF42024, w0=0x3FF42080, address_shift=8),
    uart_clkdiv=0x3FF40014,
    mac_low=0x3FF5A004,
    words={  # an ESP32-D0WD-V3, revision v3.1, 240 MHz
        0x3FF5A00C: (1 << 15) | (1 << 13) | (1 << 9),
        0x3FF5A014: (1 << 24) | (1 << 20),
        0x3FF6607C: 1 << 31,
        # From these two a host works out the frequency of the crystal as the ROM measured it: 40 MHz.
        0x3FF5A010: 128,
        0x3FF5F06C: 800 << 7,
    },
    watchdog=None,
    reset_told="rst:0x1 (POWERON_RESET)",
    run_told="boot:0x13 (SPI_FAST_FLASH_BOOT)",
    download_told="boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))",
    runs_apps=False,
)

ESP32_S3 = Chip(
    profile="esp32s3",
    identity=Identity(name="ESP32-S3", chip_id=9, magic=0x00000009, tells_security_info=True, refuses_in_own_name=True),
    boot_offset=0x0,
    ram=(
        RamBlock(0x8000, (0x40370000,)),  # SRAM 0, instructions only
        RamBlock(0x68000, (0x3FC88000, 0x40378000)),  # SRAM 1
        RamBlock(0x10000, (0x3FCF0000,)),  # SRAM 2, data only
        RamBlock(0x2000, (0x600FE000,)),  # RTC fast memory
        RamBlock(0x2000, (0x50000000,)),  # RTC slow memory
    ),
    spi=_SPI_OF_S3_AND_C3,
    uart_clkdiv=0x60000014,
    mac_low=0x60007044,
    words={  # an ESP32-S3 (QFN56), revision v0.2, with 4 MB of flash inside, made by GD
        0x60007050: (2 << 27) | (2 << 18),
        0x60007054: 2,
    },
    watchdog=Watchdog(config0=0x60008098, config1=0x6000809C, protect=0x600080B0),
    reset_told="rst:0x1 (POWERON)",
    run_told="boot:0x8 (SPI_FAST_FLASH_BOOT)",
    download_told="boot:0x0 (DOWNLOAD(USB/UART0))",
    runs_apps=False,
)

ESP32_C3 = Chip(
    profile="esp32c3",
    identity=Identity(name="ESP32-C3", chip_id=5, magic=0x1B31506F, tells_security_info=True, refuses_in_own_name=True),
    boot_offset=0x0,
    ram=(
        RamBlock(0x60000, (0x3FC80000, 0x40380000)),  # SRAM 1
        RamBlock(0x2000, (0x50000000,)),  # RTC memory
    ),
    spi=_SPI_OF_S3_AND_C3,
    uart_clkdiv=0x60000014,
    mac_low=0x60008844,
    words={  # an ESP32-C3 (QFN32), revision v0.4, with 4 MB of flash inside, made by GD
        0x60008850: (1 << 27) | (4 << 18),
        0x60008854: 2,
    },
    watchdog=Watchdog(config0=0x60008090, config1=0x60008094, protect=0x600080A8),
    reset_told="rst:0x1 (POWERON)",
    run_told="boot:0xc (SPI_FAST_FLASH_BOOT)",
    download_told="boot:0x4 (DOWNLOAD(USB/UART0/1))",
    runs_apps=True,
)

# By the name of the board profile
CHIPS = {chip.profile: chip for chip in (ESP32, ESP32_S3, ESP32_C3)}
