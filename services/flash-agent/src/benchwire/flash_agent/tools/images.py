"""Would these images run on that board? Asked before a byte of flash is touched. Knows no tool."""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise

from benchwire.boards.profile import Esptool, Profile, Pyocd, Uf2
from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import partitions, uf2_files
from benchwire.flash_agent.tools.pieces import Piece

# Chip ids of the extended header, "Firmware Image Format" in Espressif's esptool documentation.
ESP_CHIP_IDS = {
    "esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c2": 12, "esp32c6": 13, "esp32h2": 16, "esp32p4": 18,
}  # fmt: skip
ESP_MAGIC = 0xE9
ESP_HEADER_BYTES = 24
ESP_MAX_SEGMENTS = 16
ESP_CHECKSUM_SEED = 0xEF
ESP_SECTOR_BYTES = 4096
ESP_FLASH_MODES = {"qio": 0, "qout": 1, "dio": 2, "dout": 3}
_HASH_APPENDED = 23  # offset of the flag
_DIGEST_BYTES = 32

Ranges = Iterable[tuple[int, int]]


def check(pieces: Sequence[Piece], profile: Profile) -> None:
    """Everything that can be said about ``pieces`` on a board of ``profile`` without asking the board. Raises ``ImageRefused``."""
    flash_ranges = [(r.origin, r.origin + r.size_bytes) for r in profile.memory.values() if r.kind == "flash"]
    match profile.driver:
        case Pyocd() as driver:
            ram_ranges = [(r.origin, r.origin + r.size_bytes) for r in profile.memory.values() if r.kind == "ram"]
            flash_ranges = flash_ranges or [(driver.address, driver.address + profile.flash.size_bytes)]
            cortex_m(pieces, flash_ranges, ram_ranges, boot_address=driver.address)
        case Esptool() as driver:
            esp(pieces, chip=driver.chip, boot_address=profile.firmware_address, flash_bytes=profile.flash.size_bytes)
        case Uf2() as driver:
            in_flash(pieces, flash_ranges)
            uf2_files.bootable(pieces, driver)


def cortex_m(pieces: Sequence[Piece], flash_ranges: Ranges, ram_ranges: Ranges, *, boot_address: int) -> None:
    """Whole in flash, apart from each other, and bootable where the core boots from. Raises ``ImageRefused``."""
    in_flash(pieces, flash_ranges)
    for piece in pieces:
        if piece.address == boot_address:
            vector_table(piece, pieces, ram_ranges)


def in_flash(pieces: Sequence[Piece], flash_ranges: Ranges) -> None:
    """Every piece lies in flash, whole, and no two overlap. Raises ``ImageRefused``."""
    flash = contiguous(flash_ranges)
    for piece in pieces:
        if piece.partition is not None:
            raise ImageRefused(f"{piece.partition} cannot be written by name: only ESP boards have a partition table")
        fits(piece, flash)
    apart(pieces)


def fits(piece: Piece, flash_ranges: Ranges) -> None:
    """The piece lies in flash, whole. Raises ``ImageRefused``."""
    if not piece.data:
        raise ImageRefused("the image is empty")
    free = contiguous(flash_ranges)
    if any(start <= piece.address and piece.end <= stop for start, stop in free):
        return
    holds = ", ".join(f"{start:#x} to {stop:#x}" for start, stop in free)
    raise ImageRefused(f"{piece} do not fit into the flash of this board ({holds})")


def contiguous(ranges: Ranges) -> list[tuple[int, int]]:
    """Neighbouring regions, which differ in the size of their sectors only, as one."""
    ordered = sorted(ranges)
    joined = ordered[:1]
    for (_, before), (start, stop) in pairwise(ordered):
        if start == before:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def apart(pieces: Iterable[Piece]) -> None:
    """No two overlap. Raises ``ImageRefused``."""
    for before, after in pairwise(sorted(pieces)):
        if after.address < before.end:
            raise ImageRefused(f"{before} and {after} overlap")


def vector_table(first: Piece, pieces: Iterable[Piece], ram_ranges: Ranges) -> None:
    """The first two words are a stack pointer in RAM and a reset handler in ``pieces`` (ARMv7-M, B1.5.3). Raises ``ImageRefused``."""
    if len(first.data) < 8:
        raise ImageRefused(f"the image has {len(first.data)} bytes, too few for a vector table")
    stack_pointer, reset = struct.unpack_from("<II", first.data)
    # A full descending stack may start just above the last byte of RAM.
    if stack_pointer % 4 or not any(start < stack_pointer <= stop for start, stop in ram_ranges):
        raise ImageRefused(
            f"the image does not start with a vector table: its initial stack pointer {stack_pointer:#010x} is not in RAM"
        )
    if not reset & 1:
        raise ImageRefused(f"the reset vector {reset:#010x} is even: a Cortex-M runs Thumb code only")
    if not any(one.address <= reset - 1 < one.end for one in pieces):
        raise ImageRefused(f"the reset vector {reset:#010x} points outside the image at {first.address:#x}")


# -- ESP


def esp(
    pieces: Sequence[Piece], *, chip: str | None, boot_address: int | None, flash_bytes: int | None,
    table: Sequence[partitions.Partition] = (), revision: int | None = None,
) -> None:  # fmt: skip
    """Whole in flash, on its sectors, apart from each other, and everything that is an image or a table as it should be.

    ``table`` is the board's, when it is known and not among the pieces; ``revision`` the chip's, major times 100 and minor.
    A piece whose partition cannot be looked up yet has no place to be checked at. Raises ``ImageRefused`` and ``NoPartition``.
    """
    if not all(piece.data for piece in pieces):
        raise ImageRefused("the image is empty")
    table = esp_table(pieces, flash_bytes) or table
    placed = resolved(pieces, table) if table else [piece for piece in pieces if piece.partition is None]
    for piece in placed:
        fits(piece, [(0, 1 << 32 if flash_bytes is None else flash_bytes)])
        if piece.address % ESP_SECTOR_BYTES:
            raise ImageRefused(
                f"{piece.address:#x} is not where a sector of {ESP_SECTOR_BYTES} bytes begins: writing there would erase what lies before it"
            )
    apart(placed)
    for piece in placed:
        _esp_piece(piece, chip, boot_address, table, revision)


def esp_table(pieces: Iterable[Piece], flash_bytes: int | None) -> list[partitions.Partition]:
    """The partition table among ``pieces``, checked; empty when there is none. Raises ``ImageRefused``."""
    for piece in (one for one in pieces if one.partition is None):
        start = partitions.TABLE_ADDRESS - piece.address
        rows = piece.data[max(start, 0) : max(start, 0) + partitions.TABLE_BYTES]
        # What lies over that place on its way to somewhere else need not hold one; what is put exactly there has to be one.
        exactly = start == 0 and len(piece.data) <= partitions.TABLE_SECTOR_BYTES
        if exactly or (start >= 0 and rows.startswith(partitions.ENTRY_MAGIC)):
            found = partitions.parse(rows)
            if flash_bytes is not None:
                partitions.fit(found, flash_bytes)
            return found
    return []


def _esp_piece(
    piece: Piece, chip: str | None, boot_address: int | None, table: Iterable[partitions.Partition], revision: int | None
) -> None:  # fmt: skip
    home = next((one for one in table if one.address <= piece.address < one.end), None)
    if home is not None and piece.end > home.end:
        raise ImageRefused(f"{piece} run over the end of the partition {home.name}, which ends at {home.end:#x}")
    boots = piece.address == boot_address
    begins_app = home is not None and home.is_app and home.address == piece.address
    looks_like_one = piece.data[0] == ESP_MAGIC and (home is None or home.is_app)
    if not (boots or begins_app or looks_like_one):
        return  # data, of which nobody here knows what it should look like
    esp_image(piece.data, chip, revision)
    if (
        boot_address is not None
        and not boots
        and (piece.address < boot_address or piece.address % partitions.APP_ALIGNMENT)
    ):
        raise ImageRefused(
            f"a program at {piece.address:#x} would never run: the chip boots from {boot_address:#x}, and programs beyond that begin at"
            f" multiples of {partitions.APP_ALIGNMENT:#x}"
        )


def resolved(pieces: Iterable[Piece], table: Sequence[partitions.Partition]) -> list[Piece]:
    """``pieces`` with the addresses of their partitions. Raises ``NoPartition``, and ``ImageRefused`` for one that is too large."""
    placed = []
    for piece in pieces:
        if piece.partition is not None:
            home = partitions.named(table, piece.partition)
            if len(piece.data) > home.size_bytes:
                raise ImageRefused(f"{piece} do not fit: it has {home.size_bytes} bytes")
            placed.append(Piece(home.address, piece.data))
        else:
            placed.append(piece)
    return placed


def esp_image(image: bytes, chip: str | None, revision: int | None = None) -> None:
    """A whole Espressif image for ``chip`` (any, when None) of ``revision``. Raises ``ImageRefused``."""
    if len(image) < ESP_HEADER_BYTES or image[0] != ESP_MAGIC:
        raise ImageRefused(f"this is not an ESP image: it must start with {ESP_MAGIC:#04x}")
    chip_id, _, oldest, newest = struct.unpack_from("<HBHH", image, 12)
    if chip is not None and chip in ESP_CHIP_IDS and chip_id != ESP_CHIP_IDS[chip]:
        made_for = next((name for name, one in ESP_CHIP_IDS.items() if one == chip_id), f"an unknown chip ({chip_id})")
        raise ImageRefused(f"the image is made for {made_for}, and this board has an {chip}")
    # Images of before ESP-IDF 4.4 leave both at 0 and say nothing.
    if revision is not None and newest and not oldest <= revision <= newest:
        raise ImageRefused(
            f"the image is made for revisions {_revision(oldest)} to {_revision(newest)} of the chip, and this is {_revision(revision)}"
        )
    end = _esp_body_end(image)
    if image[_HASH_APPENDED] == 1:
        digest = image[end : end + _DIGEST_BYTES]
        if len(digest) < _DIGEST_BYTES:
            raise ImageRefused("the image is cut off: its digest is missing")
        if hashlib.sha256(image[:end]).digest() != digest:
            raise ImageRefused("the image is damaged: its digest does not fit its content")


def _revision(number: int) -> str:
    return f"v{number // 100}.{number % 100}"


def _esp_body_end(image: bytes) -> int:
    """The first place behind segments and checksum, both checked."""
    segments = image[1]
    if not 0 < segments <= ESP_MAX_SEGMENTS:
        raise ImageRefused(f"the image claims {segments} segments; an ESP image has 1 to {ESP_MAX_SEGMENTS}")
    checksum, place = ESP_CHECKSUM_SEED, ESP_HEADER_BYTES
    for number in range(segments):
        if place + 8 > len(image):
            raise ImageRefused(f"the image ends before its segment {number + 1} of {segments}")
        (size,) = struct.unpack_from("<I", image, place + 4)
        data = image[place + 8 : place + 8 + size]
        if len(data) != size:
            raise ImageRefused(f"the image is cut off: segment {number + 1} should have {size} bytes")
        checksum ^= _xor(data)
        place += 8 + size
    at = place | 15  # the checksum is the last byte of a 16-byte row
    if at >= len(image):
        raise ImageRefused("the image is cut off: its checksum is missing")
    if image[at] != checksum:
        raise ImageRefused(f"the image is damaged: its checksum is {image[at]:#04x} and should be {checksum:#04x}")
    return at + 1


def _xor(data: bytes) -> int:
    """All bytes, one into the other: halves of the whole first, which is some hundred times faster than byte by byte."""
    while len(data) > 1:
        half = (len(data) + 1) // 2
        folded = int.from_bytes(data[:half], "little") ^ int.from_bytes(data[half:], "little")
        data = folded.to_bytes(half, "little")
    return data[0] if data else 0


def esp_parameters(image: bytes, *, mode: str | None, size_bits: int | None, freq_bits: int | None) -> bytes:
    """``image`` with other flash parameters in its header (None: as they are), and its digest renewed. The image was checked before."""
    header_mode = image[2] if mode is None else ESP_FLASH_MODES[mode]
    size_and_freq = (image[3] & 0xF0 if size_bits is None else size_bits) | (
        image[3] & 0x0F if freq_bits is None else freq_bits
    )
    changed = image[:2] + bytes([header_mode, size_and_freq]) + image[4:]
    if image[_HASH_APPENDED] != 1:
        return changed
    end = _esp_body_end(changed)
    return changed[:end] + hashlib.sha256(changed[:end]).digest() + changed[end + _DIGEST_BYTES :]
