"""Where words are found: from the file of the search, not from that of the other rows."""

import msgspec
from sqlite_utils import Database

from benchwire.observability.search.wording import only

_LAST = (1 << 63) - 1
_SNIPPET_WORDS = 24
OPENS, CLOSES = "\x02", "\x03"


class Hit(msgspec.Struct, frozen=True):
    """An event in which something was found; in ``snippet`` it stands between ``OPENS`` and ``CLOSES``."""

    sequence: int
    session_id: str
    event_type: str
    at: str
    snippet: str


def hits(
    db: Database,
    expression: str,
    *,
    limit: int,
    before: int | None = None,
    session_id: str | None = None,
    event_type: str | None = None,
) -> list[Hit]:
    """Events in which ``expression`` is found, newest first; those before the sequence ``before``."""
    matching, where, values = [expression], ["words MATCH ?", "words.rowid < ?"], [_LAST if before is None else before]
    for column, value in (("session_id", session_id), ("event_type", event_type)):
        if value is not None:
            matching.append(only(column, value))
            where.append(f"texts.{column} = ?")  # the words of an id may stand in another one, too
            values.append(value)  # type: ignore[arg-type]
    # CROSS: the words come first, in their order; from the texts of a session all of what is found would have to be sorted.
    sql = f"""
        SELECT texts.seq, texts.session_id, texts.event_type, texts.at, snippet(words, 0, ?, ?, '…', {_SNIPPET_WORDS})
        FROM words CROSS JOIN texts ON texts.seq = words.rowid WHERE {" AND ".join(where)} ORDER BY words.rowid DESC LIMIT ?
    """  # noqa: S608 - our own column names
    found = db.conn.execute(sql, (OPENS, CLOSES, " AND ".join(matching), *values, limit))
    return [Hit(*row) for row in found]
