"""The STM32F405xG's memory, as its reference manual (RM0090) and data sheet give it. Sizes in bytes."""

FLASH_BASE = 0x0800_0000
FLASH_BYTES = 1024 * 1024
# four sectors of 16 KiB, one of 64 KiB, seven of 128 KiB
SECTOR_BYTES = (0x4000,) * 4 + (0x1_0000,) + (0x2_0000,) * 7

SRAM_BASE = 0x2000_0000
SRAM_BYTES = 128 * 1024
CCM_BASE = 0x1000_0000
CCM_BYTES = 64 * 1024

# system memory: factory boot loader, unique id, flash size
SYSTEM_BASE = 0x1FFF_0000
SYSTEM_BYTES = 32 * 1024
UNIQUE_ID_OFFSET = 0x7A10
FLASH_SIZE_OFFSET = 0x7A22

PERIPHERAL_BASE = 0x4000_0000
PERIPHERAL_BYTES = 0x2000_0000
FLASH_CONTROLLER_BASE = 0x4002_3C00
FLASH_CONTROLLER_BYTES = 0x400

PPB_BASE = 0xE000_0000
PPB_BYTES = 0x10_0000


def sector_range(sector: int) -> range:
    """Offsets into flash that `sector` covers. Raises IndexError for a sector that the chip doesn't have."""
    if not 0 <= sector < len(SECTOR_BYTES):
        raise IndexError(sector)
    start = sum(SECTOR_BYTES[:sector])
    return range(start, start + SECTOR_BYTES[sector])
