"""The SLIP framing and the SPI flash of the virtual boards of the ESP32 family."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.esp import slip
from benchwire.boards.virtual.esp.nor import SIZE_BYTES, Nor, NorError


@given(frames=st.lists(st.binary(min_size=1)), cuts=st.integers(min_value=1, max_value=7))
def test_frames_survive_the_line_in_whatever_pieces_they_arrive(frames: list[bytes], cuts: int) -> None:
    line = b"".join(slip.encode(frame) for frame in frames)
    deframer = slip.Deframer()
    arrived = [frame for at in range(0, len(line), cuts) for frame in deframer.feed(line[at : at + cuts])]
    assert arrived == frames


def test_noise_before_a_frame_and_a_broken_escape_are_dropped() -> None:
    deframer = slip.Deframer()
    assert list(deframer.feed(b"noise\xc0ab\xdbX\xc0" + slip.encode(b"good"))) == [b"good"]


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
    with pytest.raises(BoardError, match="has 5 bytes"), Nor.open(path):
        pass


def test_a_bit_is_programmed_wrong_once(nor: Nor) -> None:
    nor.flip_when_programmed(3, 0)
    nor.flip_when_programmed(3, 0)  # asked for twice, it is still one fault
    nor.program(0, b"\x10\x10\x10\x10")
    assert nor.read(0, 4) == b"\x10\x10\x10\x11"
    nor.erase(0, 4)
    nor.program(0, b"\x10\x10\x10\x10")
    assert nor.read(0, 4) == b"\x10\x10\x10\x10"


def test_a_bad_sector_can_neither_be_erased_nor_programmed_and_what_comes_before_it_is_erased(nor: Nor) -> None:
    nor.program(0x0, b"\x00" * 0x4000)
    nor.fail_at(0x2ABC)
    with pytest.raises(NorError, match="0x2000 can't be erased"):
        nor.erase(0, 0x4000)
    assert nor.read(0, 0x4000) == b"\xff" * 0x2000 + b"\x00" * 0x2000
    with pytest.raises(NorError, match="0x2000 can't be programmed"):
        nor.program(0x1FFF, b"\x00\x00")
    nor.mend()
    nor.erase(0, 0x4000)
    assert nor.read(0, 0x4000) == b"\xff" * 0x4000
