"""Images that would not run are refused, with the reason."""

import functools
import hashlib
import operator
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchwire.boards import profile as profiles
from benchwire.flash_agent.errors import ImageRefused, NoPartition
from benchwire.flash_agent.tools import images, partitions
from benchwire.flash_agent.tools.pieces import Piece

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
    return body + hashlib.sha256(body).digest() if hashed else body


def check(image: bytes, profile: profiles.Profile, address: int) -> None:
    images.check([Piece(address, image)], profile)


def test_images_as_they_should_be_are_taken() -> None:
    check(stm32_image(), STM32, BASE)
    check(stm32_image(stack_pointer=0x2002_0000), STM32, BASE)  # a stack grows down from the end of RAM
    check(esp_image(), ESP, 0)
    check(esp_image(hashed=False), ESP, 0)


def test_elsewhere_in_flash_data_need_not_be_an_image() -> None:
    check(b"data", STM32, BASE + 0x4000)
    check(b"settings", ESP, 0x9000)


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
        check(image, STM32, address)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"", "empty"),
        (stm32_image(), "not an ESP image"),
        (esp_image()[:-1] + b"?", "digest does not fit"),
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
        check(image, ESP, 0)


def test_neighbouring_flash_regions_count_as_one() -> None:
    images.fits(Piece(0, b"x" * 100), [(64, 128), (0, 64)])
    with pytest.raises(ImageRefused):
        images.fits(Piece(0, b"x" * 100), [(0, 64), (96, 128)])


def table(*rows: tuple[str, int, int, int, int], md5: bytes | None = None) -> bytes:
    """Entries of name, type, subtype, address and size, as ESP-IDF's gen_esp32part.py writes them."""
    body = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subkind, address, size, name.encode(), 0)
        for name, kind, subkind, address, size in rows
    )
    digest = hashlib.md5(body, usedforsecurity=False).digest() if md5 is None else md5
    return (body + b"\xeb\xeb" + b"\xff" * 14 + digest).ljust(0xC00, b"\xff")


NVS, APP = ("nvs", 1, 2, 0x9000, 0x6000), ("app", 0, 0, 0x10000, 0x10000)


def test_a_partition_table_is_read_as_it_was_written() -> None:
    assert partitions.parse(table(NVS, APP)) == [
        partitions.Partition("nvs", 1, 2, 0x9000, 0x6000),
        partitions.Partition("app", 0, 0, 0x10000, 0x10000),
    ]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (b"\xff" * 0xC00, "empty"),
        (table(NVS, APP, md5=bytes(16)), "MD5 does not fit"),
        (table(NVS, APP)[:50], "row 2 is no entry"),
        (b"x" + table(NVS, APP)[1:], "row 1 is no entry"),
        (table(NVS)[:64], "no end"),
        (table(("app", 0, 0, 0x11000, 0x10000)), "no multiple of 0x10000"),
        (table(("nvs", 1, 2, 0x8000, 0x6000)), "over the partition table"),
        (table(NVS, ("more", 1, 2, 0xE000, 0x1000)), "nvs and more overlap"),
        (table(("\xe4", 1, 2, 0x9000, 0x1000)).replace("\xe4".encode(), b"\xe4x"), "name of its entry 1|MD5"),
        (table(("app", 0, 0, 0x3F0000, 0x20000)), "beyond this board's flash"),
    ],
)
def test_a_board_gets_no_partition_table_that_it_could_not_use(rows: bytes, why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        check(rows, ESP, 0x8000)


def test_what_is_written_by_name_goes_where_the_table_of_the_same_job_says() -> None:
    pieces = [Piece(0, esp_image(), "app"), Piece(0x8000, table(NVS, APP))]
    images.check(pieces, ESP)
    assert images.resolved(pieces, images.esp_table(pieces, None))[0].address == 0x10000


@pytest.mark.parametrize(
    ("pieces", "error", "why"),
    [
        ([Piece(0, esp_image(), "ota_1"), Piece(0x8000, table(NVS, APP))], NoPartition, "no partition ota_1; it has nvs, app"),
        ([Piece(0, bytes(0x6001), "nvs"), Piece(0x8000, table(NVS, APP))], ImageRefused, "it has 24576 bytes"),
        ([Piece(0, b"data", "app"), Piece(0x8000, table(NVS, APP))], ImageRefused, "not an ESP image"),
        ([Piece(0x9000, bytes(0x7000)), Piece(0x8000, table(NVS, APP))], ImageRefused, "over the end of the partition nvs"),
        ([Piece(0x9000, bytes(0x2000)), Piece(0xA000, b"more")], ImageRefused, "overlap"),
        ([Piece(0x9100, b"data")], ImageRefused, "0x9100 is not where a sector"),
        ([Piece(0x9000, esp_image())], ImageRefused, "would never run"),
        ([Piece(0x10000, b"")], ImageRefused, "empty"),
    ],
)  # fmt: skip
def test_several_images_for_an_esp_have_to_fit_together(pieces: list[Piece], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        images.check(pieces, ESP)


def test_data_that_begins_like_a_program_may_go_into_a_data_partition() -> None:
    images.check([Piece(0, b"\xe9 just so", "nvs"), Piece(0x8000, table(NVS, APP))], ESP)


def test_an_image_for_other_revisions_of_the_chip_is_refused() -> None:
    newer = esp_image(hashed=False)
    newer = newer[:15] + struct.pack("<HH", 101, 199) + newer[19:]
    images.esp_image(newer, "esp32c3", 101)
    with pytest.raises(ImageRefused, match=r"v1\.1 to v1\.99 of the chip, and this is v0\.4"):
        images.esp_image(newer, "esp32c3", 4)


def test_flash_parameters_go_into_the_header_and_the_digest_is_renewed() -> None:
    changed = images.esp_parameters(esp_image(), mode="qio", size_bits=0x40, freq_bits=None)
    assert (changed[2], changed[3]) == (0, 0x40)
    images.esp_image(changed, "esp32c3")


def test_the_parts_of_a_program_for_a_cortex_m_may_lie_apart_and_not_overlap() -> None:
    images.check([Piece(BASE, stm32_image(reset=BASE + 0x4001)), Piece(BASE + 0x4000, b"code")], STM32)
    with pytest.raises(ImageRefused, match="overlap"):
        images.check([Piece(BASE, stm32_image()), Piece(BASE + 0x100, b"code")], STM32)
    with pytest.raises(ImageRefused, match="only ESP boards have a partition table"):
        images.check([Piece(BASE, stm32_image(), "app")], STM32)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_all_bytes_into_one_is_what_byte_by_byte_gives(data: bytes) -> None:
    assert images._xor(data) == functools.reduce(operator.xor, data)
