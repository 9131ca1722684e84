"""The rooms of the virtual ESP32-C3, one by one: framing, flash, image format, loader."""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.boards.virtual.esp32c3 import slip
from benchwire.boards.virtual.esp32c3.boot import boot
from benchwire.boards.virtual.esp32c3.image import ImageError, Segment, parse, xor_of
from benchwire.boards.virtual.esp32c3.nor import SIZE_BYTES, Nor, NorError
from benchwire.boards.virtual.esp32c3.peripherals import (
    PATIENCE_OF_WAITING_READS,
    PATIENCE_READS,
    SYSTIMER,
    UART_FIFO,
    UNIT0_VALUE_LO,
    Peripherals,
)
from benchwire.boards.virtual.esp32c3.rom import Loader, Reboot, RunRam
from benchwire.boards.virtual.esp32c3.sram import Sram, SramError
from benchwire.boards.virtual.esp32c3.stub import Stub, is_stub, known_stubs

MAC = bytes.fromhex("020102030405")
SYNC, READ_REG, MEM_BEGIN, MEM_DATA, MEM_END = 0x08, 0x0A, 0x05, 0x07, 0x06
DEFL_BEGIN, DEFL_DATA, FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x10, 0x11, 0x02, 0x03, 0x04


@pytest.fixture
def nor() -> Iterator[Nor]:
    with Nor.in_memory() as nor:
        yield nor


def image(*segments: Segment, entry: int = 0x40380000, chip: int = 5, with_hash: bool = True) -> bytes:
    head = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x20, entry)
    head += struct.pack("<B3sHBHH4sB", 0xEE, b"", chip, 0, 0, 0xFFFF, b"", with_hash)
    body = head + b"".join(struct.pack("<II", one.address, len(one.data)) + one.data for one in segments)
    body += b"\x00" * (15 - len(body) % 16)
    body += bytes([reduce(xor, b"".join(one.data for one in segments), 0xEF)])
    return body + (hashlib.sha256(body).digest() if with_hash else b"")


def request(command: int, data: bytes = b"", checksum: int = 0) -> bytes:
    return struct.pack("<BBHI", 0, command, len(data), checksum) + data


def block(command: int, sequence: int, data: bytes) -> bytes:
    return request(command, struct.pack("<IIII", len(data), sequence, 0, 0) + data, 0xEF ^ xor_of(data))


def ask(loader: Loader, frame: bytes) -> tuple[int, bytes]:
    """Value and body of the one answer to `frame`."""
    (answer,) = loader.answer(frame)
    direction, command, size_bytes, value = struct.unpack_from("<BBHI", answer)
    assert (direction, command, size_bytes) == (1, frame[1], len(answer) - 8)
    return value, answer[8:]


# -- framing


@given(frames=st.lists(st.binary(min_size=1)), cuts=st.integers(min_value=1, max_value=7))
def test_frames_survive_the_line_in_whatever_pieces_they_arrive(frames: list[bytes], cuts: int) -> None:
    line = b"".join(slip.encode(frame) for frame in frames)
    deframer = slip.Deframer()
    arrived = [frame for at in range(0, len(line), cuts) for frame in deframer.feed(line[at : at + cuts])]
    assert arrived == frames


def test_noise_before_a_frame_and_a_broken_escape_are_dropped() -> None:
    deframer = slip.Deframer()
    assert list(deframer.feed(b"noise\xc0ab\xdbX\xc0" + slip.encode(b"good"))) == [b"good"]


# -- flash


def test_programming_can_only_clear_bits_and_erasing_works_by_sector(nor: Nor) -> None:
    nor.program(0x1000, b"\xf0\xff")
    nor.program(0x1000, b"\x3c\x01")
    assert nor.read(0x1000, 2) == b"\x30\x01"
    nor.program(0x2000, b"\x00")
    nor.erase(0x1001, 1)
    assert nor.read(0x1000, 2) == b"\xff\xff"
    assert nor.read(0x2000, 1) == b"\x00"


@pytest.mark.parametrize(("address", "size_bytes"), [(SIZE_BYTES, 1), (SIZE_BYTES - 1, 2), (-1, 1)])
def test_what_lies_outside_of_the_flash_is_refused(nor: Nor, address: int, size_bytes: int) -> None:
    with pytest.raises(NorError, match="don't lie in a flash"):
        nor.program(address, bytes(size_bytes))
    with pytest.raises(NorError):
        nor.erase(address, size_bytes)
    with pytest.raises(NorError):
        nor.read(address, size_bytes)


def test_flash_survives_in_its_file_and_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.flash"
    with Nor.open(path) as nor:
        nor.program(5, b"kept")
        before = nor.sha256()
    with Nor.open(path) as nor:
        assert nor.read(5, 4) == b"kept"
        assert nor.sha256() == before == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"short")
    with pytest.raises(NorError, match="has 5 bytes"), Nor.open(path):
        pass


def test_a_bit_is_programmed_wrong_once(nor: Nor) -> None:
    nor.flip_when_programmed(3)
    nor.program(0, b"\x10\x10\x10\x10")
    assert nor.read(0, 4) == b"\x10\x10\x10\x11"
    nor.erase(0, 4)
    nor.program(0, b"\x10\x10\x10\x10")
    assert nor.read(0, 4) == b"\x10\x10\x10\x10"


# -- RAM and images


def test_data_and_code_addresses_show_the_same_ram() -> None:
    sram = Sram()
    sram.write(0x3FC90000, b"same")
    assert sram.read(0x40390000, 4) == b"same"
    for address in (0x3FC7FFFF, 0x3FCDFFFE, 0x42000000, 0x0):
        with pytest.raises(SramError):
            sram.write(address, b"1234")


@given(st.binary(max_size=300))
def test_xor_of_is_all_bytes_xored(data: bytes) -> None:
    assert xor_of(data) == reduce(xor, data, 0)


def test_an_image_is_taken_apart() -> None:
    segments = (Segment(0x3FC90000, b"data" * 4), Segment(0x40380000, b"code" * 9))
    packed = image(*segments)
    parsed = parse(packed + b"\xff" * 100)
    assert (parsed.segments, parsed.entry, parsed.mode) == (segments, 0x40380000, "DIO")
    assert parsed.size_bytes == len(packed)
    assert parsed.calculated_sha256 == parsed.expected_sha256
    assert parse(image(*segments, with_hash=False)).expected_sha256 is None


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
        parse(memory)


def test_an_image_that_does_not_fit_in_ram_is_not_booted(nor: Nor) -> None:
    nor.program(0, image(Segment(0x42000000, b"code")))
    found = boot(nor, Sram())
    assert found.entry is None
    assert "4 bytes at 0x42000000 are not in RAM" in found.log


def test_a_wrong_hash_is_told_and_stops_nothing(nor: Nor) -> None:
    packed = bytearray(image(Segment(0x40380000, b"code")))
    packed[-1] ^= 1
    nor.program(0, bytes(packed))
    found = boot(nor, Sram())
    assert found.entry == 0x40380000
    assert "SHA-256 comparison failed" in found.log


# -- the loader


def test_sync_is_answered_eight_times_with_a_value(nor: Nor) -> None:
    answers = Loader(nor, Sram(), MAC).answer(request(SYNC, b"\x07\x07\x12\x20" + b"\x55" * 32))
    assert len(answers) == 8
    assert all(struct.unpack_from("<I", answer, 4) == (0x20120707,) for answer in answers)


def test_an_unknown_command_a_short_one_and_noise(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    assert ask(loader, request(0x55)) == (0, b"\x01\x05\x00\x00")
    assert ask(loader, request(READ_REG, b"\x00")) == (0, b"\x01\x05\x00\x00")
    assert loader.answer(b"noise") == []
    assert loader.answer(request(SYNC, b"1234")[:-1]) == []


def test_the_mac_is_read_from_the_efuses(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    low, _ = ask(loader, request(READ_REG, struct.pack("<I", 0x60008844)))
    high, _ = ask(loader, request(READ_REG, struct.pack("<I", 0x60008848)))
    assert struct.pack(">HI", high, low) == MAC


def test_a_block_with_a_wrong_checksum_is_refused_and_can_be_sent_again(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    ask(loader, request(FLASH_BEGIN, struct.pack("<IIIII", 8, 1, 0x400, 0x1000, 0)))
    wrong = request(FLASH_DATA, struct.pack("<IIII", 8, 0, 0, 0) + b"12345678", 0x11)
    assert ask(loader, wrong)[1][:2] == b"\x01\x07"
    assert ask(loader, block(FLASH_DATA, 0, b"12345678" + b"\xff" * 8))[1][:2] == b"\x00\x00"
    # its answer got lost, so the host repeats it
    assert ask(loader, block(FLASH_DATA, 0, b"12345678" + b"\xff" * 8))[1][:2] == b"\x00\x00"
    assert nor.read(0x1000, 9) == b"12345678\xff"


def test_damaged_compressed_data_are_reported(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    ask(loader, request(DEFL_BEGIN, struct.pack("<IIIII", 0x400, 1, 0x400, 0, 0)))
    assert ask(loader, block(DEFL_DATA, 0, b"no zlib at all"))[1][:2] == b"\x01\x0b"


def test_more_data_than_announced_are_refused(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    ask(loader, request(DEFL_BEGIN, struct.pack("<IIIII", 16, 1, 0x400, 0, 0)))
    assert ask(loader, block(DEFL_DATA, 0, zlib.compress(bytes(1_000_000))))[1][:2] == b"\x01\x08"


def test_a_write_beyond_the_flash_is_refused_at_its_beginning(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    begin = request(FLASH_BEGIN, struct.pack("<IIIII", 0x2000, 8, 0x400, SIZE_BYTES - 0x1000, 0))
    assert ask(loader, begin)[1][:2] == b"\x01\x06"
    assert ask(loader, block(FLASH_DATA, 0, b"x"))[1][:2] == b"\x01\x06"


def upload(loader: Loader, address: int, code: bytes, entry: int) -> list[bytes]:
    ask(loader, request(MEM_BEGIN, struct.pack("<IIII", len(code), 1, 0x1800, address)))
    ask(loader, block(MEM_DATA, 0, code))
    return loader.answer(request(MEM_END, struct.pack("<II", 0, entry)))


def test_the_stub_of_the_installed_esptool_is_known() -> None:
    """A console script finds an esptool.py beside itself, so looking for the module found the wrong one."""
    assert known_stubs()


def test_uploaded_code_that_is_not_the_stub_is_run_as_itself(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    assert len(upload(loader, 0x40380000, b"my own code", 0x40380000)) == 1
    assert loader.then == RunRam(0x40380000)
    assert not loader.in_stub


def test_the_stub_is_known_by_its_text_and_entry() -> None:
    sram = Sram()
    sram.write(0x40380000, b"the stub")
    digest = hashlib.sha256(b"the stub").digest()
    known = (Stub(text_start=0x40380000, text_bytes=8, text_sha256=digest, entry=0x40380004),)
    assert is_stub(sram, 0x40380004, known)
    assert not is_stub(sram, 0x40380000, known)
    assert is_stub(sram, 0x40380000, ())  # where no stub is known, every upload counts as one
    sram.write(0x40380000, b"another!")
    assert not is_stub(sram, 0x40380004, known)


def test_the_watchdog_resets_only_when_it_is_unlocked(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    arm = struct.pack("<IIII", 0x60008090, (1 << 31) | (5 << 28), 0xFFFFFFFF, 0)
    ask(loader, request(0x09, arm))
    locked = loader.then
    ask(loader, request(0x09, struct.pack("<IIII", 0x600080A8, 0x50D83AA1, 0xFFFFFFFF, 0)))
    ask(loader, request(0x09, arm))
    assert locked is None
    assert isinstance(loader.then, Reboot)
    assert loader.then.after_s > 0


def test_the_end_of_a_write_reboots_or_runs(nor: Nor) -> None:
    loader = Loader(nor, Sram(), MAC)
    ask(loader, request(FLASH_END, struct.pack("<I", 0)))
    assert loader.then == Reboot("latched")
    ask(loader, request(FLASH_END, struct.pack("<I", 1)))
    assert loader.then == Reboot("run")


# -- an app that waits


def test_an_app_that_keeps_polling_sleeps_after_fewer_looks_until_it_does_something() -> None:
    """A board whose firmware did nothing but wait took a twentieth of a core; forty of them took the machine."""
    waits: list[None] = []
    chip = Peripherals(MAC, lambda: waits.append(None))

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
