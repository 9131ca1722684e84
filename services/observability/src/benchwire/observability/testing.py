"""For tests of rows: the tables in memory, and events that are put into them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlite_utils import Database

from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.observability import queries
from benchwire.observability.projection import SCHEMA

_AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


@contextmanager
def tables() -> Iterator[Database]:
    """All tables of this service, in memory and empty."""
    db = Database(memory=True)
    db.conn.executescript("CREATE TABLE applied (stream, sequence); INSERT INTO applied VALUES ('BENCH', 0);")
    db.conn.executescript(SCHEMA.tables)
    try:
        yield db
    finally:
        db.close()


def put(db: Database, *given: Event) -> None:
    """What the projection makes of ``given``, one after the other."""
    for event in given:
        sequence = queries.applied(db) + 1
        SCHEMA.apply(db, Recorded(sequence=sequence, id=str(sequence), event=event, received_at=_AT))
        db.conn.execute("UPDATE applied SET sequence = ?", (sequence,))
