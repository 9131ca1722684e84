"""A virtual board as a process of its own: `python -m benchwire.boards.virtual PROFILE --name NAME --run-dir DIR`."""

import argparse
import asyncio
import ctypes
import importlib
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec

from benchwire.boards.virtual.board import Board, BoardError, BoardModule, Mounted, Networked, Place
from benchwire.boards.virtual.control import check_path, control_socket
from benchwire.boards.virtual.flash_file import claimed
from benchwire.boards.virtual.registry import BoardRecord, read_records, registered, serial_number_of
from benchwire.boards.virtual.uart import Uart

# Imported on demand: a board need not bring the other kinds' libraries.
BOARD_MODULES = {
    "stm32f405": "benchwire.boards.virtual.cortexm.board",
    "stm32f103": "benchwire.boards.virtual.cortexm.board",
    "stm32l475": "benchwire.boards.virtual.cortexm.board",
    "nrf51822": "benchwire.boards.virtual.cortexm.board",
    "esp32": "benchwire.boards.virtual.esp.board",
    "esp32s3": "benchwire.boards.virtual.esp.board",
    "esp32c3": "benchwire.boards.virtual.esp.board",
    "rp2040": "benchwire.boards.virtual.rp2040.board",
}

# The name is part of file names and of event subjects.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

# How often a board sees whether it can still be found.
LOOK_EVERY_S = 2.0

PR_SET_PDEATHSIG = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one board until SIGTERM, SIGINT or an unplug fault; 0 is a clean end, 1 a board that can't start, or can't go on."""
    arguments = _parse(argv)
    parent_pid = os.getppid()
    code = 0
    try:
        if arguments.die_with_parent:
            die_with_parent(parent_pid)
        place = _place(arguments)
        # A crashing emulator is an ordinary sight on a test bench; nobody wants its memory on disk.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        asyncio.run(run(place, dict(arguments.label)))
    except* (BoardError, OSError) as group:
        # A group, because a board is several tasks, and any of them may find that the disk is full.
        code = 1
        for error in _leaves(group):
            print(f"benchwire-virtual-board: {error}", file=sys.stderr)  # noqa: T201 - a command's own output
    return code


async def run(place: Place, labels: dict[str, str]) -> None:
    """Plug the board in, serve until told to stop or unplugged, and leave nothing behind but its flash file.

    Raises `BoardError` (alone or in a group) when the board can't start or somebody took its registration away.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    module = cast("BoardModule", importlib.import_module(BOARD_MODULES[place.profile]))
    with claimed(place.flash_file), Uart.open(place.tty) as uart:
        async with module.open_board(place, uart) as board, control_socket(place.control, board):
            with registered(_record(place, board, labels), place.run_dir):
                print(f"ready {place.name} tty={place.tty} probe={board.probe or '-'}", flush=True)  # noqa: T201
                found = await _found_until(place.record, stop, board.unplugged)
    if not found:
        raise BoardError(f"somebody removed {place.record}: nobody finds this board any more, and it ends")


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent ends, so that it still cleans up."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise BoardError(f"can't tie the board to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent_pid:
        raise BoardError("the parent ended before the board had started")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchwire-virtual-board",
        description="A board without hardware, for the same tools that flash a real one.",
    )
    parser.add_argument("profile", choices=sorted(BOARD_MODULES))
    parser.add_argument("--name", required=True, help="letters, digits, - and _; names its files and its serial number")
    parser.add_argument("--run-dir", required=True, type=Path, help="where it registers; a short path")
    parser.add_argument("--flash-file", type=Path, help="where its flash survives (default RUN_DIR/NAME.flash)")
    parser.add_argument(
        "--label", action="append", default=[], type=_label, metavar="KEY=VALUE", help="such as rack=2; may be repeated"
    )
    parser.add_argument("--die-with-parent", action="store_true", help="end when the process that started it ends")
    parser.add_argument("--current-uf2", action="store_true", help="a UF2 drive also shows what the flash holds")
    return parser.parse_args(argv)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"a label is KEY=VALUE, and {text!r} is not")
    return key, value


def _place(arguments: argparse.Namespace) -> Place:
    if not NAME.fullmatch(arguments.name):
        raise BoardError(f"a board's name has 1 to 64 letters, digits, - and _, and {arguments.name!r} doesn't fit")
    run_dir = arguments.run_dir.absolute()
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    flash_file = (arguments.flash_file or run_dir / f"{arguments.name}.flash").absolute()
    place = Place(
        name=arguments.name,
        profile=arguments.profile,
        run_dir=run_dir,
        flash_file=flash_file,
        current_uf2=arguments.current_uf2,
    )
    check_path(place.control)
    try:
        records = read_records(run_dir)
    except msgspec.DecodeError as error:
        raise BoardError(str(error)) from error
    for record in records:
        if record.name == place.name:
            raise BoardError(
                f"a board called {place.name} is already plugged in under {run_dir} (process {record.pid})"
            )
    return place


def _record(place: Place, board: Board, labels: dict[str, str]) -> BoardRecord:
    return BoardRecord(
        name=place.name,
        profile=place.profile,
        serial_number=serial_number_of(place.name),
        tty=str(place.tty),
        probe=board.probe,
        control=str(place.control),
        pid=os.getpid(),
        labels=labels,
        socket=board.socket if isinstance(board, Networked) else None,
        rfc2217=board.rfc2217 if isinstance(board, Networked) else None,
        drive=board.drive if isinstance(board, Mounted) else None,
    )


async def _found_until(record: Path, *events: asyncio.Event) -> bool:
    """Wait for the first of the events; False when the registration was gone before it came, perhaps with the whole directory."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        while not (await asyncio.wait(waits, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED))[0]:
            if not record.exists():  # noqa: ASYNC240 - one look at a local directory, for which a thread would cost more
                return False
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return True


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
