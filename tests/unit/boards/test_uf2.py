"""UF2 files block by block, and what the RP2040's boot ROM makes of them."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from benchwire.boards import rp2040, uf2
from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.rp2040.bootrom import RAM_END, RAM_START, BootRom
from benchwire.boards.virtual.rp2040.drive import Drive
from benchwire.boards.virtual.rp2040.faults import KINDS, Faults
from benchwire.boards.virtual.rp2040.flash import SIZE_BYTES, Flash

START, SECTOR = rp2040.FLASH_START, rp2040.SECTOR_BYTES


def file_of(*pieces: tuple[int, bytes], family: int = rp2040.FAMILY) -> bytes:
    return uf2.packed(pieces, family=family, sector_bytes=SECTOR)


def sectors_of(file: bytes) -> list[bytes]:
    return [file[at : at + 512] for at in range(0, len(file), 512)]


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[Flash]:
    with Flash.open(tmp_path / "flash") as flash:
        yield flash


@pytest.fixture
def rom(flash: Flash) -> BootRom:
    return BootRom(flash, bytearray(RAM_END - RAM_START))


def has_all(rom: BootRom) -> bool:
    return rom.complete is not None


def write(rom: BootRom, file: bytes) -> None:
    for sector in sectors_of(file):
        rom.write(sector)


# -- the format


def test_a_file_holds_its_data_in_whole_sectors_and_nothing_else() -> None:
    blocks = uf2.blocks_of(file_of((START + 0x1010, b"\x01" * 300), (START, b"\x02" * 5)))
    uf2.whole(blocks)
    assert [block.address for block in blocks] == [START + at for at in range(0, 0x2000, 256)]
    assert b"".join(block.data for block in blocks) == (
        (b"\x02" * 5).ljust(SECTOR, b"\xff") + (b"\xff" * 16 + b"\x01" * 300).ljust(SECTOR, b"\xff")
    )
    assert {(block.count, block.family, len(block.data)) for block in blocks} == {(32, rp2040.FAMILY, 256)}


def test_of_pieces_that_overlap_the_later_one_counts() -> None:
    blocks = uf2.blocks_of(file_of((START, b"old old"), (START + 4, b"new")))
    assert blocks[0].data[:8] == b"old new\xff"


def test_a_damaged_file_is_refused_with_what_is_wrong() -> None:
    file = file_of((START, b"x"))
    assert uf2.is_uf2(file)
    assert not uf2.is_uf2(b"\x7fELF" + file)
    for damaged, sentence in (
        (file[:-1], "is cut off"),
        (b"", "is cut off"),
        (file[:512] + b"\0" * 512, r"block 1 of the file \(at byte 512\) is no UF2 block"),
        (file[:508] + b"\0" * 4, "block 0 of the file"),
    ):
        with pytest.raises(uf2.Uf2Error, match=sentence):
            uf2.blocks_of(damaged)


def test_a_file_that_misses_a_block_is_not_whole() -> None:
    blocks = uf2.blocks_of(file_of((START, b"x" * SECTOR)))
    with pytest.raises(uf2.Uf2Error, match="there are 16 of them, and the file has 15"):
        uf2.whole(blocks[1:])
    with pytest.raises(uf2.Uf2Error, match="another one is there twice"):
        uf2.whole([*blocks[1:], blocks[1]])


def test_the_checksum_of_a_second_stage_is_the_roms_kind_of_crc() -> None:
    assert rp2040.crc32(b"123456789") == 0x0376E6E7  # the check value of CRC-32/MPEG-2
    assert not rp2040.has_second_stage(b"\xff" * 256)
    assert not rp2040.has_second_stage(b"short")


# -- the boot ROM


def test_all_blocks_in_any_order_and_some_twice_are_one_transfer(rom: BootRom, flash: Flash) -> None:
    image = Random(1).randbytes(3 * SECTOR)
    sectors = sectors_of(file_of((START, image)))
    Random(2).shuffle(sectors)
    for sector in [*sectors[:-1], *sectors[:-1]]:
        rom.write(sector)
    assert not has_all(rom)
    rom.write(sectors[-1])
    assert has_all(rom)
    assert flash.read(0, len(image)) == image
    assert rom.written_blocks == 48


@pytest.mark.parametrize("family", [0, 0x1234])
def test_blocks_for_another_chip_change_nothing(rom: BootRom, flash: Flash, family: int) -> None:
    ours, foreign = file_of((START, b"x" * SECTOR)), file_of((START, b"y" * SECTOR), family=family)
    for mine, other in zip(sectors_of(ours), sectors_of(foreign), strict=True):
        rom.write(other)
        rom.write(mine)
    assert has_all(rom)
    assert flash.read(0, SECTOR) == b"x" * SECTOR


@pytest.mark.parametrize(
    "odd",
    [
        {"address": 0x2000},
        {"address": START + 4},
        {"address": 0x1100_0000},
        {"address": RAM_START},
        {"count": 0},
        {"number": 16},
    ],
)
def test_a_block_that_makes_no_sense_begins_the_transfer_anew(rom: BootRom, odd: dict[str, int]) -> None:
    sectors = sectors_of(file_of((START, b"x" * SECTOR)))
    block = {"address": START, "number": 15, "count": 16, **odd}
    for sector in sectors[:-1]:
        rom.write(sector)
    rom.write(
        uf2.encoded(block["address"], bytes(256), number=block["number"], count=block["count"], family=rp2040.FAMILY)
    )
    rom.write(sectors[-1])
    assert not has_all(rom)
    for sector in sectors[:-1]:
        rom.write(sector)
    assert has_all(rom)


def test_a_file_with_as_many_blocks_is_taken_for_the_rest_of_one_that_was_broken_off(
    rom: BootRom, flash: Flash
) -> None:
    """Which is why the flash agent makes the ROM forget first."""
    old, new = file_of((START, b"o" * SECTOR)), file_of((START, b"n" * SECTOR))
    for sector in sectors_of(old)[:3]:
        rom.write(sector)
    write(rom, new)
    assert flash.read(0, SECTOR) == b"o" * 3 * 256 + b"n" * 13 * 256
    rom = BootRom(flash, bytearray(RAM_END - RAM_START))
    for sector in sectors_of(old)[:3]:
        rom.write(sector)
    rom.write(rp2040.FORGET)
    write(rom, new)
    assert flash.read(0, SECTOR) == b"n" * SECTOR


def test_a_sparse_file_loses_data_in_a_sector_that_is_filled_in_part_as_on_the_chip(rom: BootRom, flash: Flash) -> None:
    """Erratum RP2040-E14: sectors are erased by the numbers of the blocks, and not by their addresses."""
    pages = [(START + 0xF00 + at, bytes([at // 256]) * 256) for at in range(0, 17 * 256, 256)]
    for number, (address, data) in enumerate(pages):
        rom.write(uf2.encoded(address, data, number=number, count=17, family=rp2040.FAMILY))
    assert has_all(rom)
    assert flash.read(0x1000, 256) == b"\xff" * 256  # page 1 was there, and went with the sector of page 16
    write(BootRom(flash, bytearray()), file_of(*pages))
    assert flash.read(0xF00, 17 * 256) == b"".join(data for _, data in pages)


def test_an_image_for_ram_leaves_the_flash_alone(flash: Flash) -> None:
    ram = bytearray(RAM_END - RAM_START)
    rom = BootRom(flash, ram)
    write(rom, file_of((RAM_START, b"r" * SECTOR)))
    assert rom.complete
    assert (rom.complete.to_ram, rom.complete.lowest_address) == (True, RAM_START)
    assert ram[:SECTOR] == b"r" * SECTOR
    assert flash.used() == b""


def test_beyond_the_end_of_the_chip_lies_its_beginning(rom: BootRom, flash: Flash) -> None:
    write(rom, file_of((START + SIZE_BYTES, b"w" * SECTOR)))
    assert flash.read(0, SECTOR) == b"w" * SECTOR


def test_a_flash_file_of_another_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    with (
        pytest.raises(BoardError, match="has 1 bytes, and the flash of this board 2097152"),
        Flash.open(tmp_path / "small"),
    ):
        pass


# -- faults


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("meteor", {}, ", ".join(KINDS)),
        ("wrong_chip", {"chip": "\n"}, "'chip'"),
        ("bad_sector", {"address": 0}, "lies at 0x10000000"),
        ("flip_bit", {"address": START, "bit": 8}, "bits 0 to 7"),
        ("drop", {"after_bytes": -1}, "negative"),
        ("slow", {}, "'bytes_per_s'"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    flash: Flash, kind: str, arguments: dict[str, object], says: str
) -> None:
    with pytest.raises(BoardError, match=says):
        Faults(flash).begin(kind, arguments)


# -- the drive


def everything(drive: Drive) -> bytes:
    """Two looks, because a file that is still being written is looked at again."""
    return b"".join(sector for _ in range(3) for sector in drive.take(10_000))


def test_the_drive_gives_whole_sectors_once_whoever_writes_them_and_however(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "pico.drive")
    drive.plug({"INFO_UF2.TXT": b"x" * 1024})
    data = Random(1).randbytes(2000)
    (drive.path / "a").write_bytes(data[:700])
    assert everything(drive) == data[:512]
    with (drive.path / "a").open("ab") as file:
        file.write(data[700:])
    assert everything(drive) == data[512:1536]
    assert everything(drive) == b""
    with (drive.path / "a").open("r+b") as file:
        file.seek(512)
        file.write(b"n" * 512)
    assert everything(drive) == b"n" * 512
    (drive.path / "a").unlink()
    (drive.path / "a").write_bytes(data)
    assert everything(drive) == data[:1536]
    drive.tear_out()


def test_a_drive_that_is_torn_out_takes_its_folder_along(tmp_path: Path) -> None:
    drive = Drive(tmp_path / "pico.drive")
    drive.plug({"INFO_UF2.TXT": b""})
    drive.unplug()
    assert drive.path.parent.is_dir()
    assert not drive.path.exists()
    drive.plug({})
    drive.tear_out()
    assert list(tmp_path.iterdir()) == []
