"""What all queries share."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlite_utils import Database


class Row(msgspec.Struct, frozen=True):
    """Columns of one row, by name."""

    columns: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        """One column."""
        return self.columns[name]


def applied(db: Database) -> int:
    """The sequence that the rows of this snapshot tell everything up to."""
    row = db.conn.execute("SELECT sequence FROM applied").fetchone()
    return int(row[0]) if row else 0


def rows(db: Database, sql: str, values: Sequence[Any] = ()) -> list[Row]:
    """What ``sql`` finds."""
    cursor = db.conn.execute(sql, tuple(values))
    names = [column[0] for column in cursor.description]
    return [Row(dict(zip(names, row, strict=True))) for row in cursor]


def marks(values: Sequence[Any]) -> str:
    """A question mark for each of ``values``."""
    return ", ".join("?" * len(values))
