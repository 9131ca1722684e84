"""What the RP2040's boot ROM expects of firmware (RP2040 datasheet, 2.8.1 and 2.8.4)."""

import struct

from benchwire.boards import uf2

FAMILY = 0xE48B_FF56  # its id in UF2 blocks
FLASH_START = 0x1000_0000
SECTOR_BYTES = 4096

BOOT2_BYTES = 256  # the second stage, at the start of flash; its last four bytes are a checksum
_POLYNOMIAL = 0x04C1_1DB7


# A block that makes no sense: the ROM forgets which blocks it has. It takes a file with as many blocks as one that was broken off for the
# rest of that one, and would leave out those that it had, whatever is in them now.
FORGET = uf2.encoded(0, bytes(uf2.PAYLOAD_BYTES), number=0, count=0, family=FAMILY)


def has_second_stage(start: bytes) -> bool:
    """Whether the flash that begins with ``start`` boots: the ROM runs no second stage without the right checksum."""
    if len(start) < BOOT2_BYTES:
        return False
    (expected,) = struct.unpack_from("<I", start, BOOT2_BYTES - 4)
    return crc32(start[: BOOT2_BYTES - 4]) == int(expected)


def crc32(data: bytes) -> int:
    """CRC-32 as the ROM computes it: most significant bit first, no final inversion."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ _POLYNOMIAL if crc & 0x8000_0000 else crc << 1) & 0xFFFF_FFFF
    return crc
