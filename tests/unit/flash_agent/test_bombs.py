"""Firmware that claims gigabytes, or costs minutes: read within bounds, or refused with a sentence that fits into an event."""

import io
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intelhex import IntelHex  # type: ignore[import-untyped]

from benchwire.boards import uf2
from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import intel_hex, partitions, uf2_files
from benchwire.flash_agent.tools.formats import pieces_of
from benchwire.flash_agent.tools.images import esp_image
from benchwire.flash_agent.tools.pieces import Piece, in_sectors

MIB = 1 << 20
PT_LOAD, PT_DYNAMIC = 1, 2
RP2040 = 0xE48BFF56


def elf(
    count: int, file_bytes: int, *, kind: int = PT_LOAD, tail: int = MIB, headers: int | None = None, step: int = 32,
    sections: int = 0, offset: int = 0,
) -> bytes:  # fmt: skip
    """An ELF with ``count`` segments that all lie at the same place of the file, and claim ``file_bytes`` each."""
    made = count if headers is None else headers
    sections_at = 52 + 32 * made if sections else 0
    head = b"\x7fELF\x01\x01\x01" + bytes(9)
    head += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0x0800_0000, 52, sections_at, 0, 52, step, count, 40, sections, 0)
    rows = struct.pack("<8I", kind, offset, 0x0800_0000, 0x0800_0000, file_bytes, file_bytes, 5, 4) * made
    return head + rows + bytes(tail)


def record(address: int, kind: int, data: bytes) -> bytes:
    raw = bytes([len(data), address >> 8 & 255, address & 255, kind]) + data
    return b":" + (raw + bytes([-sum(raw) & 255])).hex().encode() + b"\n"


def far(number: int) -> bytes:
    return record(0, 4, struct.pack(">H", number & 0xFFFF))


def read(form: str, content: bytes) -> list[Piece]:
    return pieces_of(content, form, address=0, machine="EM_ARM", flash_bytes=4 * MIB)  # type: ignore[arg-type]


def peak_bytes(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("elf", elf(1000, MIB)),  # a gigabyte out of one
        ("elf", elf(1, 0xFFFF_FFFF)),
        ("elf", elf(1, 16, offset=0xFFFF_FFFF)),
        ("elf", elf(0xFFFF, 1, headers=1, tail=4096, sections=1)),  # the count of segments is in a section
        ("elf", elf(0xFFFE, 64, headers=1, step=0)),
        ("elf", elf(1000, 4096, kind=PT_DYNAMIC, sections=20_000)),  # the library reads each section for each of them
        ("elf", elf(1, 16, headers=0, tail=0)),
        ("hex", b"".join(far(number >> 15) + record(number * 2 & 0xFFFF, 0, b"x") for number in range(70_000))),
        ("hex", b":" + b"F" * 4 * MIB),
        ("hex", record(0, 0, b"xy") * 2),
        ("hex", record(0, 6, b"x")),
        ("hex", record(0, 4, b"x")),
        ("hex", b":100000\n"),
        ("hex", "\uff1a00000001FF".encode()),
    ],
)
def test_what_claims_too_much_is_refused_in_a_sentence(form: str, content: bytes) -> None:
    with pytest.raises(ImageRefused) as told:
        read(form, content)
    assert len(str(told.value)) < 300


def test_a_hex_file_takes_about_as_much_as_it_holds() -> None:
    content = b"".join(
        far(place) + b"".join(record(at, 0, bytes(32)) for at in range(0, 65536, 32)) for place in range(4)
    )
    assert read("hex", content) == [Piece(0, bytes(4 * 65536))]
    assert peak_bytes(lambda: read("hex", content)) < 3 * len(content)


def test_a_hex_file_with_gigabytes_between_its_bytes_holds_only_these() -> None:
    content = b"".join(far(number) + record(0, 0, b"x") for number in range(0, 65536, 64))
    found = read("hex", content)
    assert len(found) == 1024
    assert found[-1].address == 65472 << 16
    assert peak_bytes(lambda: read("hex", content)) < 2 * MIB


pieces = st.lists(st.tuples(st.integers(0, 200_000), st.binary(min_size=1, max_size=80)), min_size=1, max_size=6)


@settings(deadline=None)
@given(pieces)
def test_a_hex_file_is_read_as_the_library_of_that_name_reads_it(given_pieces: list[tuple[int, bytes]]) -> None:
    file, text = IntelHex(), io.StringIO()
    for address, data in given_pieces:
        file.frombytes(data, offset=address)
    file.write_hex_file(text)
    found = intel_hex.pieces_of(text.getvalue().encode(), MIB)
    again = IntelHex(io.StringIO(text.getvalue()))
    assert found == [Piece(start, again.tobinstr(start, stop - 1)) for start, stop in again.segments()]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"".join(record(at, 0, bytes(16)) for at in range(0, 1040, 16)), "1040 bytes in it, which do not fit"),
        (b"F" * 4096, "2048 bytes in it, which do not fit into 1024 bytes of flash"),
        (b"".join(record(at & 0xFFFF, 0, b"") for at in range(2100)), "nearly all of its lines hold nothing"),
        (far(1) * 100 + record(0, 0, b"x"), "nearly all of its lines hold nothing"),
        (b"\n" * 5000 + record(0, 0, b"x"), "nearly all of its lines hold nothing"),
        (b":" * 2100, "nearly all of its lines hold nothing"),
    ],
)
def test_a_hex_file_that_claims_too_much_or_goes_on_about_nothing_is_not_read(
    content: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intel_hex, "IntelHex", None)
    with pytest.raises(ImageRefused, match=why):
        intel_hex.pieces_of(content, 1024)


def test_a_hex_file_may_fill_the_flash_byte_by_byte() -> None:
    """As some programs write it, with the upper half of the address before each record."""
    content = b"".join(far(1) + record(at, 0, b"x") for at in range(1024)) + record(0, 5, bytes(4)) + record(0, 1, b"")
    assert intel_hex.pieces_of(content.replace(b"\n", b"\r\n"), 1024) == [Piece(0x10000, b"x" * 1024)]


def test_what_is_wrong_with_a_hex_file_is_told_with_its_line() -> None:
    good = far(8) + b"".join(record(at, 0, b"x") for at in range(999))
    with pytest.raises(ImageRefused, match="at line 1001 has invalid checksum"):
        intel_hex.pieces_of(good + b":0100000000AA\n", MIB)
    with pytest.raises(ImageRefused, match="bytes for 0x80003 twice"):
        intel_hex.pieces_of(good + record(3, 0, b"y"), MIB)
    with pytest.raises(ImageRefused, match="overlap at address 0x80003 on line 1003"):
        intel_hex.pieces_of(good + record(2000, 0, b"y") + record(3, 0, b"y") * 2, MIB)


@pytest.mark.parametrize("start", [3, 5])
def test_segments_and_start_addresses_of_a_hex_file_are_known(start: int) -> None:
    content = record(0, 2, b"\x10\x00") + record(4, 0, b"ab") + record(0, start, bytes(4)) + record(0, 1, b"")
    assert intel_hex.pieces_of(content + b"after the end", MIB) == [Piece(0x10004, b"ab")]


def test_uf2_blocks_that_lie_about_themselves_are_told_of_shortly() -> None:
    def blocks(count: Callable[[int], int], family: Callable[[int], int], size: int = 256) -> bytes:
        return b"".join(
            uf2.encoded(number * 256, b"x" * size, number=number, count=count(number), family=family(number))
            for number in range(5000)
        )

    for content in (
        blocks(lambda number: number + 1, lambda _: RP2040),
        blocks(lambda _: 0xFFFF_FFFF, lambda _: RP2040),
        blocks(lambda _: 5000, lambda number: number + 1),
    ):
        with pytest.raises(ImageRefused) as told:
            uf2_files.pieces_of(content, RP2040)
        assert len(str(told.value)) < 300


def test_pieces_that_run_from_sector_to_sector_are_joined_in_one_pass() -> None:
    """Joined one by one, each would copy all before it: 4096 sectors were 30 GB of copies."""
    many = [Piece(sector * 4096 + 4000, b"x" * 200) for sector in range(4096)]
    (joined,) = in_sectors(many, 4096)
    assert (joined.address, len(joined.data)) == (0, 4095 * 4096 + 4200)


@pytest.mark.parametrize(
    "image",
    [
        b"\xe9\x10" + b"\xff" * 22 + struct.pack("<II", 0, 0xFFFF_FFFF) + bytes(64),
        b"\xe9\xff" + bytes(22),
        b"\xe9\x01" + bytes(22) + struct.pack("<II", 0, 0x7FFF_FFF0),
        b"\xe9\x10" + bytes(22) + struct.pack("<II", 0, 0) * 15,
    ],
)
def test_an_esp_image_with_absurd_segments_is_refused(image: bytes) -> None:
    with pytest.raises(ImageRefused) as told:
        esp_image(image, None)
    assert len(str(told.value)) < 300


def test_a_partition_table_full_of_overlaps_is_refused() -> None:
    row = partitions.ENTRY_MAGIC + struct.pack(
        "<BBII16sI", 1, 2, 0xFFFF_F000, 0xFFFF_F000, b"\x1b[2J\xff\xff\xff\xff", 0
    )
    with pytest.raises(ImageRefused) as told:
        partitions.fit(partitions.parse(row * 95), 4 * MIB)
    assert len(str(told.value)) < 300
