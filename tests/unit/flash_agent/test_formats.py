"""Files as they come from a linker, and as they come from a bad disk."""

import io
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from intelhex import IntelHex  # type: ignore[import-untyped]

from benchwire.events.flash import ImageFormat
from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import chips
from benchwire.flash_agent.tools.formats import format_of, pieces_of
from benchwire.flash_agent.tools.pieces import Piece, in_sectors

ARM, RISCV = 40, 243


def hex_file(*pieces: Piece) -> bytes:
    file, text = IntelHex(), io.StringIO()
    for piece in pieces:
        file.frombytes(piece.data, offset=piece.address)
    file.write_hex_file(text)
    return text.getvalue().encode()


def elf_file(*pieces: Piece, machine: int = ARM, kind: int = 2) -> bytes:
    """A 32-bit little-endian ELF of loadable segments, whose virtual addresses are others than the physical ones."""
    place = 52 + 32 * len(pieces)
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, 0, 52, 0, 0, 52, 32, len(pieces), 40, 0, 0)
    rows, body = b"", b""
    for piece in pieces:
        size = len(piece.data)
        rows += struct.pack("<8I", 1, place + len(body), 0x2000_0000, piece.address, size, size + 16, 5, 4)
        body += piece.data
    return head + rows + body


TWO = [Piece(0x0800_0000, b"vectors and code"), Piece(0x0800_4000, b"constants")]


def read(content: bytes, form: ImageFormat | None = None, machine: str | None = "EM_ARM") -> list[Piece]:
    return pieces_of(content, form or format_of(content), address=0x100, machine=machine, flash_bytes=1 << 20)


def test_what_a_file_is_is_told_by_how_it_begins() -> None:
    assert format_of(elf_file(*TWO)) == "elf"
    assert format_of(hex_file(*TWO)) == "hex"
    assert format_of(struct.pack("<II", 0x0A324655, 0x9E5D5157)) == "uf2"
    assert [format_of(one) for one in (b"", b":", b":10", b": a colon", b":ffffffffff", b"\xe9\x01")] == ["bin"] * 6


def test_elf_and_hex_say_themselves_where_their_bytes_belong() -> None:
    assert read(elf_file(*TWO)) == TWO
    assert read(hex_file(*TWO)) == TWO
    assert read(b"plain") == [Piece(0x100, b"plain")]


@pytest.mark.parametrize(
    ("content", "form", "machine", "why"),
    [
        (b"", None, "EM_ARM", "empty"),
        (elf_file(*TWO, machine=RISCV), None, "EM_ARM", "made for RISCV, and this board runs ARM"),
        (elf_file(*TWO, kind=1), None, "EM_ARM", "not a linked program"),
        (elf_file(), None, "EM_ARM", "nothing to load"),
        (elf_file(*TWO)[:-3], None, "EM_ARM", "cut off"),
        (elf_file(*TWO)[:40], None, "EM_ARM", "damaged"),
        (elf_file(*TWO), None, None, "takes no ELF file"),
        (hex_file(*TWO).replace(b":10", b":11", 1), "hex", "EM_ARM", "damaged"),
        (hex_file(*TWO)[:-20] + b"zz", "hex", "EM_ARM", "damaged"),
        (b"\xff\xfe", "hex", "EM_ARM", "no Intel HEX file"),
        (b":00000001FF\n", None, "EM_ARM", "holds no data"),
        (struct.pack("<II", 0x0A324655, 0x9E5D5157), None, "EM_ARM", "this is none"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_reason(
    content: bytes, form: ImageFormat | None, machine: str | None, why: str
) -> None:
    with pytest.raises(ImageRefused, match=why):
        read(content, form, machine)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["elf", "hex"]), st.lists(st.tuples(st.integers(0, 115), st.integers(0, 255)), max_size=4))
@example("elf", [(18, 255)])
def test_whatever_is_wrong_with_a_file_it_is_read_or_refused(form: ImageFormat, changes: list[tuple[int, int]]) -> None:
    content = bytearray(elf_file(*TWO) if form == "elf" else hex_file(*TWO))
    for place, byte in changes:
        content[place % len(content)] = byte
    try:
        found = read(bytes(content), form)
    except ImageRefused:
        return
    assert all(piece.data for piece in found)


apart = st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=300)), min_size=1, max_size=8)


@settings(deadline=None)
@given(apart)
def test_in_sectors_every_byte_is_where_it_was_and_no_sector_belongs_to_two(gaps: list[tuple[int, bytes]]) -> None:
    pieces, address = [], 0
    for gap, data in gaps:
        pieces.append(Piece(address + gap, data))
        address = pieces[-1].end
    placed = in_sectors(pieces, 256)
    flash = bytearray(b"\xff" * (address + 256))
    for piece in placed:
        assert piece.address % 256 == 0
        flash[piece.address : piece.end] = piece.data
    assert all(flash[piece.address : piece.end] == piece.data for piece in pieces)
    sectors = [number for piece in placed for number in range(piece.address // 256, -(-piece.end // 256))]
    assert len(sectors) == len(set(sectors))


def test_pieces_that_overlap_stay_so_that_they_can_be_refused() -> None:
    pieces = [Piece(0, b"x" * 300), Piece(0x100, b"y")]
    assert in_sectors(pieces, 256) == pieces


def test_the_chip_to_expect_is_that_of_the_profile_and_else_that_of_the_target() -> None:
    borrowed = chips.chip_of("stm32f405", "stm32f412xg")
    assert borrowed is not None
    assert borrowed.ids == [0x413]
    target = chips.chip_of("some-board", "stm32f412xg")
    assert target is not None
    assert target.ids == [0x441]
    assert chips.chip_of("some-board", "lpc1768") is None


def test_a_chip_that_does_not_know_the_size_of_its_flash_says_nothing() -> None:
    stm32, nrf51 = chips.CHIPS["stm32f405"], chips.CHIPS["nrf51"]
    assert [chips.size_in(stm32, word) for word in (1024, 0xFFFF, 0)] == [1 << 20, None, None]
    assert [chips.size_in(nrf51, word) for word in (256, 0xFFFF_FFFF)] == [256 << 10, None]
