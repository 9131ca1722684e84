"""A projection's file to compressed bytes and back, a piece at a time. All of this runs in threads; a file may be gigabytes."""

import contextlib
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage

from benchwire.events.rows import Stood, removed, stood, uri
from benchwire.events.snapshots.shelf import PIECE_BYTES, Broken

_READ_BYTES = 1 << 20
_WRITE_BYTES = 4 << 20
_PAGES = 4096  # that are copied before somebody asks whether to go on
_STEPS = 100_000  # of SQLite's machine that check a copy, the same
_GZIP = 31  # zlib's number for gzip's format: what was taken out of the bucket by hand can be unpacked with any tool
_QUICK = 1  # rows compress to a fifth at any level, and this one keeps a disk busy


class Interrupted(Exception):
    """The service ends."""


def copy_of(path: Path) -> Path:
    """Where the rows of ``path`` are copied to, before they are sent."""
    return path.with_name(f"{path.name}.copy")


def incoming_of(path: Path) -> Path:
    """Where a copy is unpacked to, before it becomes ``path``."""
    return path.with_name(f"{path.name}.incoming")


def swept(path: Path) -> None:
    """Removes what a process that was killed in the middle left beside ``path``."""
    for left in (copy_of(path), incoming_of(path)):
        removed(left)


def copied(source: Path, target: Path, ending: threading.Event) -> Stood:
    """Copies the rows as of one moment, while others read and write.

    Raises ``Interrupted`` once ``ending`` is set, ``OSError`` when the disk has no room, and ``sqlite3.Error``.

    The source is in WAL mode: whoever writes there is not held up, and the copy holds what was committed when it began.
    """
    removed(target)
    _check_room(target, source.stat().st_size)

    def go_on(_status: int, _left: int, _total: int) -> None:
        if ending.is_set():
            raise Interrupted

    with contextlib.closing(sqlite3.connect(uri(source, "mode=ro"), uri=True, isolation_level=None)) as rows:
        rows.execute("BEGIN")
        told = _told(rows)  # the first read: from here on this connection sees one state
        with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            rows.backup(copy, pages=_PAGES, progress=go_on)
    found = _checked(target, ending)
    if found != told:
        raise sqlite3.DatabaseError(f"the copy stands at {found.sequence}, and the rows stood at {told.sequence}")
    return told


def _told(db: sqlite3.Connection) -> Stood:
    told = stood(db)
    if told is None:
        raise sqlite3.DatabaseError("these are no rows of a projection")
    return told


def _check_room(path: Path, file_bytes: int) -> None:
    # Rather no copy than a disk so full that the rows themselves cannot be written.
    if disk_usage(path.parent).free < file_bytes:
        raise OSError(f"it needs {file_bytes} bytes, and the disk has no room for them")


def _checked(path: Path, ending: threading.Event | None = None, *, only_rows: bool = False) -> Stood:
    with contextlib.closing(sqlite3.connect(uri(path, "mode=ro&immutable=1"), uri=True)) as db:
        if ending is not None:
            db.set_progress_handler(ending.is_set, _STEPS)
        problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        # No projection has any, and they would go on writing rows of their own.
        if only_rows and db.execute("SELECT 1 FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone():
            raise sqlite3.DatabaseError("there is more in it than tables")
        return _told(db)


def packed(path: Path) -> Iterator[bytes]:
    """The file, compressed, in pieces of the same size but the last."""
    packing = zlib.compressobj(_QUICK, wbits=_GZIP)
    waiting = bytearray()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            waiting += packing.compress(block)
            while len(waiting) >= PIECE_BYTES:
                yield bytes(waiting[:PIECE_BYTES])
                del waiting[:PIECE_BYTES]
    waiting += packing.flush()
    for start in range(0, len(waiting), PIECE_BYTES):
        yield bytes(waiting[start : start + PIECE_BYTES])


class Unpacking:
    """Writes a file from its compressed pieces. ``file_bytes`` is how large it may get, whatever the pieces claim."""

    def __init__(self, path: Path, file_bytes: int) -> None:
        removed(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_room(path, file_bytes)
        self._path = path
        self._left = file_bytes
        self._unpacking = zlib.decompressobj(wbits=_GZIP)
        self._file = path.open("wb")

    def add(self, piece: bytes) -> None:
        """Writes what one more piece holds. Raises ``Broken``, and ``OSError`` when the disk is full."""
        while piece:
            try:
                block = self._unpacking.decompress(piece, _WRITE_BYTES)
            except zlib.error as error:
                raise Broken(f"it cannot be unpacked: {error}") from error
            self._left -= len(block)
            if self._left < 0:
                raise Broken("it is larger than its record says")
            self._file.write(block)
            piece = self._unpacking.unconsumed_tail

    def done(self) -> Stood:
        """Closes the file, and says what is in it. Raises ``Broken`` when that is not all, or damaged, or no projection."""
        self._file.flush()
        os.fsync(self._file.fileno())  # it takes the place of rows
        self._file.close()
        if not self._unpacking.eof or self._left:
            raise Broken("it ends too early")
        try:
            # Checked, or it would be found damaged at the next start, and fetched again, for ever.
            return _checked(self._path, only_rows=True)
        except sqlite3.Error as error:
            raise Broken(f"it holds no rows: {error}") from error

    def give_up(self) -> None:
        """Removes what was written."""
        self._file.close()
        removed(self._path)
