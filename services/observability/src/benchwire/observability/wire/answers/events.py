"""Events, what came of sending them, what was found in them, and what they cost."""

import msgspec


class ShownEvent(msgspec.Struct, kw_only=True):
    """An event; ``id`` is its place in the log. Beside these stand the fields of its type."""

    id: int
    event_type: str
    session_id: str
    session_name: str
    timestamp: str


class Events(msgspec.Struct):
    """``next_after`` and ``next_before`` are there when there is a further page in that direction."""

    events: list[ShownEvent]
    next_after: int | msgspec.UnsetType = msgspec.UNSET
    next_before: int | msgspec.UnsetType = msgspec.UNSET


class WrongLine(msgspec.Struct):
    """A line that did not land, and why."""

    line: int
    detail: str


class Taken(msgspec.Struct):
    """One event is answered with ``ok`` alone; many with how many landed, and which did not."""

    ok: bool
    accepted: int | msgspec.UnsetType = msgspec.UNSET
    rejected: int | msgspec.UnsetType = msgspec.UNSET
    errors: list[WrongLine] | msgspec.UnsetType = msgspec.UNSET
    errors_left_out: int | msgspec.UnsetType = msgspec.UNSET


class ImportedSession(msgspec.Struct):
    """A session that came in; ``events`` is how many of its events landed this time."""

    session_id: str
    imported_from: str
    events: int


class Imported(msgspec.Struct):
    """What came of an import, line by line and session by session."""

    ok: bool
    accepted: int
    repeated: int
    left_out: int
    rejected: int
    errors: list[WrongLine]
    sessions: list[ImportedSession]


class Hit(msgspec.Struct, kw_only=True):
    """An event that was found; in ``snippet`` what was looked for stands between U+0002 and U+0003."""

    id: int
    session_id: str
    session_name: str
    event_type: str
    timestamp: str
    snippet: str


class Hits(msgspec.Struct):
    """What was found, newest first; ``next_cursor`` is null on the last page."""

    results: list[Hit]
    next_cursor: str | None


class Counts(msgspec.Struct, kw_only=True):
    """Calls of models, their tokens and what they cost; ``unpriced_calls`` are in no cost."""

    calls: int
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    cost_usd: float | None
    unpriced_calls: int


class UsageLine(Counts, kw_only=True):
    """The same by what was asked for: of these fields those are there."""

    session_id: str | msgspec.UnsetType | None = msgspec.UNSET
    session_name: str | msgspec.UnsetType | None = msgspec.UNSET
    task_id: str | msgspec.UnsetType | None = msgspec.UNSET
    model: str | msgspec.UnsetType | None = msgspec.UNSET
    day: str | msgspec.UnsetType | None = msgspec.UNSET


class Usage(msgspec.Struct, kw_only=True):
    """What was used, line by line and in all."""

    usage: list[UsageLine]
    total: Counts


class SessionUsage(Usage, kw_only=True):
    """What one session used."""

    session_id: str
