"""UF2: firmware in blocks of 512 bytes, for boot loaders that look like a drive. The format: https://github.com/microsoft/uf2."""

import struct
from collections.abc import Iterable, Sequence

import msgspec

BLOCK_BYTES = 512
PAYLOAD_BYTES = 256  # "always correct", and the only size that the RP2040's boot ROM takes
MAX_PAYLOAD_BYTES = 476
ERASED = 0xFF
_TOLD = 3  # of the numbers that a damaged file claims

NOT_MAIN_FLASH = 0x0000_0001
FILE_CONTAINER = 0x0000_1000
FAMILY_PRESENT = 0x0000_2000

_HEADER = struct.Struct("<8I")
_MAGIC_FIRST, _MAGIC_SECOND, _MAGIC_LAST = 0x0A32_4655, 0x9E5D_5157, 0x0AB1_6F30
_LAST_AT = BLOCK_BYTES - 4


class Uf2Error(ValueError):
    """This is no UF2 file, or not a whole one; the message is a sentence for a person."""


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block: ``data`` belongs at ``address``; it is block ``number`` (from 0) of ``count``. ``family`` is None when it names none."""

    address: int
    data: bytes
    number: int
    count: int
    family: int | None
    flags: int

    @property
    def is_for_flash(self) -> bool:
        """Whether it holds memory of the chip, and neither a comment nor a piece of some file."""
        return not self.flags & (NOT_MAIN_FLASH | FILE_CONTAINER)


def is_uf2(file: bytes) -> bool:
    """Whether ``file`` begins as a UF2 file does."""
    return len(file) >= BLOCK_BYTES and block_of(file[:BLOCK_BYTES]) is not None


def block_of(sector: bytes) -> Block | None:
    """The block in 512 bytes of a drive; None when they are something else."""
    first, second, flags, address, size, number, count, family = _HEADER.unpack_from(sector)
    (last,) = struct.unpack_from("<I", sector, _LAST_AT)
    if (first, second, last) != (_MAGIC_FIRST, _MAGIC_SECOND, _MAGIC_LAST) or size > MAX_PAYLOAD_BYTES:
        return None
    data = sector[_HEADER.size : _HEADER.size + size]
    named = family if flags & FAMILY_PRESENT else None
    return Block(address=address, data=data, number=number, count=count, family=named, flags=flags)


def blocks_of(file: bytes) -> list[Block]:
    """All blocks of a UF2 file, in its order. Raises ``Uf2Error``."""
    if len(file) % BLOCK_BYTES or not file:
        raise Uf2Error(
            f"a UF2 file consists of blocks of {BLOCK_BYTES} bytes, and this one has {len(file)}: it is cut off"
        )
    found = []
    for number, place in enumerate(range(0, len(file), BLOCK_BYTES)):
        block = block_of(file[place : place + BLOCK_BYTES])
        if block is None:
            raise Uf2Error(f"block {number} of the file (at byte {place}) is no UF2 block")
        found.append(block)
    return found


def whole(blocks: Sequence[Block]) -> None:
    """Raises ``Uf2Error`` unless the blocks are all of one transfer, each there once."""
    counts = {block.count for block in blocks}
    if counts != {len(blocks)}:
        said = ", ".join(str(count) for count in sorted(counts)[:_TOLD]) + (", …" if len(counts) > _TOLD else "")
        raise Uf2Error(f"the blocks say that there are {said} of them, and the file has {len(blocks)}")
    if {block.number for block in blocks} != set(range(len(blocks))):
        raise Uf2Error("some block is missing, and another one is there twice")


def packed(pieces: Iterable[tuple[int, bytes]], *, family: int, sector_bytes: int) -> bytes:
    """A UF2 file that writes each piece of data at its address; where pieces overlap, the later one counts.

    Sectors of ``sector_bytes`` are filled up with erased bytes: loaders erase by the sector, and the RP2040's does it wrongly for one that
    is filled in part in the middle of a file (erratum RP2040-E14).
    """
    sectors: dict[int, bytearray] = {}
    for address, data in pieces:
        for at in range(address - address % sector_bytes, address + len(data), sector_bytes):
            sector = sectors.setdefault(at, bytearray([ERASED]) * sector_bytes)
            first, last = max(address, at), min(address + len(data), at + sector_bytes)
            sector[first - at : last - at] = data[first - address : last - address]
    pages = [
        (at + place, bytes(sectors[at][place : place + PAYLOAD_BYTES]))
        for at in sorted(sectors)
        for place in range(0, sector_bytes, PAYLOAD_BYTES)
    ]
    return b"".join(
        encoded(address, page, number=number, count=len(pages), family=family)
        for number, (address, page) in enumerate(pages)
    )


def encoded(address: int, data: bytes, *, number: int, count: int, family: int) -> bytes:
    """One block, as it stands in a file."""
    header = _HEADER.pack(
        _MAGIC_FIRST, _MAGIC_SECOND, FAMILY_PRESENT, address, len(data), number, count, family
    )  # fmt: skip
    return (header + data).ljust(_LAST_AT, b"\0") + struct.pack("<I", _MAGIC_LAST)
