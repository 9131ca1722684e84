"""Events to rows: many together, in one transaction with the sequence of the last. Everything here runs in the projection's writing thread.

What cannot be read, or not be applied, is parked, and stops nothing.
"""

import logging
from collections.abc import Callable, Sequence

import msgspec
from sqlite_utils import Database

from benchwire.events import codec, rows
from benchwire.events.follow import Message
from benchwire.events.log import Recorded, recorded
from benchwire.events.streams import STREAM

log = logging.getLogger(__name__)

Apply = Callable[[Database, Recorded], None]
ApplyAll = Callable[[Database, Sequence[Recorded]], None]

_SEEN = "INSERT INTO seen VALUES (?)"  # fails on what was applied before


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What a service keeps: ``tables`` (SQL that creates them), ``apply`` (one event to rows), and the ``filters`` of what it listens to.

    ``version`` goes up when tables or ``apply`` change; a file of another version is rebuilt from the log. All services that fold the same
    rows give them the same ``name``, under which they find each other's snapshots; rows without one are always built from the log.
    ``forgets`` is the filter of events that take others out of the log: what they took must not stay in snapshots.
    ``apply_all`` is for many events in a row: it leaves the same rows as ``apply`` with one after the other, sooner.
    """

    filters: list[str]
    tables: str
    apply: Apply
    version: int = 1
    name: str = ""
    forgets: str = ""
    apply_all: ApplyAll | None = None

    @property
    def file_version(self) -> int:
        """The version of a file that holds them; ``rows`` says what else is in it."""
        return rows.version_of(self.version)


class Applying:
    """Applies events to the rows in ``db``, which belong to the file ``name``. ``parked`` counts what is parked there, by its kind."""

    def __init__(self, db: Database, schema: Schema, name: str) -> None:
        self._db = db
        self._schema = schema
        self._name = name
        self.parked = self._count()

    def take(self, messages: list[Message]) -> list[Recorded]:
        """Applies what was not applied before; returns what took effect. Raises ``sqlite3.Error`` and ``MemoryError``."""
        try:
            return self._together(messages)
        except Exception as error:
            if rows.is_of_the_machine(error):
                raise
        # One of them was applied before, or cannot be. A savepoint for each costs as much as its rows, so that only now they get one.
        return self._one_by_one(messages)

    def reach(self, sequence: int) -> None:
        """Everything up to ``sequence`` counts as applied."""
        self._db.conn.execute("UPDATE applied SET sequence = max(sequence, ?) WHERE stream = ?", (sequence, STREAM))

    def _together(self, messages: list[Message]) -> list[Recorded]:
        with self._db.atomic():
            readable = self._read(messages)
            keys = [(rows.seen_key(one.id, message.subject),) for message, one in readable]
            self._db.conn.executemany(_SEEN, keys)
            took = [one for _, one in readable]
            if self._schema.apply_all is not None:
                self._schema.apply_all(self._db, took)
            else:
                for one in took:
                    self._schema.apply(self._db, one)
            self.reach(messages[-1].sequence)
        return self._counted(messages, took)

    def _one_by_one(self, messages: list[Message]) -> list[Recorded]:
        with self._db.atomic():
            took = [one for message, one in self._unseen(self._read(messages)) if self._fits(one, message)]
            self.reach(messages[-1].sequence)
        return self._counted(messages, took)

    def _counted(self, messages: list[Message], took: list[Recorded]) -> list[Recorded]:
        if len(took) < len(messages):
            self.parked = self._count()
        return took

    def _unseen(self, readable: list[tuple[Message, Recorded]]) -> list[tuple[Message, Recorded]]:
        """What was not applied before; from now on it counts as applied."""
        new: dict[str, tuple[Message, Recorded]] = {}
        for message, one in readable:
            new.setdefault(rows.seen_key(one.id, message.subject), (message, one))
        for key in rows.seen(self._db.conn, new):
            del new[key]
        self._db.conn.executemany(_SEEN, ((key,) for key in new))
        return list(new.values())

    def _read(self, messages: list[Message]) -> list[tuple[Message, Recorded]]:
        return [(message, one) for message in messages if (one := self._readable(message)) is not None]

    def _fits(self, one: Recorded, message: Message) -> bool:
        try:
            with self._db.atomic():  # a savepoint: it does not take its neighbours along
                self._schema.apply(self._db, one)
        except Exception as error:
            if rows.is_of_the_machine(error):
                raise
            log.exception("event %d could not be applied to %s", message.sequence, self._name)
            self._park(message, "malformed", f"{type(error).__name__}: {error}")
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
        row = (message.sequence, message.subject, kind, detail, message.body)
        self._db.conn.execute("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)", row)

    def _count(self) -> dict[str, int]:
        return dict(self._db.conn.execute("SELECT kind, count(*) FROM parked GROUP BY kind"))
