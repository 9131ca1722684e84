"""Would this image run on that board? Asked before a byte of flash is touched. Knows no tool."""

import struct
from collections.abc import Iterable
from itertools import pairwise

from benchwire.boards.profile import Esptool, Profile, Pyocd
from benchwire.flash_agent.errors import ImageRefused

# Chip ids of the extended header, "Firmware Image Format" in Espressif's esptool documentation.
ESP_CHIP_IDS = {
    "esp32": 0, "esp32s2": 2, "esp32c3": 5, "esp32s3": 9, "esp32c2": 12, "esp32c6": 13, "esp32h2": 16, "esp32p4": 18,
}  # fmt: skip
ESP_MAGIC = 0xE9
ESP_HEADER_BYTES = 24
ESP_MAX_SEGMENTS = 16
ESP_CHECKSUM_SEED = 0xEF
_HASH_APPENDED = 23  # offset of the flag

Ranges = Iterable[tuple[int, int]]


def check(image: bytes, profile: Profile, address: int) -> None:
    """Everything that can be said about ``image`` on a board of ``profile`` without asking the board. Raises ``ImageRefused``."""
    match profile.driver:
        case Pyocd() as driver:
            flash_ranges = [(r.origin, r.origin + r.size_bytes) for r in profile.memory.values() if r.kind == "flash"]
            fits(image, address, flash_ranges or [(driver.address, driver.address + profile.flash.size_bytes)])
            if address == driver.address:
                ram = [(r.origin, r.origin + r.size_bytes) for r in profile.memory.values() if r.kind == "ram"]
                vector_table(image, address, ram)
        case Esptool() as driver:
            fits(image, address, [(0, profile.flash.size_bytes)])
            if address == driver.offset:
                esp_image(image, driver.chip)


def fits(image: bytes, address: int, flash_ranges: Ranges) -> None:
    """The image lies in flash, whole. Raises ``ImageRefused``."""
    if not image:
        raise ImageRefused("the image is empty")
    end = address + len(image)
    free = _contiguous(flash_ranges)
    if any(start <= address and end <= stop for start, stop in free):
        return
    holds = ", ".join(f"{start:#x} to {stop:#x}" for start, stop in free)
    raise ImageRefused(f"{len(image)} bytes at {address:#x} do not fit into the flash of this board ({holds})")


def _contiguous(ranges: Ranges) -> list[tuple[int, int]]:
    """Neighbouring regions, which differ in the size of their sectors only, as one."""
    ordered = sorted(ranges)
    joined = ordered[:1]
    for (_, before), (start, stop) in pairwise(ordered):
        if start == before:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def vector_table(image: bytes, address: int, ram_ranges: Ranges) -> None:
    """The first two words are a stack pointer in RAM and a reset handler in this image (ARMv7-M, B1.5.3). Raises ``ImageRefused``."""
    if len(image) < 8:
        raise ImageRefused(f"the image has {len(image)} bytes, too few for a vector table")
    stack_pointer, reset = struct.unpack_from("<II", image)
    # A full descending stack may start just above the last byte of RAM.
    if stack_pointer % 4 or not any(start < stack_pointer <= stop for start, stop in ram_ranges):
        raise ImageRefused(
            f"the image does not start with a vector table: its initial stack pointer {stack_pointer:#010x} is not in RAM"
        )
    if not reset & 1:
        raise ImageRefused(f"the reset vector {reset:#010x} is even: a Cortex-M runs Thumb code only")
    if not address <= reset - 1 < address + len(image):
        raise ImageRefused(f"the reset vector {reset:#010x} points outside the image at {address:#x}")


def esp_image(image: bytes, chip: str | None) -> None:
    """A whole Espressif image for ``chip`` (any, when None). Raises ``ImageRefused``."""
    if len(image) < ESP_HEADER_BYTES or image[0] != ESP_MAGIC:
        raise ImageRefused(f"this is not an ESP image: it must start with {ESP_MAGIC:#04x}")
    (chip_id,) = struct.unpack_from("<H", image, 12)
    if chip is not None and chip in ESP_CHIP_IDS and chip_id != ESP_CHIP_IDS[chip]:
        made_for = next((name for name, one in ESP_CHIP_IDS.items() if one == chip_id), f"an unknown chip ({chip_id})")
        raise ImageRefused(f"the image is made for {made_for}, and this board has an {chip}")
    _esp_body(image)


def _esp_body(image: bytes) -> None:
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
        for byte in data:
            checksum ^= byte
        place += 8 + size
    at = place | 15  # the checksum is the last byte of a 16-byte row
    if at >= len(image):
        raise ImageRefused("the image is cut off: its checksum is missing")
    if image[at] != checksum:
        raise ImageRefused(f"the image is damaged: its checksum is {image[at]:#04x} and should be {checksum:#04x}")
    if image[_HASH_APPENDED] == 1 and len(image) < at + 1 + 32:
        raise ImageRefused("the image is cut off: its digest is missing")
