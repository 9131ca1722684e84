"""What happened in sessions, in pages of bounded size."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlite_utils import Database

PIECE_ROWS = 1000
PIECE_BYTES = 1 << 20
_LAST = (1 << 63) - 1


class Shown(msgspec.Struct, frozen=True):
    """An event of a session as it is kept: its JSON without its place in the log and without the session's name."""

    sequence: int
    session_id: str
    session_name: str
    body: str


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of a session are wanted: those after ``after`` and before ``before``, of one type or all.

    Of more than ``limit`` the first are meant, or, ``from_end``, the last.
    """

    session_id: str
    after: int = 0
    before: int = _LAST
    limit: int | None = None
    event_type: str | None = None
    from_end: bool = False

    def ending_at(self, before: int) -> "Window":
        """The same, up to ``before``; a limit means the last of them."""
        return msgspec.structs.replace(self, before=before, from_end=True)


class Bounds(msgspec.Struct, frozen=True):
    """The first and the last event of a window, inclusive; and whether the window left any out."""

    first: int
    last: int
    more: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing between the two."""
        return self.last < self.first

    def behind(self, taken: Sequence[Shown]) -> "Bounds":
        """What is left when the first of it were ``taken``."""
        return msgspec.structs.replace(self, first=(taken[-1].sequence if is_full(taken) else self.last) + 1)


_EVENTS = """
SELECT e.seq, e.session_id, coalesce(e.session_name, s.session_name, e.session_id), e.body
FROM events AS e LEFT JOIN sessions AS s ON s.session_id = e.session_id
"""


def bounds(db: Database, window: Window) -> Bounds:
    """Where a window begins and ends. Read from the index alone, whatever the events hold."""
    if window.limit is None:
        sql = "SELECT max(seq) FROM events WHERE session_id = ? AND seq > ? AND seq < ?"
        (last,) = db.conn.execute(sql, (window.session_id, window.after, window.before)).fetchone()
        return Bounds(window.after + 1, last or 0, more=False)
    only, values = _of_type(window)
    order = "DESC" if window.from_end else "ASC"
    sql = (
        f"SELECT seq FROM events AS e WHERE session_id = ? AND seq > ? AND seq < ? {only} ORDER BY seq {order} LIMIT ?"  # noqa: S608
    )
    found = [row[0] for row in db.conn.execute(sql, (*values, window.limit + 1))]
    more = len(found) > window.limit
    found = found[: window.limit]
    return Bounds(min(found, default=1), max(found, default=0), more)


def piece(db: Database, window: Window, place: Bounds) -> list[Shown]:
    """The first events of ``place``, oldest first: as many as make a piece to be sent, and at least one if there is any."""
    only, values = _of_type(msgspec.structs.replace(window, after=place.first - 1, before=place.last + 1))
    sql = f"{_EVENTS} WHERE e.session_id = ? AND e.seq > ? AND e.seq < ? {only} ORDER BY e.seq LIMIT {PIECE_ROWS}"
    return _until_full(db, sql, values)


def is_full(taken: Sequence[Shown]) -> bool:
    """Whether a piece ended because it was large enough, so that more may follow."""
    return len(taken) >= PIECE_ROWS or sum(len(one.body) for one in taken) >= PIECE_BYTES


def _of_type(window: Window) -> tuple[str, list[Any]]:
    values: list[Any] = [window.session_id, window.after, window.before]
    if window.event_type is None:
        return "", values
    return "AND e.event_type = ?", [*values, window.event_type]


def _until_full(db: Database, sql: str, values: list[Any]) -> list[Shown]:
    taken: list[Shown] = []
    size = 0
    for row in db.conn.execute(sql, values):
        taken.append(Shown(*row))
        size += len(row[-1])
        if size >= PIECE_BYTES:
            break
    return taken


def events_between(db: Database, first: int, last: int) -> list[Shown]:
    """What happened in all sessions, from ``first`` to ``last`` inclusive."""
    return [
        Shown(*row) for row in db.conn.execute(f"{_EVENTS} WHERE e.seq BETWEEN ? AND ? ORDER BY e.seq", (first, last))
    ]


def few_events_between(
    db: Database, first: int, last: int, *, session_id: str | None, most: int, most_bytes: int
) -> list[Shown] | None:
    """The same, of all sessions or of one; None when it is more than that."""
    only = "" if session_id is None else "AND e.session_id = ?"
    values = [first, last, *([] if session_id is None else [session_id])]
    found: list[Shown] = []
    size = 0
    for row in db.conn.execute(f"{_EVENTS} WHERE e.seq BETWEEN ? AND ? {only} ORDER BY e.seq", values):
        found.append(Shown(*row))
        size += len(row[-1])
        if len(found) > most or size > most_bytes:
            return None
    return found


def count_events(db: Database, session_id: str) -> int:
    """How many events a session shows."""
    return int(db.conn.execute("SELECT count(*) FROM events WHERE session_id = ?", (session_id,)).fetchone()[0])


def last_answer(db: Database, session_id: str) -> str | None:
    """The text of the last message of the assistant that has any."""
    sql = "SELECT body FROM events WHERE session_id = ? AND event_type = 'message' AND role = 'assistant' ORDER BY seq DESC"
    for (body,) in db.conn.execute(sql, (session_id,)):
        blocks = msgspec.json.decode(body)["content"]
        texts = [
            block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)
        ]
        if texts:
            return "\n".join(texts)
    return None
