"""The full-text index: a SQLite file beside the projection, made of its rows and of the bytes they name.

It is no projection, as reading bytes takes the store: ``indexer`` fills it, after the event, and how far it came stands in the same
transaction as its rows. Deleting the file makes it anew, and so does another log.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlite_utils import Database

from benchwire.documents import queries
from benchwire.documents.queries import Found, Row, Wanted
from benchwire.documents.search.texts import question
from benchwire.events import cancels

log = logging.getLogger(__name__)

T = TypeVar("T")

HIT, END_OF_HIT = "\x02", "\x03"
_VERSION = 1
_SNIPPET_WORDS = 24
_TABLES = (
    "CREATE TABLE state (origin TEXT NOT NULL, version INTEGER NOT NULL, changed INTEGER NOT NULL)",
    "CREATE TABLE places (id TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE VIRTUAL TABLE found USING fts5(filename, words, text, tokenize="unicode61 remove_diacritics 2")""",
    "INSERT INTO found (found, rank) VALUES ('rank', 'bm25(8.0, 4.0, 1.0)')",
)


class Hit(msgspec.Struct, frozen=True):
    """A document that answers a question; the ``snippet`` has the words between ``HIT`` and ``END_OF_HIT``, a higher ``score`` is better."""

    found: Found
    snippet: str
    score: float


class Hits(msgspec.Struct, frozen=True):
    """Some of the documents that were found, the best first, and how many there are in all."""

    hits: list[Hit]
    total: int


class Index:
    """The file ``path``, asked together with the rows in ``projection``."""

    def __init__(self, path: Path, projection: Path) -> None:
        self._path = path
        self._projection = projection
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write-search")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="read-search")
        self._local = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._conn: sqlite3.Connection | None = None
        self._generation = 0

    async def open(self, origin: str, *, anew: bool = False) -> int:
        """Opens the file, or makes it anew when it is not of the log ``origin``; returns the sequence of the last change that is in it."""
        return await self._in_writer(partial(self._open, origin, anew=anew))

    async def close(self) -> None:
        """Lets go of the file."""
        await asyncio.to_thread(self._close)

    async def put(self, rows: list[tuple[Row, str | None]]) -> None:
        """Takes in documents with their texts; None keeps the text that is there. Remembers how far that is."""
        await self._in_writer(partial(self._put, rows))

    async def remove(self, deleted: Iterable[tuple[str, int]]) -> None:
        """Forgets documents: each an id, and the sequence of what deleted it. One that came again after that stays."""
        await self._in_writer(partial(self._remove, list(deleted)))

    async def keep_only(self, there: set[int]) -> None:
        """Forgets whatever is not at one of these places."""
        await self._in_writer(partial(self._keep_only, there))

    async def has(self, places: list[int]) -> set[int]:
        """Those of ``places`` whose texts are in it."""
        return await self._in_writer(partial(self._has, places))

    async def asked(self, text: str, wanted: Wanted) -> Hits:
        """The documents that answer ``text``, among those that are ``wanted``. Raises ``BadQuery``."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._asked, text, wanted)

    async def _in_writer(self, call: Callable[[], T]) -> T:
        return await cancels.in_thread(self._writer, call)

    def _open(self, origin: str, *, anew: bool) -> int:
        if self._conn is not None:
            self._conn.close()
        try:
            self._conn = _opened(self._path)
            row = self._conn.execute("SELECT origin, version, changed FROM state").fetchone()
        except sqlite3.DatabaseError:
            row = None
        if anew or row is None or row[:2] != (origin, _VERSION):
            self._make(origin)
            return 0
        return int(row[2])

    def _make(self, origin: str) -> None:
        if self._conn is not None:
            self._conn.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._generation += 1  # readers have the old file open
        self._conn = _opened(self._path)
        with Database(self._conn).atomic():
            for statement in _TABLES:
                self._conn.execute(statement)
            self._conn.execute("INSERT INTO state VALUES (?, ?, 0)", (origin, _VERSION))

    def _put(self, rows: list[tuple[Row, str | None]]) -> None:
        assert self._conn is not None
        with Database(self._conn).atomic():
            for row, text in rows:
                self._put_one(self._conn, row, text)
            self._conn.execute("UPDATE state SET changed = ?", (rows[-1][0].changed,))

    def _put_one(self, conn: sqlite3.Connection, row: Row, text: str | None) -> None:
        one = row.document
        if text is None:
            kept = conn.execute("SELECT text FROM found WHERE rowid = ?", (row.sequence,)).fetchone()
            text = kept[0] if kept else ""
        words = " ".join([*one.tags, *one.metadata.values()])
        # By the id: under an ``Idempotency-Key`` a document that was deleted may come again, at another place.
        conn.execute("DELETE FROM found WHERE rowid = (SELECT sequence FROM places WHERE id = ?)", (one.id,))
        place = (row.sequence, one.filename, words, text)
        conn.execute("INSERT INTO found (rowid, filename, words, text) VALUES (?, ?, ?, ?)", place)
        conn.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (one.id, row.sequence))

    def _remove(self, deleted: list[tuple[str, int]]) -> None:
        assert self._conn is not None
        with Database(self._conn).atomic():
            for one in deleted:
                place = "SELECT sequence FROM places WHERE id = ? AND sequence < ?"
                self._conn.execute(f"DELETE FROM found WHERE rowid = ({place})", one)  # noqa: S608
                self._conn.execute("DELETE FROM places WHERE id = ? AND sequence < ?", one)

    def _keep_only(self, there: set[int]) -> None:
        assert self._conn is not None
        known = self._conn.execute("SELECT id, sequence FROM places").fetchall()
        self._remove([(document_id, sequence + 1) for document_id, sequence in known if sequence not in there])

    def _has(self, places: list[int]) -> set[int]:
        assert self._conn is not None
        query = "SELECT 1 FROM found WHERE rowid = ?"
        return {place for place in places if self._conn.execute(query, (place,)).fetchone()}

    def _asked(self, text: str, wanted: Wanted) -> Hits:
        asked = question(text)
        if asked is None:
            return Hits([], 0)
        db = self._reader()
        with db.atomic():
            counts = queries.counts_of(db, wanted.tags)
            if 0 in counts.values():
                return Hits([], 0)
            among, values = "", list[object]()
            if counts or wanted.filename:
                selection, values = queries.selection_of(wanted, counts)
                # The plus keeps SQLite from asking the index anew for each of these rows.
                among = f" AND +found.rowid IN ({selection})"
            total = db.conn.execute(f"SELECT count(*) FROM found WHERE found MATCH ?{among}", (asked, *values))  # noqa: S608
            rows = db.conn.execute(
                "SELECT d.id, rank, snippet(found, -1, ?, ?, '…', ?) FROM found CROSS JOIN documents AS d ON d.sequence = found.rowid"  # noqa: S608
                f" WHERE found MATCH ?{among} ORDER BY rank LIMIT ? OFFSET ?",
                (HIT, END_OF_HIT, _SNIPPET_WORDS, asked, *values, wanted.limit, wanted.offset),
            )
            hits = [
                Hit(found, snippet, round(-rank, 4))
                for id_, rank, snippet in rows.fetchall()
                if (found := queries.found(db, id_)) is not None
            ]
            return Hits(hits, total.fetchone()[0])

    def _reader(self) -> Database:
        """This thread's connection to the index, and through it to the projection: table names are looked for in both."""
        conn: sqlite3.Connection | None = getattr(self._local, "conn", None)
        if conn is None or self._local.generation != self._generation:
            self._local.generation = self._generation
            conn = self._local.conn = _opened(self._path, read_only=True)
            conn.execute("ATTACH ? AS projection", (f"file:{self._projection}?mode=ro",))
            self._open_readers.append(conn)
        return Database(conn)

    def _close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        for conn in [*self._open_readers, *([self._conn] if self._conn is not None else [])]:
            conn.close()


def _opened(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    uri = f"file:{path}?mode={'ro' if read_only else 'rwc'}"
    conn = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=10.0)
    if not read_only:
        conn.execute("PRAGMA journal_mode = WAL")
        conn.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is read again from the store
    return conn
