"""The drive as which the board shows itself: a directory that any program may write to.

A directory instead of a mounted file system, since that needs no rights. What differs: a write returns at once, however slow the board
is, and files that are not firmware stay visible until the drive goes. Blocks arrive in the order in which they lie in a file.
"""

import os
import shutil
import stat
import zlib
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from benchwire.boards.uf2 import BLOCK_BYTES
from benchwire.boards.virtual.board import BoardError

LABEL = "RPI-RP2"
CAPACITY_BYTES = 128 << 20
_READ_BYTES = 256 * BLOCK_BYTES  # at a time, so that the board stays able to answer


class _Seen:
    """A file that somebody writes. It is held open: the number of its inode is then nobody else's, even when it was removed."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb", buffering=0)  # a buffer would not see what is written a second time
        self.inode = os.fstat(self.file.fileno()).st_ino
        self.checksums: list[int] = []  # one for each sector that was handed on
        self.modified_ns = 0
        self.compared_ns = 0
        self.compared_sectors = -1


class Drive:
    """Its directory is there while it is plugged in. ``take`` gives what a host has written to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LABEL
        self._folder = folder
        self._own: frozenset[str] = frozenset()
        self._seen: dict[str, _Seen] = {}
        self._waiting: deque[bytes] = deque()

    def plug(self, files: Mapping[str, bytes]) -> None:
        """The drive appears, at once and whole, with these files on it."""
        self.unplug()
        draft = self._folder / f".{LABEL}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name, content in files.items():
            (draft / name).write_bytes(content)
        self._own = frozenset(files)
        draft.rename(self.path)

    def unplug(self) -> None:
        """The drive vanishes, with everything that is on it; its folder stays."""
        self._forget(self.path)

    def tear_out(self) -> None:
        """The drive vanishes although the loader waits for more: with its folder, so that nobody takes it for the end of a transfer.

        A real drive's writes return when their blocks are programmed; here that is the only way to tell the one from the other.
        """
        self._forget(self._folder)

    def _forget(self, path: Path) -> None:
        for name in list(self._seen):
            self._close(name)
        self._waiting.clear()
        gone = path.with_name(f".{path.name}.gone")
        if path.exists():
            path.rename(gone)  # at once; what is still open is written to nobody
        shutil.rmtree(gone, ignore_errors=True)

    def replace(self, name: str, content: bytes) -> None:
        """One of the drive's own files has changed."""
        draft = self._folder / f".{name}"
        draft.write_bytes(content)
        draft.replace(self.path / name)

    def take(self, limit: int) -> list[bytes]:
        """The next sectors, ``limit`` at most, that a host has written."""
        if not self._waiting:
            self._look()
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]

    def _look(self) -> None:
        try:
            with os.scandir(self.path) as entries:
                names = {entry.name for entry in entries} - self._own
        except FileNotFoundError as error:
            raise BoardError(f"somebody removed the drive {self.path}: the board ends") from error
        for name in self._seen.keys() - names:
            self._close(name)
        for name in names:
            try:
                about = (self.path / name).lstat()
                if stat.S_ISREG(about.st_mode):
                    self._look_at(name, about)
            except OSError:
                self._close(name)  # removed meanwhile, or not for us to read

    def _look_at(self, name: str, about: os.stat_result) -> None:
        seen = self._seen.get(name)
        sectors = min(about.st_size, CAPACITY_BYTES) // BLOCK_BYTES
        if seen is None or seen.inode != about.st_ino or sectors < len(seen.checksums):
            self._close(name)
            seen = self._seen[name] = _Seen(self.path / name)
        if sectors > len(seen.checksums):
            self._append(seen)
        elif seen.compared_ns != about.st_mtime_ns and seen.modified_ns == about.st_mtime_ns:
            self._compare(seen)
            seen.compared_ns = about.st_mtime_ns
        seen.modified_ns = about.st_mtime_ns

    def _close(self, name: str) -> None:
        if name in self._seen:
            self._seen.pop(name).file.close()

    def _append(self, seen: _Seen) -> None:
        """What has come to the end of the file."""
        seen.file.seek(len(seen.checksums) * BLOCK_BYTES)
        for sector in _sectors(seen.file.read(_READ_BYTES)):
            seen.checksums.append(zlib.crc32(sector))
            self._waiting.append(sector)

    def _compare(self, seen: _Seen) -> None:
        """What was written into the file, and not at its end; a file that has changed and is the same was written a second time."""
        seen.file.seek(0)
        sectors = _sectors(seen.file.read(len(seen.checksums) * BLOCK_BYTES))
        checksums = [zlib.crc32(sector) for sector in sectors]
        changed = [at for at, checksum in enumerate(checksums) if checksum != seen.checksums[at]]
        if not changed and seen.compared_sectors == len(sectors):
            changed = list(range(len(sectors)))
        self._waiting.extend(sectors[at] for at in changed)
        seen.checksums = checksums
        seen.compared_sectors = len(sectors)


def _sectors(data: bytes) -> list[bytes]:
    """The whole ones."""
    return [data[at : at + BLOCK_BYTES] for at in range(0, len(data) - BLOCK_BYTES + 1, BLOCK_BYTES)]
