"""The image format that the ROM of every chip of the family loads: a header, segments, a checksum and a SHA-256.

Source: Espressif, "Firmware Image Format" (esptool documentation).
"""

import hashlib
import struct
from functools import reduce
from operator import xor

import msgspec

from benchwire.boards.virtual.esp.chips import Identity

MAGIC = 0xE9
MAX_SEGMENTS = 16
CHECKSUM_SEED = 0xEF

# magic, segments, flash mode, flash size and frequency, entry | pins, drive, chip id, revisions, reserved, hash appended
_HEADER = struct.Struct("<BBBBI")
_EXTENDED = struct.Struct("<BBBBHBHH4sB")
_SEGMENT = struct.Struct("<II")

MODES = {0: "QIO", 1: "QOUT", 2: "DIO", 3: "DOUT"}
# frequency nibble -> divider of the 80 MHz clock, as the ROM's boot log tells it
CLOCK_DIVIDERS = {0x0: 2, 0x1: 3, 0x2: 4, 0xF: 1}


class ImageError(Exception):
    """The ROM would not load this; the message is what it prints about it."""


class Segment(msgspec.Struct, frozen=True):
    """Bytes and where in RAM they go."""

    address: int
    data: bytes


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that the ROM loads."""

    entry: int
    mode: str
    clock_divider: int
    segments: tuple[Segment, ...]
    size_bytes: int  # with checksum and hash
    calculated_sha256: bytes | None  # None when the image brings no hash
    expected_sha256: bytes | None


def parse(memory: bytes, chip: Identity) -> Image:
    """The image for `chip` at the beginning of `memory`, which may go on after it. Raises `ImageError`."""
    if len(memory) < _HEADER.size + _EXTENDED.size or memory[0] != MAGIC:
        first_word = int.from_bytes(memory[:4].ljust(4, b"\xff"), "little")
        raise ImageError(f"invalid header: {first_word:#010x}")
    _, count, mode, size_and_frequency, entry = _HEADER.unpack_from(memory)
    extended = _EXTENDED.unpack_from(memory, _HEADER.size)
    chip_id, hash_appended = extended[4], extended[9]
    if chip_id != chip.chip_id:
        raise ImageError(f"invalid chip id: the image is for chip {chip_id}, this is chip {chip.chip_id} ({chip.name})")
    if not 1 <= count <= MAX_SEGMENTS:
        raise ImageError(f"invalid segment count: {count}")
    segments, end = _segments(memory, _HEADER.size + _EXTENDED.size, count)
    end = _check_checksum(memory, segments, end)
    calculated = expected = None
    if hash_appended == 1:
        calculated = hashlib.sha256(memory[:end]).digest()
        expected = memory[end : end + 32]
        end += 32
    return Image(
        entry=entry,
        mode=MODES.get(mode, f"{mode:#x}"),
        clock_divider=CLOCK_DIVIDERS.get(size_and_frequency & 0x0F, 0),
        segments=segments,
        size_bytes=end,
        calculated_sha256=calculated,
        expected_sha256=expected,
    )


def _segments(memory: bytes, offset: int, count: int) -> tuple[tuple[Segment, ...], int]:
    segments = []
    for number in range(count):
        if offset + _SEGMENT.size > len(memory):
            raise ImageError(f"invalid segment {number}: the image ends before it")
        address, size_bytes = _SEGMENT.unpack_from(memory, offset)
        offset += _SEGMENT.size
        if offset + size_bytes > len(memory):
            raise ImageError(f"invalid segment {number}: {size_bytes} bytes at {address:#010x}, the image ends before")
        segments.append(Segment(address, memory[offset : offset + size_bytes]))
        offset += size_bytes
    return tuple(segments), offset


def _check_checksum(memory: bytes, segments: tuple[Segment, ...], end: int) -> int:
    """The checksum is the last byte of the 16-byte row in which the segments end. Returns where that row ends."""
    end += 16 - end % 16
    if end > len(memory):
        raise ImageError("invalid image: it ends before its checksum")
    calculated = reduce(xor, (xor_of(segment.data) for segment in segments), CHECKSUM_SEED)
    if calculated != memory[end - 1]:
        raise ImageError(f"csum err:{calculated:#04x}!={memory[end - 1]:#04x}")
    return end


def xor_of(data: bytes) -> int:
    """All bytes of `data` xored together."""
    # Halving a big integer folds 300 KB in microseconds, where a loop over its bytes would take milliseconds.
    size_bytes = 1 << max(len(data) - 1, 0).bit_length()
    folded = int.from_bytes(data, "little")
    while size_bytes > 1:
        size_bytes //= 2
        folded = (folded >> (8 * size_bytes)) ^ (folded & ((1 << (8 * size_bytes)) - 1))
    return folded
