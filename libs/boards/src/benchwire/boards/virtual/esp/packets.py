"""What requests carry and what answers say, as esptool's protocol has it: failures, and blocks of data."""

import struct

import msgspec

from benchwire.boards.virtual.esp.image import CHECKSUM_SEED, xor_of


class Failure(msgspec.Struct, frozen=True):
    """The status bytes of one kind of failure, as the ROM and as the stub say it."""

    rom: int
    stub: int


INVALID_MESSAGE = Failure(0x05, 0xC0)
UNKNOWN_COMMAND = Failure(0x05, 0xFF)
FAILED_TO_ACT = Failure(0x06, 0xC4)
NOT_WRITING = Failure(0x06, 0xC6)
WRONG_CHECKSUM = Failure(0x07, 0xC1)
WRITE_FAILED = Failure(0x08, 0xC4)
READ_FAILED = Failure(0x09, 0xC4)
INFLATE_FAILED = Failure(0x0B, 0xC7)


class LoaderError(Exception):
    """A command fails; the host is told by status bytes."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.rom:#04x}")
        self.failure = failure


def block_of(data: bytes, checksum: int) -> tuple[int, bytes]:
    """Number and content of a data block. Raises `LoaderError` when its size or checksum is wrong."""
    size_bytes, sequence, _, _ = struct.unpack_from("<IIII", data)
    block = data[16:]
    if size_bytes != len(block):
        raise LoaderError(INVALID_MESSAGE)
    if checksum & 0xFF != CHECKSUM_SEED ^ xor_of(block):
        raise LoaderError(WRONG_CHECKSUM)
    return sequence, block
