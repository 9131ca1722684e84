"""UF2 files on their way to a board, and the drives that take them."""

from pathlib import Path

import pytest

from benchwire.boards import profile as profiles
from benchwire.boards import rp2040, uf2
from benchwire.flash_agent.errors import ImageRefused
from benchwire.flash_agent.tools import images, uf2_drives, uf2_files
from benchwire.flash_agent.tools.pieces import Piece

START, FAMILY = rp2040.FLASH_START, rp2040.FAMILY


def file_of(*pieces: tuple[int, bytes], family: int = FAMILY) -> bytes:
    return uf2.packed(pieces, family=family, sector_bytes=rp2040.SECTOR_BYTES)


def stage() -> bytes:
    return bytes(252) + rp2040.crc32(bytes(252)).to_bytes(4, "little")


def test_the_blocks_of_a_file_become_pieces_that_hang_together() -> None:
    pieces = uf2_files.pieces_of(file_of((START, b"a" * 4096), (START + 0x2000, b"b" * 4096)), FAMILY)
    assert [(piece.address, piece.data[:1], len(piece.data)) for piece in pieces] == [
        (START, b"a", 4096),
        (START + 0x2000, b"b", 4096),
    ]


def test_of_a_file_for_several_chips_the_part_for_this_one_is_taken() -> None:
    (piece,) = uf2_files.pieces_of(file_of((0x2000, b"x"), family=0x68ED2B88) + file_of((START, b"y" * 4096)), FAMILY)
    assert piece == Piece(START, b"y" * 4096)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            file_of((0x2000, b"x"), family=0x68ED2B88),
            "made for chips of the family 0x68ed2b88, and this board has the RP2040",
        ),
        (file_of((START, b"x"))[:-512], "there are 16 of them, and the file has 15"),
        (file_of((START, b"x"))[:-5], "is cut off"),
    ],
)
def test_a_file_that_cannot_be_meant_for_this_board_is_refused(content: bytes, sentence: str) -> None:
    with pytest.raises(ImageRefused, match=sentence):
        uf2_files.pieces_of(content, FAMILY)


def test_an_image_that_would_not_boot_or_fit_is_refused_before_the_board_is_touched() -> None:
    profile = profiles.load("rp2040")
    images.check([Piece(START, stage() + b"program"), Piece(START + 0x8000, b"settings")], profile)
    images.check([Piece(START + 0x8000, b"settings")], profile)
    for piece, sentence in (
        (Piece(START, b"\0" * 4096), "would not boot: its first 256 bytes are no second stage"),
        (Piece(START + (2 << 20) - 4, b"12345"), "do not fit into the flash of this board"),
        (Piece(0x2000_0000, b"ram"), "do not fit into the flash of this board"),
    ):
        with pytest.raises(ImageRefused, match=sentence):
            images.check([piece], profile)


def drive(folder: Path, board_id: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\r\nModel: Some Board\r\nBoard-ID: {board_id}\r\n")
    return folder


def test_drives_are_found_among_what_is_mounted(tmp_path: Path) -> None:
    device = tmp_path / "sdb1"
    device.touch()
    pico, other = drive(tmp_path / "RPI RP2", "RPI-RP2"), tmp_path / "stick"
    other.mkdir()
    escaped = str(pico).replace(" ", "\\040")
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"proc /proc proc rw 0 0\n{device} {escaped} vfat rw 0 0\n{device} {other} vfat rw 0 0\n/dev/gone {escaped} vfat rw 0 0\n"
    )
    (found,) = uf2_drives.mounted(mounts)
    assert (found.path, found.board_id, found.current) == (pico, "RPI-RP2", None)
    assert found.is_there
    device.unlink()
    assert not found.is_there  # the board left, and nobody unmounted it


def test_a_folder_without_a_board_id_is_no_boot_loader(tmp_path: Path) -> None:
    assert uf2_drives.drive_at(tmp_path) is None
    (tmp_path / "INFO_UF2.TXT").write_text("nothing to see")
    assert uf2_drives.drive_at(tmp_path) is None


def test_a_virtual_drive_that_is_torn_out_goes_with_its_folder(tmp_path: Path) -> None:
    found = uf2_drives.drive_at(drive(tmp_path / "pico.drive" / "RPI-RP2", "RPI-RP2"))
    assert found is not None
    assert not found.was_torn_out
    (found.path / "INFO_UF2.TXT").unlink()
    found.path.rmdir()
    assert not found.is_there
    assert not found.was_torn_out
    found.path.parent.rmdir()
    assert found.was_torn_out
