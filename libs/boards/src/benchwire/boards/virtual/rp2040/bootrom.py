"""What the RP2040's boot ROM does: boot the flash when its second stage is sound, else take UF2 blocks.

After the RP2040 datasheet (2.8.1 boot sequence, 2.8.4 mass storage interface) and what the ROM itself does with odd blocks.
"""

import msgspec

from benchwire.boards import uf2
from benchwire.boards.rp2040 import BOOT2_BYTES, FAMILY, FLASH_START, SECTOR_BYTES, has_second_stage
from benchwire.boards.virtual.rp2040.flash import PAGE_BYTES, SIZE_BYTES, Flash

FLASH_END = 0x1100_0000  # of the window onto the flash chip, however small that is
RAM_START, RAM_END = 0x2000_0000, 0x2004_2000
MAX_BLOCKS = (FLASH_END - FLASH_START) // PAGE_BYTES

_BLOCKS_PER_SECTOR = SECTOR_BYTES // PAGE_BYTES


def boots(flash: Flash) -> bool:
    """Whether the ROM runs what the flash holds; if not, it offers its drive."""
    return has_second_stage(flash.read(0, BOOT2_BYTES))


class Transfer(msgspec.Struct):
    """The blocks of one file on their way: how many there are to be, and which have come."""

    count: int
    to_ram: bool
    taken: set[int] = msgspec.field(default_factory=set)
    erased: set[int] = msgspec.field(default_factory=set)
    lowest_address: int = 0xFFFF_FFFF


class BootRom:
    """The loader from one entry into BOOTSEL to the next."""

    def __init__(self, flash: Flash, ram: bytearray) -> None:
        self.written_blocks = 0
        self.ignored_sectors = 0
        self._flash = flash
        self._ram = ram
        self._transfer: Transfer | None = None

    @property
    def complete(self) -> Transfer | None:
        """The transfer of which every block has come: the chip reboots."""
        transfer = self._transfer
        return transfer if transfer is not None and len(transfer.taken) == transfer.count else None

    def write(self, sector: bytes) -> None:
        """What the host writes to the drive: 512 bytes, of which the ROM does not know to which file they belong."""
        block = uf2.block_of(sector)
        if block is None or block.family != FAMILY or not block.is_for_flash or len(block.data) != PAGE_BYTES:
            self.ignored_sectors += 1  # a block for another chip changes nothing
            return
        transfer = self._transfer_of(block)
        if transfer is None:
            self.ignored_sectors += 1
            self._transfer = None  # the ROM starts from the beginning after a block that makes no sense
            return
        self._transfer = transfer
        if block.number not in transfer.taken:
            self._take(block, transfer)

    def _transfer_of(self, block: uf2.Block) -> Transfer | None:
        """The transfer to which a block belongs, or which it begins; None when it cannot be."""
        last = block.address + PAGE_BYTES - 1
        to_ram = block.address >= RAM_START and last < RAM_END
        to_flash = block.address >= FLASH_START and last < FLASH_END and block.address % PAGE_BYTES == 0
        if not (to_ram or to_flash) or not block.number < block.count <= MAX_BLOCKS:
            return None
        transfer = self._transfer
        if transfer is None or transfer.count != block.count:
            return Transfer(count=block.count, to_ram=to_ram)
        return transfer if transfer.to_ram == to_ram else None

    def _take(self, block: uf2.Block, transfer: Transfer) -> None:
        transfer.taken.add(block.number)
        transfer.lowest_address = min(transfer.lowest_address, block.address)
        self.written_blocks += 1
        if transfer.to_ram:
            at = block.address - RAM_START
            self._ram[at : at + PAGE_BYTES] = block.data
            return
        offset = (block.address - FLASH_START) % SIZE_BYTES
        # By the number of the block and not by its address: erratum RP2040-E14.
        group = block.number // _BLOCKS_PER_SECTOR
        if group not in transfer.erased:
            transfer.erased.add(group)
            self._flash.erase_sector(offset)
        self._flash.program_page(offset, block.data)
