"""The SQLite file of a projection: how it is opened, what every such file says of itself, and its rows as they are compared."""

import contextlib
import fcntl
import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import IO
from urllib.parse import quote

import msgspec
from sqlite_utils import Database

log = logging.getLogger(__name__)

LAYOUT = 2  # goes up when these tables, or what stands in them, change: then every file is made anew
# ``seen`` has ids with the subjects that they came on. ``lacking`` says, one row for each time, which events had left the log before they could
# be applied.
TABLES = """
CREATE TABLE applied (stream TEXT PRIMARY KEY, sequence INTEGER NOT NULL, origin TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE parked (sequence INTEGER PRIMARY KEY, subject TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE lacking (why TEXT NOT NULL);
"""
_SCHEMAS = 1000  # versions that a service's own tables may have in one layout
_OWN = ("applied", "seen", "parked", "lacking")
_OF_THE_MACHINE = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
)  # fmt: skip


def version_of(schema: int) -> int:
    """The version of a file: that of these tables, and that of the ``schema`` of the service's own."""
    return LAYOUT * _SCHEMAS + schema


def seen_key(event_id: str, subject: str) -> str:
    """What ``seen`` has of an event. With the subject: or whoever may write anywhere could use another's id first, and that event would make no
    rows.
    """
    return f"{event_id} {subject}"


def seen(db: sqlite3.Connection, keys: Iterable[str]) -> set[str]:
    """Those of ``keys`` that are there; some thousand at a time."""
    given = tuple(keys)  # as parameters: in JSON, SQLite ends a text at a NUL, which an id from outside may have
    marks = ",".join("?" * len(given))
    return {key for (key,) in db.execute(f"SELECT id FROM seen WHERE id IN ({marks})", given)}  # noqa: S608


class Stood(msgspec.Struct, frozen=True, kw_only=True):
    """What a projection's file says of itself: everything up to ``sequence`` of the log ``origin`` is in it, by the code of ``version``
    (see ``version_of``).

    ``lacks`` is what the log had lost by then; empty when nothing.
    """

    sequence: int
    origin: str
    version: int
    lacks: str


def stood(db: sqlite3.Connection) -> Stood | None:
    """Where the rows stand; None when these are no rows of a projection. Raises ``sqlite3.Error``."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name IN ('applied', 'lacking')")}
    row = db.execute("SELECT sequence, origin, version FROM applied").fetchone() if "applied" in tables else None
    if row is None:
        return None
    lacks = db.execute("SELECT why FROM lacking ORDER BY rowid").fetchall() if "lacking" in tables else []
    told = "; ".join(why for (why,) in lacks)
    return Stood(sequence=int(row[0]), origin=str(row[1]), version=int(row[2]), lacks=told)


def stood_in(path: Path) -> Stood | None:
    """Where the rows of a file stand; None when there is no file, or none of a projection. Raises ``OperationalError`` when it can't be opened."""
    if not path.exists():
        return None
    try:
        with contextlib.closing(sqlite3.connect(uri(path, "mode=ro"), uri=True)) as db:
            return stood(db)
    except sqlite3.OperationalError:  # which says nothing about what is in it
        raise
    except sqlite3.DatabaseError:
        return None


def uri(path: Path, query: str) -> str:
    """What SQLite is to open, and how: ``mode=ro``."""
    return f"file:{quote(str(path))}?{query}"


def opened(path: Path, *, read_only: bool = False) -> Database:
    """A connection for any thread. Raises ``sqlite3.Error``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # autocommit; transactions are opened by atomic()
    place = uri(path, f"mode={'ro' if read_only else 'rwc'}")
    # Whoever writes may do so on an event loop; somebody else's lock is waited for by trying again.
    waits_s = 10.0 if read_only else 1.0
    conn = sqlite3.connect(place, uri=True, check_same_thread=False, isolation_level=None, timeout=waits_s)
    conn.execute("PRAGMA trusted_schema = OFF")  # the file may have been a snapshot, which somebody else made
    if not read_only:
        conn.execute("PRAGMA journal_mode = WAL")
        # WAL survives a killed process as it is; what a power cut takes is in the log, and read again from there.
        conn.execute("PRAGMA synchronous = NORMAL")
        # A checkpoint waits for the disk, and whoever waits for a row would wait with it: ``moved`` does it beside the writer, who does it only
        # when that does not keep up, and 32 MB wait.
        conn.execute("PRAGMA wal_autocheckpoint = 8000")
        conn.execute("PRAGMA cache_size = -8000")  # KiB
    return Database(conn)


def moved(path: Path) -> None:
    """Moves what stands in the write-ahead log into the file, beside whoever writes and reads."""
    try:
        with contextlib.closing(sqlite3.connect(uri(path, "mode=rw"), uri=True)) as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.DatabaseError as error:  # whoever writes meets it, too, and says what follows from it
        log.warning("%s: its write-ahead log could not be moved: %s", path.name, error)


def removed(path: Path) -> None:
    """Removes a database and the files beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def statements(script: str) -> list[str]:
    """The statements of a script, one by one: ``executescript()`` would commit, and a schema belongs into one transaction."""
    found, pending = [], ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return [*found, pending] if pending.strip() else found


def locked(path: Path) -> IO[bytes] | None:
    """The lock on a projection's file, held until it is closed; None when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, so it cannot go stale
    except BlockingIOError:
        lock.close()
        return None
    return lock


def is_of_the_machine(error: Exception) -> bool:
    """Whether memory, the disk, the file or a lock is to blame, and not the event."""
    if isinstance(error, MemoryError):
        return True
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes keep the primary one in the low byte
    return isinstance(error, sqlite3.Error) and primary in _OF_THE_MACHINE


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all of a projection's own tables, sorted: what a rebuild has to equal.

    Full-text indexes are left out: how they lie in the file depends on how many events came at a time.
    """
    db = opened(path, read_only=True)
    try:
        listed = db.conn.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
        tables = [name for (name,) in listed if name not in _OWN and not name.startswith("sqlite_")]
        return {name: sorted(db.conn.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in tables}  # noqa: S608
    finally:
        db.close()
