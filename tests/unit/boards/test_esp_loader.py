"""The loader of the virtual boards of the ESP32 family, what it says of each chip, and its faults."""

import hashlib
import struct
import zlib
from itertools import pairwise

import pytest

from benchwire.boards import profile as profiles
from benchwire.boards.profile import Esptool
from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.esp.chips import CHIPS, ESP32, ESP32_C3, ESP32_S3, MAGIC_REGISTER, Chip
from benchwire.boards.virtual.esp.faults import KINDS, Faults
from benchwire.boards.virtual.esp.image import xor_of
from benchwire.boards.virtual.esp.loader import Loader, Reboot, RunRam
from benchwire.boards.virtual.esp.nor import SIZE_BYTES, Nor
from benchwire.boards.virtual.esp.ram import Ram
from benchwire.boards.virtual.esp.stub import Stub, is_stub, known_stubs

MAC = bytes.fromhex("020102030405")
SYNC, READ_REG, MEM_BEGIN, MEM_DATA, MEM_END = 0x08, 0x0A, 0x05, 0x07, 0x06
SECURITY_INFO, FLASH_MD5 = 0x14, 0x13
DEFL_BEGIN, DEFL_DATA, FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x10, 0x11, 0x02, 0x03, 0x04


@pytest.fixture(params=list(CHIPS.values()), ids=list(CHIPS))
def chip(request: pytest.FixtureRequest) -> Chip:
    found: Chip = request.param
    return found


def loader_of(chip: Chip, nor: Nor, faults: Faults | None = None) -> Loader:
    return Loader(chip, nor, Ram(chip.ram), MAC, faults or Faults(nor))


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


# -- the table of chips


def test_a_profile_and_its_chip_agree(chip: Chip) -> None:
    profile = profiles.load(chip.profile)
    assert isinstance(profile.driver, Esptool)
    assert (profile.driver.chip, profile.driver.offset) == (chip.profile, chip.boot_offset)
    assert (profile.simulator is not None) == chip.runs_apps
    ram = Ram(chip.ram)
    for region in profile.memory.values():
        ram.read(region.origin, region.size_bytes)


def test_no_two_views_of_the_ram_overlap(chip: Chip) -> None:
    views = sorted((address, address + block.size_bytes) for block in chip.ram for address in block.addresses)
    assert all(end <= start for (_, end), (start, _) in pairwise(views))


def test_the_mac_and_the_magic_word_can_be_read(chip: Chip, nor: Nor) -> None:
    loader = loader_of(chip, nor)
    low, high, magic = (
        ask(loader, request(READ_REG, struct.pack("<I", address)))[0]
        for address in (chip.mac_low, chip.mac_low + 4, MAGIC_REGISTER)
    )
    assert struct.pack(">HI", high, low) == MAC
    assert magic == chip.identity.magic


@pytest.mark.parametrize("chip", [ESP32_S3, ESP32_C3], ids=["esp32s3", "esp32c3"])
def test_the_newer_chips_tell_their_id(chip: Chip, nor: Nor) -> None:
    _, told = ask(loader_of(chip, nor), request(SECURITY_INFO))
    assert struct.unpack("<IB7BII4B", told)[9] == chip.identity.chip_id


def test_the_esp32_refuses_what_it_does_not_know_in_the_name_of_the_command_before(nor: Nor) -> None:
    """esptool takes just this for "unsupported", and looks at the magic word then."""
    loader = loader_of(ESP32, nor)
    ask(loader, request(READ_REG, struct.pack("<I", MAGIC_REGISTER)))
    (answer,) = loader.answer(request(SECURITY_INFO))
    assert answer == struct.pack("<BBHI", 1, READ_REG, 4, 0) + b"\x01\x05\x00\x00"


# -- faults


def test_a_board_that_claims_to_be_another_chip(nor: Nor) -> None:
    faults = Faults(nor)
    loader = loader_of(ESP32_C3, nor, faults)
    faults.begin("wrong_chip", {"chip": "esp32s3"})
    assert struct.unpack("<IB7BII4B", ask(loader, request(SECURITY_INFO))[1])[9] == 9
    faults.begin("wrong_chip", {"chip": "esp32"})
    assert loader.answer(request(SECURITY_INFO))[0][8:10] == b"\x01\x05"
    assert ask(loader, request(READ_REG, struct.pack("<I", MAGIC_REGISTER)))[0] == ESP32.identity.magic
    faults.end()
    assert struct.unpack("<IB7BII4B", ask(loader, request(SECURITY_INFO))[1])[9] == 5


def test_a_bad_md5_is_bad_so_many_times(nor: Nor) -> None:
    faults = Faults(nor)
    loader = loader_of(ESP32_C3, nor, faults)
    question = request(FLASH_MD5, struct.pack("<IIII", 0, 16, 0, 0))
    right = hashlib.md5(b"\xff" * 16, usedforsecurity=False).hexdigest().encode()
    faults.begin("bad_md5", {"times": 2})
    assert [ask(loader, question)[1][:32] == right for _ in range(3)] == [False, False, True]


def test_the_cable_goes_after_so_many_bytes(nor: Nor) -> None:
    faults = Faults(nor)
    faults.begin("drop", {"after_bytes": 5})
    assert faults.arrived(b"abc") == b"abc"
    assert not faults.unplugged.is_set()
    assert faults.arrived(b"defg") == b"de"
    assert faults.unplugged.is_set()


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("lightning", {}, ", ".join(KINDS)),
        ("wrong_chip", {"chip": "z80"}, "one of esp32, esp32s3, esp32c3"),
        ("wrong_chip", {}, "one of"),
        ("bad_md5", {"times": -1}, "negative"),
        ("bad_sector", {}, "'address'"),
        ("bad_sector", {"address": SIZE_BYTES}, "don't lie in a flash"),
        ("flip_bit", {"address": 0, "bit": 8}, "bits 0 to 7"),
        ("drop", {}, "'after_bytes'"),
        ("slow", {"bytes_per_s": -5}, "negative"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(nor: Nor, kind: str, arguments: dict[str, object], says: str) -> None:
    with pytest.raises(BoardError, match=says):
        Faults(nor).begin(kind, arguments)


# -- the protocol


def test_sync_is_answered_eight_times_with_a_value(nor: Nor) -> None:
    answers = loader_of(ESP32_C3, nor).answer(request(SYNC, b"\x07\x07\x12\x20" + b"\x55" * 32))
    assert len(answers) == 8
    assert all(struct.unpack_from("<I", answer, 4) == (0x20120707,) for answer in answers)


def test_an_unknown_command_a_short_one_and_noise(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    assert ask(loader, request(0x55)) == (0, b"\x01\x05\x00\x00")
    assert ask(loader, request(READ_REG, b"\x00")) == (0, b"\x01\x05\x00\x00")
    assert loader.answer(b"noise") == []
    assert loader.answer(request(SYNC, b"1234")[:-1]) == []


def test_a_block_with_a_wrong_checksum_is_refused_and_can_be_sent_again(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    ask(loader, request(FLASH_BEGIN, struct.pack("<IIIII", 8, 1, 0x400, 0x1000, 0)))
    wrong = request(FLASH_DATA, struct.pack("<IIII", 8, 0, 0, 0) + b"12345678", 0x11)
    assert ask(loader, wrong)[1][:2] == b"\x01\x07"
    assert ask(loader, block(FLASH_DATA, 0, b"12345678" + b"\xff" * 8))[1][:2] == b"\x00\x00"
    # its answer got lost, so the host repeats it
    assert ask(loader, block(FLASH_DATA, 0, b"12345678" + b"\xff" * 8))[1][:2] == b"\x00\x00"
    assert nor.read(0x1000, 9) == b"12345678\xff"


def test_damaged_compressed_data_are_reported(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    ask(loader, request(DEFL_BEGIN, struct.pack("<IIIII", 0x400, 1, 0x400, 0, 0)))
    assert ask(loader, block(DEFL_DATA, 0, b"no zlib at all"))[1][:2] == b"\x01\x0b"


def test_more_data_than_announced_are_refused(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    ask(loader, request(DEFL_BEGIN, struct.pack("<IIIII", 16, 1, 0x400, 0, 0)))
    assert ask(loader, block(DEFL_DATA, 0, zlib.compress(bytes(1_000_000))))[1][:2] == b"\x01\x08"


def test_a_write_beyond_the_flash_is_refused_at_its_beginning(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    begin = request(FLASH_BEGIN, struct.pack("<IIIII", 0x2000, 8, 0x400, SIZE_BYTES - 0x1000, 0))
    assert ask(loader, begin)[1][:2] == b"\x01\x06"
    assert ask(loader, block(FLASH_DATA, 0, b"x"))[1][:2] == b"\x01\x06"


def upload(loader: Loader, address: int, code: bytes, entry: int) -> list[bytes]:
    ask(loader, request(MEM_BEGIN, struct.pack("<IIII", len(code), 1, 0x1800, address)))
    ask(loader, block(MEM_DATA, 0, code))
    return loader.answer(request(MEM_END, struct.pack("<II", 0, entry)))


def test_the_stub_of_the_installed_esptool_is_known() -> None:
    """A console script finds an esptool.py beside itself, so looking for the module found the wrong one."""
    assert all(known_stubs(chip) for chip in CHIPS)


def test_uploaded_code_that_is_not_the_stub_is_run_as_itself(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    assert len(upload(loader, 0x40380000, b"my own code", 0x40380000)) == 1
    assert loader.then == RunRam(0x40380000)
    assert not loader.in_stub


def test_the_stub_is_known_by_its_text_and_entry() -> None:
    ram = Ram(ESP32_C3.ram)
    ram.write(0x40380000, b"the stub")
    digest = hashlib.sha256(b"the stub").digest()
    known = (Stub(text_start=0x40380000, text_bytes=8, text_sha256=digest, entry=0x40380004),)
    assert is_stub(ram, 0x40380004, known)
    assert not is_stub(ram, 0x40380000, known)
    assert is_stub(ram, 0x40380000, ())  # where no stub is known, every upload counts as one
    ram.write(0x40380000, b"another!")
    assert not is_stub(ram, 0x40380004, known)


def test_the_watchdog_resets_only_when_it_is_unlocked(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    arm = struct.pack("<IIII", 0x60008090, (1 << 31) | (5 << 28), 0xFFFFFFFF, 0)
    ask(loader, request(0x09, arm))
    locked = loader.then
    ask(loader, request(0x09, struct.pack("<IIII", 0x600080A8, 0x50D83AA1, 0xFFFFFFFF, 0)))
    ask(loader, request(0x09, arm))
    assert locked is None
    assert isinstance(loader.then, Reboot)
    assert loader.then.after_s > 0


def test_the_end_of_a_write_reboots_or_runs(nor: Nor) -> None:
    loader = loader_of(ESP32_C3, nor)
    ask(loader, request(FLASH_END, struct.pack("<I", 0)))
    assert loader.then == Reboot("latched")
    ask(loader, request(FLASH_END, struct.pack("<I", 1)))
    assert loader.then == Reboot("run")


def test_a_write_that_met_a_bad_sector_stays_broken_until_a_new_one_begins(nor: Nor) -> None:
    """The host sends a failed block again, and half of it has gone through the decompressor by then."""
    loader = loader_of(ESP32_C3, nor)
    loader.in_stub = True
    nor.fail_at(0x1000)
    begin = request(DEFL_BEGIN, struct.pack("<IIIII", 0x2000, 1, 0x4000, 0x1000, 0))
    packed = zlib.compress(b"x" * 0x2000)
    loader.answer(begin)
    for _ in range(3):
        assert ask(loader, block(DEFL_DATA, 0, packed))[1] == b"\x01\xc4"
    nor.mend()
    loader.answer(begin)
    assert ask(loader, block(DEFL_DATA, 0, packed))[1] == b"\x00\x00"
