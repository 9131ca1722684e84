"""What a virtual board of the ESP32 family loads and runs: its RAM, images, and an app that waits."""

import hashlib
import struct
from functools import reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.boards.virtual.emulated import PATIENCE_OF_WAITING_READS, PATIENCE_READS
from benchwire.boards.virtual.esp.boot import boot
from benchwire.boards.virtual.esp.c3.peripherals import SYSTIMER, UART_FIFO, UNIT0_VALUE_LO, Peripherals
from benchwire.boards.virtual.esp.chips import ESP32, ESP32_C3, ESP32_S3
from benchwire.boards.virtual.esp.image import ImageError, Segment, parse, xor_of
from benchwire.boards.virtual.esp.nor import Nor
from benchwire.boards.virtual.esp.ram import Ram, RamError


def image(*segments: Segment, entry: int = 0x40380000, chip: int = 5, with_hash: bool = True) -> bytes:
    head = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x20, entry)
    head += struct.pack("<B3sHBHH4sB", 0xEE, b"", chip, 0, 0, 0xFFFF, b"", with_hash)
    body = head + b"".join(struct.pack("<II", one.address, len(one.data)) + one.data for one in segments)
    body += b"\x00" * (15 - len(body) % 16)
    body += bytes([reduce(xor, b"".join(one.data for one in segments), 0xEF)])
    return body + (hashlib.sha256(body).digest() if with_hash else b"")


def test_data_and_code_addresses_show_the_same_ram() -> None:
    ram = Ram(ESP32_C3.ram)
    ram.write(0x3FC90000, b"same")
    assert ram.read(0x40390000, 4) == b"same"
    for address in (0x3FC7FFFF, 0x3FCDFFFE, 0x42000000, 0x0):
        with pytest.raises(RamError):
            ram.write(address, b"1234")


@given(st.binary(max_size=300))
def test_xor_of_is_all_bytes_xored(data: bytes) -> None:
    assert xor_of(data) == reduce(xor, data, 0)


def test_an_image_is_taken_apart() -> None:
    segments = (Segment(0x3FC90000, b"data" * 4), Segment(0x40380000, b"code" * 9))
    packed = image(*segments)
    parsed = parse(packed + b"\xff" * 100, ESP32_C3.identity)
    assert (parsed.segments, parsed.entry, parsed.mode) == (segments, 0x40380000, "DIO")
    assert parsed.size_bytes == len(packed)
    assert parsed.calculated_sha256 == parsed.expected_sha256
    assert parse(image(*segments, with_hash=False), ESP32_C3.identity).expected_sha256 is None


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        (b"\xff" * 64, "invalid header: 0xffffffff"),
        (b"", "invalid header"),
        (image(Segment(0x40380000, b"code"), chip=9), "for chip 9"),
        (image(), "segment count: 0"),
        (image(Segment(0x40380000, b"code"))[:30], "invalid segment 0"),
        (image(Segment(0x40380000, b"code" * 20))[:60], "invalid segment 0"),
        (image(Segment(0x40380000, b"code")).replace(b"code", b"Code"), "csum err:"),
    ],
)
def test_what_the_rom_would_not_load_is_refused(memory: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        parse(memory, ESP32_C3.identity)


def test_an_image_that_does_not_fit_in_ram_is_not_booted(nor: Nor) -> None:
    nor.program(0, image(Segment(0x42000000, b"code")))
    found = boot(ESP32_C3, nor, Ram(ESP32_C3.ram))
    assert found.entry is None
    assert "4 bytes at 0x42000000 are not in RAM" in found.log


def test_a_wrong_hash_is_told_and_stops_nothing(nor: Nor) -> None:
    packed = bytearray(image(Segment(0x40380000, b"code")))
    packed[-1] ^= 1
    nor.program(0, bytes(packed))
    found = boot(ESP32_C3, nor, Ram(ESP32_C3.ram))
    assert found.entry == 0x40380000
    assert "SHA-256 comparison failed" in found.log


def test_an_app_of_a_chip_without_a_core_is_loaded_from_where_the_chip_looks(nor: Nor) -> None:
    nor.program(0x1000, image(Segment(0x40080000, b"code"), entry=0x40080000, chip=0))
    found = boot(ESP32, nor, Ram(ESP32.ram))
    assert found.entry == 0x40080000
    assert found.log.startswith("ESP-ROM:esp32-virtual\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n")
    assert boot(ESP32_S3, nor, Ram(ESP32_S3.ram)).refusal == "invalid header: 0xffffffff"


# -- an app that waits


def test_an_app_that_keeps_polling_sleeps_after_fewer_looks_until_it_does_something() -> None:
    """A board whose firmware did nothing but wait took a twentieth of a core; forty of them took the machine."""
    waits: list[None] = []
    chip = Peripherals(bytes(6), lambda: waits.append(None))

    def looks(count: int) -> int:
        waits.clear()
        for _ in range(count):
            chip.read(SYSTIMER + UNIT0_VALUE_LO)
        return len(waits)

    assert looks(PATIENCE_READS - 1) == 0
    assert looks(1) == 1
    assert looks(5 * PATIENCE_OF_WAITING_READS) == 5
    chip.write(UART_FIFO, ord("x"))
    assert looks(PATIENCE_READS) == 1
