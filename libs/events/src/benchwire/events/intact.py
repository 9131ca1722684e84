"""Whether a projection's file can be believed, after a process was killed or a disk lied: what is damaged is made anew, never read.

SQLite finds a torn end of its write-ahead log by itself and goes on from the transaction before; the log of the lab has what follows. It does
not look at pages that it does not need, though, and it takes what is left of a write-ahead log also when the file already has what came
behind: then old pages would cover new ones, and rows would be wrong in silence.
"""

import contextlib
import sqlite3
import struct
from pathlib import Path

from benchwire.events import rows

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_READ_ALWAYS_BYTES = 512 << 20
# The index of a write-ahead log, as https://sqlite.org/walformat.html lays it out: how many frames it holds, and how many of them somebody began
# to move into the file, which are more than are known to be there when he was killed meanwhile.
_FRAMES_AT, _MOVED_AT, _INDEX_BYTES = 16, 128, 136


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file is not what it wrote."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes keep the primary one in the low byte
    return isinstance(error, sqlite3.DatabaseError) and primary in _DAMAGE


def damage_of(path: Path) -> str | None:
    """Why the file is not to be believed; None when nothing speaks against it, or it is not there.

    Reads all of it, about two seconds for a gigabyte on a quick disk, and a minute on a slow one. So a large file that was closed in order is
    believed: what is wrong in it nevertheless, whoever needs those pages meets (see ``is_damage``). To be called while nobody else has the file
    open. Raises ``sqlite3.OperationalError`` when it cannot be opened, which says nothing about what is in it.
    """
    if not path.exists() or (path.stat().st_size > _READ_ALWAYS_BYTES and _was_closed(path)):
        return None
    moved = _number(path, _MOVED_AT)  # before it is opened: that makes the index anew
    try:
        with contextlib.closing(sqlite3.connect(rows.uri(path, "mode=rw"), uri=True, isolation_level=None)) as db:
            problem = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            left = _number(path, _FRAMES_AT)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    if problem != "ok":
        return problem.replace("\n", " ")
    return f"its write-ahead log lost what the file has already ({left} of {moved} pages)" if left < moved else None


def _was_closed(path: Path) -> bool:
    """Whether whoever had the file last closed it: SQLite takes its write-ahead log away then."""
    return not path.with_name(path.name + "-wal").exists()


def _number(path: Path, at: int) -> int:
    """A number of the write-ahead log's index; 0 without one."""
    try:
        with path.with_name(path.name + "-shm").open("rb") as file:
            head = file.read(_INDEX_BYTES)
    except FileNotFoundError:
        return 0
    return int(struct.unpack_from("=I", head, at)[0]) if len(head) == _INDEX_BYTES else 0
