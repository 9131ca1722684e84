"""A virtual RP2040 under plain copies and under the flash tool's process: what is in its flash, and what is said about it."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchwire.boards import rp2040, uf2
from benchwire.boards.virtual import hand
from benchwire.boards.virtual.board import BoardError
from benchwire.boards.virtual.registry import BoardRecord, read_records
from benchwire.boards.virtual.rp2040.board import CURRENT_NAME, INFO_NAME
from benchwire.boards.virtual.rp2040.flash import SIZE_BYTES
from benchwire.events import child
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent.errors import ToolFailed
from benchwire.flash_agent.tools.process import Tool, working
from benchwire.flash_agent.tools.worker_protocol import At, Done, Paused, Saying, Segment, Uf2Order, Verified

WITHIN_S = 30.0


def program(size_bytes: int, seed: int = 1) -> bytes:
    """An image with a valid second stage."""
    stage = bytes(rp2040.BOOT2_BYTES - 4)
    body = Random(seed).randbytes(size_bytes - rp2040.BOOT2_BYTES - 1) + b"\x01"  # its end is seen in erased flash
    return stage + rp2040.crc32(stage).to_bytes(4, "little") + body


def packed(image: bytes, address: int = rp2040.FLASH_START) -> bytes:
    return uf2.packed([(address, image)], family=rp2040.FAMILY, sector_bytes=rp2040.SECTOR_BYTES)


class Board:
    """A board process in BOOTSEL."""

    def __init__(self, record: BoardRecord, flash_file: Path, uart: list[str]) -> None:
        assert record.drive is not None
        self.record = record
        self.drive = Path(record.drive)
        self.uart = uart
        self._flash_file = flash_file

    @property
    def flash(self) -> bytes:
        return self._flash_file.read_bytes()

    async def ask(self, **command: Any) -> dict[str, Any]:
        return await asyncio.to_thread(hand.told, self.record.control, **command)

    async def fault(self, kind: str, **arguments: Any) -> None:
        await self.ask(do="fault", kind=kind, **arguments)

    async def state(self) -> str:
        return str((await self.ask(do="status"))["state"])

    async def runs(self) -> bool:
        return await self.state() == "program"

    async def bootsel(self) -> None:
        await self.ask(do="reset", mode="download")
        await eventually(self.drive.is_dir, within_s=WITHIN_S)


@asynccontextmanager
async def plugged(folder: Path, *options: str) -> AsyncIterator[Board]:
    run_dir = folder / "run"
    argv = [sys.executable, "-m", "benchwire.boards.virtual", "rp2040", "--name", "pico", "--run-dir", str(run_dir)]
    async with child.spawn([*argv, *options, "--die-with-parent"], stdout=child.DEVNULL):
        (record,) = await eventually(lambda: read_records(run_dir), within_s=WITHIN_S)
        uart: list[str] = []
        tty = os.open(record.tty, os.O_RDONLY | os.O_NOCTTY)
        loop = asyncio.get_running_loop()
        loop.add_reader(tty, lambda: uart.append(os.read(tty, 4096).decode()))
        try:
            board = Board(record, run_dir / "pico.flash", uart)
            await eventually(board.drive.is_dir, within_s=WITHIN_S)
            yield board
        finally:
            loop.remove_reader(tty)
            os.close(tty)


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with plugged(tmp_path) as board:
        yield board


@pytest.fixture
async def showing(tmp_path: Path) -> AsyncIterator[Board]:
    """A board whose drive shows what the flash holds."""
    async with plugged(tmp_path, "--current-uf2") as board:
        yield board


# -- plain copies


async def test_a_file_that_is_copied_onto_the_drive_is_in_the_flash_and_would_run(board: Board, tmp_path: Path) -> None:
    assert {one.name for one in board.drive.iterdir()} == {"INFO_UF2.TXT", "INDEX.HTM"}
    image = program(50_000)
    (tmp_path / "app.uf2").write_bytes(packed(image))
    copy = ["cp", str(tmp_path / "app.uf2"), str(board.drive)]
    assert (await asyncio.to_thread(subprocess.run, child.dying_with_owner(copy), check=False)).returncode == 0
    await eventually(board.runs, within_s=WITHIN_S)
    assert not board.drive.exists()
    assert board.flash == image.ljust(SIZE_BYTES, b"\xff")
    await eventually(lambda: "would run" in "".join(board.uart), within_s=WITHIN_S)
    assert "50000 bytes in flash at 0x10000000; a virtual RP2040 runs no program" in "".join(board.uart)


async def test_half_a_file_leaves_the_board_in_bootsel_and_the_whole_one_afterwards_does_not(board: Board) -> None:
    file = packed(program(20_000))
    half = len(file) // 1024 * 512
    (board.drive / "a.uf2").write_bytes(file[:half])
    await eventually(lambda: board.flash[:1] != b"\xff", within_s=WITHIN_S)
    assert await board.state() == "bootsel"
    with (board.drive / "a.uf2").open("ab") as out:
        out.write(file[half:])
    await eventually(board.runs, within_s=WITHIN_S)


async def test_a_file_that_is_written_over_itself_is_taken_again(board: Board) -> None:
    """The first copy is for another chip; the second one has its size and its name."""
    image = program(8_000)
    foreign = uf2.packed([(rp2040.FLASH_START, image)], family=1, sector_bytes=rp2040.SECTOR_BYTES)
    (board.drive / "a.uf2").write_bytes(foreign)

    async def ignored() -> bool:
        return bool((await board.ask(do="status"))["ignored_sectors"] == len(foreign) // 512)

    await eventually(ignored, within_s=WITHIN_S)
    assert board.flash == b"\xff" * SIZE_BYTES
    with (board.drive / "a.uf2").open("r+b") as out:
        out.write(packed(image))
    await eventually(board.runs, within_s=WITHIN_S)
    assert board.flash[: len(image)] == image


async def test_an_image_without_second_stage_stays_in_bootsel_as_on_the_chip(board: Board) -> None:
    (board.drive / "a.uf2").write_bytes(packed(b"\x5a" * 4096))
    await eventually(lambda: "no valid second stage" in "".join(board.uart[1:]), within_s=WITHIN_S)
    await eventually(board.drive.is_dir, within_s=WITHIN_S)
    assert board.flash[:4096] == b"\x5a" * 4096


async def test_an_image_for_ram_would_run_from_there_and_leaves_the_flash_alone(board: Board) -> None:
    (board.drive / "a.uf2").write_bytes(packed(b"\x5a" * 4096, address=0x2000_0000))
    await eventually(lambda: "in RAM at 0x20000000" in "".join(board.uart), within_s=WITHIN_S)
    assert board.flash == b"\xff" * SIZE_BYTES


async def test_the_button_is_held_over_a_reset_and_a_power_cycle(board: Board) -> None:
    shutil.copyfile(await written(board, packed(program(4096))), board.drive / "a.uf2")
    await eventually(board.runs, within_s=WITHIN_S)
    await board.ask(do="strap", mode="download")
    await board.ask(do="power", on=False)
    await board.ask(do="power", on=True)
    await eventually(board.drive.is_dir, within_s=WITHIN_S)
    await board.ask(do="strap", mode="run")
    await board.ask(do="reset")
    await eventually(board.runs, within_s=WITHIN_S)
    with pytest.raises(BoardError, match="knows bad_sector, drop, flip_bit, slow, unplug, wrong_chip"):
        await board.fault("meteor")


async def written(board: Board, file: bytes) -> Path:
    path = Path(board.record.control).with_name("file.uf2")
    path.write_bytes(file)
    return path


# -- the tool


def order(board: Board, image: bytes, **fields: Any) -> Uf2Order:
    given: dict[str, Any] = {
        "segments": [Segment(rp2040.FLASH_START, len(image))],
        "board_id": "RPI-RP2",
        "family": rp2040.FAMILY,
        "sector_bytes": rp2040.SECTOR_BYTES,
        "drive": str(board.drive),
        **fields,
    }
    return Uf2Order(**given)


async def flashed(asked: Uf2Order, image: bytes) -> list[Saying]:
    """Everything the tool says; raises what it ends with."""
    said: list[Saying] = []
    async with working(asked, image) as tool:
        async for one in tool.said():
            said.append(one)
            if isinstance(one, Verified):
                await tool.tell("go")
    return said


async def ended(tool: Tool, when: Callable[[At], bool], do: Callable[[], Awaitable[Any]]) -> ToolFailed:
    """How the tool fails when ``do`` is done at that moment."""
    try:
        async for one in tool.said():
            if isinstance(one, At) and when(one):
                await do()
    except ToolFailed as error:
        return error
    pytest.fail("the tool went through")


def stages(said: Sequence[Saying]) -> list[str]:
    names = [one.stage for one in said if isinstance(one, At)]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


async def test_the_tool_flashes_what_it_is_given_and_says_how_it_knows(board: Board) -> None:
    image = program(30_000)
    said = await flashed(order(board, image), image)
    assert stages(said) == ["connecting", "writing", "verifying", "resetting"]
    (verified,) = [one for one in said if isinstance(one, Verified)]
    assert verified.verified_by == (
        "uf2: the boot loader accepted all 128 blocks and left; such a drive cannot be read back"
    )
    progress = [one.done_bytes for one in said if isinstance(one, At) and one.stage == "writing"]
    assert progress == sorted(progress)
    assert progress[-1] == len(image)
    assert isinstance(said[-1], Done)
    assert board.flash[: len(image)] == image


async def test_pieces_far_from_each_other_are_written_and_what_lies_between_them_stays(board: Board) -> None:
    await flashed(order(board, program(40_000)), program(40_000))
    await board.bootsel()
    first, second = program(5_000, seed=2), b"settings" * 100
    pieces = [Segment(rp2040.FLASH_START, len(first)), Segment(rp2040.FLASH_START + 0x8100, len(second))]
    await flashed(order(board, first, segments=pieces), first + second)
    assert board.flash[:8192] == first.ljust(8192, b"\xff")
    assert board.flash[8192:0x8000] == program(40_000)[8192:0x8000]
    assert board.flash[0x8000:0x9000] == (b"\xff" * 0x100 + second).ljust(4096, b"\xff")


async def test_a_copy_that_was_broken_off_does_not_get_into_the_next_one(board: Board) -> None:
    """The boot ROM takes a file with as many blocks for the rest of the one before."""
    old, new = program(200_000, seed=1), program(200_000, seed=2)
    async with working(order(board, old, max_bytes_per_s=50_000), old) as tool:
        cancelled = await ended(tool, lambda at: at.done_bytes > 8_000, lambda: tool.tell("cancel"))
        assert cancelled.code == "cancelled"
    assert tool.flash_state == "partial"
    await eventually(lambda: board.flash[4096:4100] == old[4096:4100], within_s=WITHIN_S)
    await flashed(order(board, new), new)
    assert board.flash[: len(new)] == new


async def test_a_pause_holds_between_two_blocks(board: Board) -> None:
    image = program(60_000)
    async with working(order(board, image), image) as tool:
        async for one in tool.said():
            if isinstance(one, At) and one.stage == "connecting":
                await tool.tell("pause")
            if isinstance(one, Paused):
                assert board.drive.is_dir()
                await tool.tell("resume")
            if isinstance(one, Verified):
                await tool.tell("go")
    assert board.flash[: len(image)] == image


async def test_where_the_drive_shows_the_flash_it_is_read_back(showing: Board) -> None:
    image = program(30_000)
    said = await flashed(order(showing, image), image)
    (verified,) = [one for one in said if isinstance(one, Verified)]
    assert verified.verified_by == (
        "uf2: 127 of 128 blocks read back from CURRENT.UF2 and compared, the last one accepted by the boot loader"
    )
    assert showing.flash[: len(image)] == image


@pytest.mark.parametrize(
    "fault", [{"kind": "flip_bit", "address": 0x1000_1234}, {"kind": "bad_sector", "address": 0x1000_2000}]
)
async def test_what_is_wrong_in_the_flash_is_found_by_reading_back(showing: Board, fault: dict[str, Any]) -> None:
    image = program(30_000)
    await showing.fault(**fault)
    with pytest.raises(ToolFailed, match=r"differs from the image in the 256 bytes at 0x1000(1200|2000)") as refused:
        await flashed(order(showing, image), image)
    assert refused.value.code == "verify_failed"
    assert await showing.state() == "bootsel"
    assert (showing.drive / CURRENT_NAME).is_file()


async def test_a_cable_that_goes_in_the_middle_is_no_success(board: Board) -> None:
    image = program(100_000)
    await board.fault("drop", after_bytes=60_000)
    with pytest.raises(ToolFailed, match="unplugged") as lost:
        await flashed(order(board, image), image)
    assert lost.value.code == "connection_lost"


async def test_a_board_that_is_reset_while_it_still_takes_blocks_is_no_success(board: Board) -> None:
    image = program(100_000)
    await board.fault("slow", bytes_per_s=20_000)
    async with working(order(board, image), image) as tool:
        lost = await ended(tool, lambda at: at.stage == "verifying", lambda: board.ask(do="power", on=False))
        assert "before the boot loader had all of it" in str(lost)
    assert tool.flash_state == "partial"


async def test_another_board_behind_the_drive_is_refused_before_anything_is_written(board: Board) -> None:
    await board.fault("wrong_chip", chip="SAMD21G18A-Zero-v0")
    assert "SAMD21" in (board.drive / INFO_NAME).read_text()
    with pytest.raises(ToolFailed, match="expected to call itself RPI-RP2, and calls itself SAMD21G18A") as refused:
        await flashed(order(board, b"x"), b"x")
    assert refused.value.code == "wrong_chip"
    assert board.flash == b"\xff" * SIZE_BYTES
