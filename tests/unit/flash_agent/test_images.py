"""Images that would not run are refused, with the reason."""

import struct

import pytest

from benchwire.boards import profile as profiles
from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import images

STM32, ESP = profiles.load("stm32f405"), profiles.load("esp32c3")
BASE = 0x0800_0000


def stm32_image(stack_pointer: int = 0x2000_1000, reset: int = BASE + 0x101, size: int = 0x200) -> bytes:
    return struct.pack("<II", stack_pointer, reset).ljust(size, b"\0")


def esp_image(chip_id: int = 5, segments: int = 1, data: bytes = b"code" * 5, *, hashed: bool = True) -> bytes:
    header = struct.pack("<BBBBI", 0xE9, segments, 2, 0x20, 0x40380000) + bytes(4)
    header += struct.pack("<H", chip_id) + bytes(9) + bytes([hashed])
    body = header + struct.pack("<II", 0x40380000, len(data)) + data
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    body = body.ljust(len(body) | 15, b"\0") + bytes([checksum])
    return body + bytes(32) if hashed else body


def test_images_as_they_should_be_are_taken() -> None:
    images.check(stm32_image(), STM32, BASE)
    images.check(stm32_image(stack_pointer=0x2002_0000), STM32, BASE)  # a stack grows down from the end of RAM
    images.check(esp_image(), ESP, 0)
    images.check(esp_image(hashed=False), ESP, 0)


def test_elsewhere_in_flash_data_need_not_be_an_image() -> None:
    images.check(b"data", STM32, BASE + 0x4000)
    images.check(b"\xaa\x50 a partition table", ESP, 0x8000)


@pytest.mark.parametrize(
    ("image", "address", "why"),
    [
        (b"", BASE, "empty"),
        (b"1234", BASE, "too few"),
        (stm32_image(stack_pointer=0x1000_0000), BASE, "stack pointer 0x10000000 is not in RAM"),
        (stm32_image(stack_pointer=0x2000_0000), BASE, "not in RAM"),
        (stm32_image(stack_pointer=0x2000_0002), BASE, "not in RAM"),
        (stm32_image(reset=BASE + 0x100), BASE, "even"),
        (stm32_image(reset=BASE + 0x1001), BASE, "outside the image"),
        (b"\xff" * 64, BASE, "vector table"),
        (esp_image(), BASE, "vector table"),
        (stm32_image(size=0x100001), BASE, "do not fit"),
        (stm32_image(), BASE + 0x10_0000 - 4, "do not fit"),
        (stm32_image(), 0, "do not fit"),
    ],
)
def test_a_cortex_m_gets_no_image_that_would_not_boot(image: bytes, address: int, why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        images.check(image, STM32, address)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"", "empty"),
        (stm32_image(), "not an ESP image"),
        (esp_image(chip_id=9), "made for esp32s3"),
        (esp_image(chip_id=999), "unknown chip"),
        (esp_image(segments=0), "claims 0 segments"),
        (esp_image(segments=17), "claims 17 segments"),
        (esp_image()[:30], "ends before"),
        (esp_image()[:40], "cut off"),
        (esp_image(hashed=False)[:-1], "checksum is missing"),
        (esp_image()[:-1], "digest is missing"),
        (esp_image().replace(b"code", b"c0de", 1), "damaged"),
        (esp_image() + bytes(4 << 20), "do not fit"),
    ],
)
def test_an_esp_gets_no_image_that_would_not_boot(image: bytes, why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        images.check(image, ESP, 0)


def test_neighbouring_flash_regions_count_as_one() -> None:
    images.fits(b"x" * 100, 0, [(64, 128), (0, 64)])
    with pytest.raises(ImageRefused):
        images.fits(b"x" * 100, 0, [(0, 64), (96, 128)])
