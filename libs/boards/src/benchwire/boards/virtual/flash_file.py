"""The file that keeps a virtual board's flash: mapped, so that what was programmed is in it however the process ends."""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchwire.boards.virtual.board import BoardError

ERASED = b"\xff"


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keep every other board away from the flash file `path` for as long as the block runs. Raises `BoardError`.

    The claim ends with the process, whatever ends that. It is asked for before anything else of a board is made: of two
    that are started at the same time, one must not take away the other's serial port.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise BoardError(f"the flash file {path} can't be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BoardError(f"the flash file {path} is in use: that board is already plugged in") from error
        yield
    finally:
        os.close(fd)


@contextmanager
def flash_cells(path: Path, size_bytes: int) -> Iterator[mmap.mmap]:
    """The cells in the file `path`, which is made erased when there is none. Raises `BoardError` for a file of another size."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _complete(file.fileno(), size_bytes)
            found_bytes = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise BoardError(f"the flash file {path} can't be made: {error.strerror}") from error
    if found_bytes != size_bytes:
        raise BoardError(f"the flash file {path} has {found_bytes} bytes, and the flash of this board {size_bytes}")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size_bytes) as cells:
        yield cells


def _complete(fd: int, size_bytes: int) -> None:
    """Fill up a file that is new, or was being made when the disk was full or the process was killed.

    Every byte is written: a hole would only find out that the disk is full when it is programmed, and that kills.
    """
    at = os.fstat(fd).st_size
    if at >= size_bytes or os.pread(fd, at, 0).strip(ERASED):
        return
    while at < size_bytes:
        at += os.write(fd, ERASED * (size_bytes - at))
