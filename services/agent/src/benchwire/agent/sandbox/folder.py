"""A work directory, looked at from outside, while hostile code may be changing it: no link is followed, every step is opened from the last."""

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path

from benchwire.agent.sandbox.leftovers import remove

MAX_DEPTH = 100
OF_AN_ENTRY = 1024  # about what a file takes beside its content: many empty ones fill a disk, too


class TooDeep(OSError):
    """Folders lie in folders more than ``MAX_DEPTH`` deep, all in the one called ``top``."""

    def __init__(self, top: str) -> None:
        super().__init__(f"folders lie more than {MAX_DEPTH} deep in {top}")
        self.top = top


def countable_bytes(folder: Path) -> int:
    """As ``used_bytes``, once what lies too deep to be counted, which only commands make, is removed."""
    while True:
        try:
            return used_bytes(folder)
        except TooDeep as error:
            remove(folder / error.top)


def used_bytes(folder: Path) -> int:
    """What the directory and all in it take on the disk. Raises ``TooDeep`` and OSError."""
    total = 0
    several = set()  # names of one file
    for _, _, found in _walked(folder):
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            if found.st_ino in several:
                continue
            several.add(found.st_ino)
        total += found.st_blocks * 512 + OF_AN_ENTRY
    return total


def had_by(folder: Path) -> int:
    """The id that the directory was handed to the last time, or the group that it was made with. Raises OSError."""
    return folder.stat().st_gid


def take_back(folder: Path, uid: int) -> None:
    """Closes the directory to ``uid``, which another one may have next; what is in it stays as it is. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.chown(folder, os.geteuid(), uid)


def hand_over(folder: Path, uid: int) -> None:
    """Gives the directory and all in it to ``uid``, alone. Raises ``TooDeep`` and OSError.

    A file with several names stays as it is: one of them might be outside.
    """
    os.chown(folder, uid, uid)
    os.chmod(folder, 0o700)  # noqa: PTH101 - as the line before
    for inside, name, found in _walked(folder):
        if found.st_uid != uid:
            with contextlib.suppress(FileNotFoundError):
                _give(inside, name, uid)


def _give(inside: int, name: str, uid: int) -> None:
    # Looked at when it is held: by its name, it could become another file's after the look.
    held = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=inside)
    try:
        found = os.fstat(held)
        if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode):
            os.chown(f"/proc/self/fd/{held}", uid, uid)
    finally:
        os.close(held)


def _walked(folder: Path) -> Generator[tuple[int, str, os.stat_result], None, None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield from _below(descriptor, ())
    finally:
        os.close(descriptor)


def _below(descriptor: int, way: tuple[str, ...]) -> Generator[tuple[int, str, os.stat_result], None, None]:
    if len(way) > MAX_DEPTH:
        raise TooDeep(way[0])
    folders = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
                yield descriptor, entry.name, found
            except FileNotFoundError:  # gone meanwhile
                continue
            if stat.S_ISDIR(found.st_mode):
                folders.append(entry.name)
    for name in folders:
        try:
            one = _opened(name, descriptor)
        except (FileNotFoundError, NotADirectoryError):  # gone meanwhile, or no folder any more
            continue
        try:
            yield from _below(one, (*way, name))
        finally:
            os.close(one)


def _opened(name: str, inside: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=inside)
    except PermissionError:  # a command may close its folder to whoever counts; ``O_PATH`` asks for no permission
        seen = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=inside)
        try:
            os.chmod(f"/proc/self/fd/{seen}", 0o700)  # noqa: PTH101 - this is the one that is open, and no other
            return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(seen)
