"""The file of a projection while it is in use: written in one thread, read in others, and its write-ahead log moved into it in one more.

What is small is written, and read again, on the event loop.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from benchwire.events import cancels, intact, rows
from benchwire.events.applying import Applying, Schema
from benchwire.events.projection.pace import Pace
from benchwire.events.projection.state import ProjectionDamaged
from benchwire.events.rows import Stood
from benchwire.events.streams import STREAM, Beginning, Origin

log = logging.getLogger(__name__)

T = TypeVar("T")

# About as many pages as one commit writes, beside two events to a page, and as many as are moved into the file at a time: a quarter of those
# with which SQLite's writer does it. To look how many there are would cost SQLite its locks: they go when anybody in the process closes the file.
_PAGES_OF_A_COMMIT = 5
_MOVED_PAGES = 2000


class File:
    """The rows of ``schema`` in the file ``path``. Damage that anybody meets is remembered, and ends it."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path = path
        self._schema = schema
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"read-{path.stem}")
        self._mover = ThreadPoolExecutor(1, thread_name_prefix=f"move-{path.stem}")
        self._moving: Future[None] | None = None
        self._unmoved_pages = 0
        self._local = threading.local()
        self._open_readers: list[Database] = []
        self._db: Database | None = None
        self._in_use = 0  # calls in the writing thread, or on their way there
        self._pace = Pace()
        self._damage: str | None = None
        self._damage_seen = asyncio.Event()

    async def read(self, query: Callable[[Database], T], *, is_small: bool = False) -> T:
        """What ``query`` reads, in a reading thread and one consistent snapshot. Raises ``ProjectionDamaged``, and what ``query`` does.

        One that ``is_small`` and reads what was just written is made on the event loop, if that need not wait for the writing thread.
        """
        try:
            if is_small and self._db is not None and self._may_be_here:
                with self._db.atomic():
                    return query(self._db)
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)
        except sqlite3.DatabaseError as error:
            self._look_at(error)
            raise

    def _read(self, query: Callable[[Database], T]) -> T:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = rows.opened(self.path, read_only=True)
            self._open_readers.append(db)
        with db.atomic():
            return query(db)

    async def in_writer(self, call: Callable[[], T], *, is_small: bool = False) -> T:
        """What comes of ``call`` in the writing thread; of one that ``is_small`` on the event loop, while that is sooner (see ``Pace``).

        Raises ``ProjectionDamaged``, and what ``call`` does.
        """
        try:
            if is_small and self._may_be_here:
                with self._pace.measured():
                    return call()
            return await self._in_thread(call)
        except sqlite3.DatabaseError as error:
            self._look_at(error)
            raise

    @property
    def _may_be_here(self) -> bool:
        """Whether the writer's connection may be used on the event loop: its thread does not, and the disk is quick."""
        return not self._in_use and self._pace.is_quick

    async def _in_thread(self, call: Callable[[], T]) -> T:
        self._in_use += 1
        try:
            return await cancels.in_thread(self._writer, call)
        finally:
            self._in_use -= 1

    def move(self, events: int) -> None:
        """Told of each commit, with as many ``events``: keeps the write-ahead log short."""
        self._unmoved_pages += _PAGES_OF_A_COMMIT + events // 2
        if self._unmoved_pages >= _MOVED_PAGES and (self._moving is None or self._moving.done()):
            self._unmoved_pages = 0
            self._moving = self._mover.submit(rows.moved, self.path)

    async def whole(self) -> None:
        """Waits until somebody who reads or writes has found damage, and raises ``ProjectionDamaged``: rows that cannot be read help nobody."""
        await self._damage_seen.wait()
        raise self._damaged()

    def _look_at(self, error: sqlite3.DatabaseError) -> None:
        if intact.is_damage(error):
            self._damage = str(error)
            self._damage_seen.set()
            raise self._damaged() from error

    def _damaged(self) -> ProjectionDamaged:
        return ProjectionDamaged(f"{self.path.name} is damaged ({self._damage}); the next start builds it anew")

    def remove_damaged(self) -> None:
        """Removes what is not to be believed, before it is opened; in the writing thread."""
        damage = intact.damage_of(self.path)
        if damage is not None:
            log.warning("%s is damaged (%s): rebuilding it", self.path.name, damage)
            rows.removed(self.path)

    def belongs(self, there: Stood, origin: Origin, last: int) -> bool:
        """Whether rows that stand ``there`` belong to this log, which goes up to ``last``, and to this version of the code."""
        fits = there.sequence <= last and origin.holds(there.origin, there.sequence)
        return fits and there.version == self._schema.file_version

    def open(self, origin: Origin, last: int, beginning: Beginning) -> tuple[Applying, Stood]:
        """Opens the rows, new ones when there are none that belong to this log; in the writing thread. Raises ``sqlite3.Error``."""
        there = rows.stood_in(self.path)
        if there is not None and self.belongs(there, origin, last):
            after = there.sequence
        else:
            if self.path.exists():
                log.warning("%s is of another log or version, or broken: rebuilding it", self.path.name)
            rows.removed(self.path)
            there, after = None, 0
        lacks = beginning.why(after) if beginning.hides(after) else None
        if lacks is not None:
            after = beginning.first - 1  # so that it is said once, however often this starts before there is more
        db = self._db = rows.opened(self.path)
        with db.atomic():  # all or nothing: a file that has one of its tables has them all
            if there is None:
                for statement in rows.statements(rows.TABLES + self._schema.tables):
                    db.conn.execute(statement)
                row = (STREAM, after, origin.created, self._schema.file_version)
                db.conn.execute("INSERT INTO applied VALUES (?, ?, ?, ?)", row)
            else:  # it may be from before a restore; what follows is of this log alone
                db.conn.execute("UPDATE applied SET sequence = ?, origin = ?", (after, origin.created))
            if lacks is not None:
                db.conn.execute("INSERT INTO lacking VALUES (?)", (lacks,))
        standing = rows.stood(db.conn)
        assert standing is not None
        return Applying(db, self._schema, self.path.name), standing

    def close(self) -> None:
        """Waits for all threads, and closes the file; one that is damaged is removed. Blocks."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._mover.shutdown(wait=True)
        for db in [*self._open_readers, *([self._db] if self._db is not None else [])]:
            db.close()
        if self._damage is not None:
            rows.removed(self.path)
