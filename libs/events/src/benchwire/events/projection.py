"""Projections: rows in SQLite that follow from the log, and from nothing else.

The sequence of the last applied event stands in the same transaction as the rows it made, so an event has its effect exactly once, wherever
the process dies. Deleting the file rebuilds it from the log.
"""

import asyncio
import contextlib
import fcntl
import logging
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

import msgspec
import stamina
from sqlite_utils import Database

from benchwire.events import codec
from benchwire.events.bus import STREAM, Bus
from benchwire.events.follow import Batch, Message, follow
from benchwire.events.log import Log, Recorded, recorded

log = logging.getLogger(__name__)

T = TypeVar("T")
Apply = Callable[[Database, Recorded], None]
Listener = Callable[[Sequence[Recorded]], None]

_OWN_TABLES = """
CREATE TABLE IF NOT EXISTS applied (stream TEXT PRIMARY KEY, sequence INTEGER NOT NULL, origin TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parked (sequence INTEGER PRIMARY KEY, subject TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, body BLOB NOT NULL);
"""
_OWN = ("applied", "seen", "parked")
_OF_THE_MACHINE = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
)  # fmt: skip


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What a service keeps: ``tables`` (SQL that creates them), ``apply`` (one event to rows), and the ``filters`` of what it listens to.

    ``version`` goes up when tables or ``apply`` change; a file of another version is rebuilt from the log.
    """

    filters: list[str]
    tables: str
    apply: Apply
    version: int = 1


class ProjectionState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a projection stands. ``behind`` counts the events it knows to be waiting; ``trouble`` is why it cannot go on, if so."""

    applied: int
    behind: int
    caught_up: bool
    unknown: int
    malformed: int
    trouble: str | None = None


class ProjectionBehind(Exception):
    """The projection did not get there in time."""


class ProjectionInUse(Exception):
    """Another process writes this file."""


class Projection:
    """One SQLite file: written in one thread by ``run``, read in others by ``read``."""

    def __init__(self, bus: Bus, path: Path, schema: Schema, *, linger_s: float = 0.0) -> None:
        """``linger_s`` is how long it may wait for more once it has caught up: rows that are dear to commit come in larger batches then."""
        self._bus = bus
        self._linger_s = linger_s
        self._path = path
        self._schema = schema
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix=f"read-{path.stem}")
        self._local = threading.local()
        self._open_readers: list[Database] = []
        self._db: Database | None = None
        self._listeners: list[Listener] = []
        self._advanced = asyncio.Condition()
        self._ready = asyncio.Event()
        self._state = ProjectionState(applied=0, behind=0, caught_up=False, unknown=0, malformed=0)

    @property
    def state(self) -> ProjectionState:
        """Where it stands."""
        return self._state

    async def newest(self) -> int:
        """The sequence of the newest event in the log that it listens to, applied or not; 0 without any. Raises ``LogUnavailable``."""
        log_ = Log(self._bus)
        return max(await asyncio.gather(*(log_.last_sequence(one) for one in self._schema.filters)))

    def on_commit(self, listener: Listener) -> None:
        """Calls ``listener`` with events after each commit that made them rows, in order, on the event loop."""
        self._listeners.append(listener)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Follows the log for the time of the context, which is entered when everything that is in the log now has been applied.

        Raises ``ProjectionInUse`` when another process has the file, and ``StreamReplaced`` when the log is no longer the same.
        """
        lock = await asyncio.to_thread(_locked, self._path)
        try:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow())
                try:
                    await self._ready.wait()
                    yield
                finally:
                    following.cancel()
        finally:
            await asyncio.to_thread(self._close)
            lock.close()

    async def wait_for(self, sequence: int, *, timeout_s: float = 5.0) -> None:
        """Returns when the event with this sequence is applied. Raises ``ProjectionBehind``."""
        if self._state.applied >= sequence:
            return
        try:
            async with asyncio.timeout(timeout_s), self._advanced:
                await self._advanced.wait_for(lambda: self._state.applied >= sequence)
        except TimeoutError:
            raise ProjectionBehind(f"at {self._state.applied} of {sequence} after {timeout_s} s") from None

    async def read(self, query: Callable[[Database], T]) -> T:
        """What ``query`` reads, in a reading thread and one consistent snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def _read(self, query: Callable[[Database], T]) -> T:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = _opened(self._path, read_only=True)
            self._open_readers.append(db)
        with db.atomic():
            return query(db)

    async def _follow(self) -> None:
        info = await self._bus.js.stream_info(STREAM)
        origin = str(info.created)
        after = await self._in_writer(partial(self._open, origin, info.state.last_seq))
        self._state = msgspec.structs.replace(self._state, applied=after)
        # Raises StreamReplaced: rows of one log and events of another do not go together, and the next start builds new ones.
        async with aclosing(follow(self._bus, self._schema.filters, after=after, created=origin)) as batches:
            async for batch in batches:
                await self._take(batch)
                if self._linger_s and batch.messages and batch.pending == 0:
                    await asyncio.sleep(self._linger_s)

    async def _take(self, batch: Batch) -> None:
        events = await self._applied_in_the_end(batch.messages) if batch.messages else []
        last = batch.messages[-1].sequence if batch.messages else self._state.applied
        async with self._advanced:
            self._state = msgspec.structs.replace(
                self._state, applied=last, behind=batch.pending, caught_up=self._state.caught_up or batch.pending == 0
            )
            self._advanced.notify_all()
        if events:
            for listener in self._listeners:
                listener(events)
        if batch.pending == 0:
            self._ready.set()

    async def _applied_in_the_end(self, messages: list[Message]) -> list[Recorded]:
        """A full disk does not lose an event: the batch is tried until it fits, and health says why it does not."""
        async for attempt in stamina.retry_context(
            on=sqlite3.OperationalError, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0
        ):
            with attempt:
                try:
                    took = await self._in_writer(partial(self._apply, messages))
                except sqlite3.OperationalError as error:
                    self._state = msgspec.structs.replace(self._state, behind=len(messages), trouble=str(error))
                    raise
                self._state = msgspec.structs.replace(self._state, trouble=None)
                return took
        raise AssertionError("unreachable: retry_context returns or raises")

    async def _in_writer(self, call: Callable[[], T]) -> T:
        # Shielded: a cancel must not leave the thread in the middle of a transaction that nobody waits for.
        work = asyncio.get_running_loop().run_in_executor(self._writer, call)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    def _open(self, origin: str, last: int) -> int:
        after = self._applied(origin, last)
        if after is None:
            log.warning("%s is of another log or version, or broken: rebuilding it", self._path.name)
            if self._db is not None:
                self._db.close()
            _removed(self._path)
            self._db = _opened(self._path)
            after = 0
        assert self._db is not None
        if not self._db.table_names():
            with self._db.atomic():  # all or nothing: a file that has one of its tables has them all
                for statement in _statements(_OWN_TABLES + self._schema.tables):
                    self._db.conn.execute(statement)
                row = (STREAM, after, origin, self._schema.version)
                self._db.conn.execute("INSERT INTO applied VALUES (?, ?, ?, ?)", row)
        self._count_parked()
        return after

    def _applied(self, origin: str, last: int) -> int | None:
        """The applied sequence; None when the file does not belong to this log, or to this version of the code, or is no database."""
        try:
            self._db = _opened(self._path)
        except sqlite3.DatabaseError as error:
            if isinstance(
                error, sqlite3.OperationalError
            ):  # it cannot be opened, which says nothing about what is in it
                raise
            return None
        if "applied" not in self._db.table_names():
            return 0 if not self._db.table_names() else None
        row = self._db.conn.execute("SELECT sequence, origin, version FROM applied").fetchone()
        fits = row is not None and row[0] <= last and row[1] == origin and row[2] == self._schema.version
        return int(row[0]) if fits else None

    def _apply(self, messages: list[Message]) -> list[Recorded]:
        """Applies what was not applied before; in one transaction. Returns what took effect."""
        assert self._db is not None
        took: list[Recorded] = []
        parked = False
        with self._db.atomic():
            for message in messages:
                one = self._readable(message)
                if one is None:
                    parked = True
                elif self._is_new(one) and self._fits(one, message):
                    took.append(one)
            self._db.conn.execute("UPDATE applied SET sequence = ? WHERE stream = ?", (messages[-1].sequence, STREAM))
        if parked:
            self._count_parked()
        return took

    def _is_new(self, one: Recorded) -> bool:
        assert self._db is not None
        return self._db.conn.execute("INSERT OR IGNORE INTO seen VALUES (?)", (one.id,)).rowcount == 1

    def _fits(self, one: Recorded, message: Message) -> bool:
        assert self._db is not None
        try:
            with self._db.atomic():  # a savepoint: one event that cannot be applied does not take its neighbours along
                self._schema.apply(self._db, one)
        except Exception as error:
            if _is_of_the_machine(error):
                raise
            log.exception("event %d could not be applied to %s", message.sequence, self._path.name)
            self._park(message, "malformed", f"{type(error).__name__}: {error}")
            self._count_parked()
            return False
        return True

    def _readable(self, message: Message) -> Recorded | None:
        try:
            one = recorded(message)
        except codec.Malformed as error:
            self._park(message, "malformed", str(error))
            return None
        if isinstance(one, codec.Unknown):
            self._park(message, "unknown", f"{one.tag} version {one.version}")
            return None
        return one

    def _park(self, message: Message, kind: str, detail: str) -> None:
        assert self._db is not None
        row = (message.sequence, message.subject, kind, detail, message.body)
        self._db.conn.execute("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)", row)

    def _count_parked(self) -> None:
        assert self._db is not None
        counts = dict(self._db.conn.execute("SELECT kind, count(*) FROM parked GROUP BY kind"))
        self._state = msgspec.structs.replace(
            self._state, unknown=counts.get("unknown", 0), malformed=counts.get("malformed", 0)
        )

    def _close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        for db in [*self._open_readers, *([self._db] if self._db is not None else [])]:
            db.close()


def _is_of_the_machine(error: Exception) -> bool:
    """Whether memory, the disk, the file or a lock is to blame, and not the event."""
    if isinstance(error, MemoryError):
        return True
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes keep the primary one in the low byte
    return isinstance(error, sqlite3.Error) and primary in _OF_THE_MACHINE


def rows_of(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all of a projection's own tables, sorted: what a rebuild has to equal.

    Full-text indexes are left out: how they lie in the file depends on how many events came at a time.
    """
    db = _opened(path, read_only=True)
    try:
        listed = db.conn.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
        tables = [name for (name,) in listed if name not in _OWN and not name.startswith("sqlite_")]
        return {name: sorted(db.conn.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in tables}  # noqa: S608
    finally:
        db.close()


def _opened(path: Path, *, read_only: bool = False) -> Database:
    path.parent.mkdir(parents=True, exist_ok=True)
    # autocommit; transactions are opened by atomic()
    uri = f"file:{path}?mode={'ro' if read_only else 'rwc'}"
    conn = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=10.0)
    if not read_only:
        conn.execute("PRAGMA journal_mode = WAL")
        # WAL survives a killed process as it is; what a power cut takes is in the log, and read again from there.
        conn.execute("PRAGMA synchronous = NORMAL")
    return Database(conn)


def _removed(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _statements(script: str) -> list[str]:
    # executescript() would commit; the schema belongs into one transaction.
    statements, pending = [], ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return [*statements, pending] if pending.strip() else statements


def _locked(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(path.name + ".lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, so it cannot go stale
    except BlockingIOError:
        lock.close()
        raise ProjectionInUse(f"{path} is in use by another process") from None
    return lock
