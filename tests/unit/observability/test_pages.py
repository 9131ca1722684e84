import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from benchwire.events.session import MessageSent, SessionDescribed, SessionStarted, SessionStopped
from benchwire.observability import queries
from benchwire.observability.errors import BadCursor
from benchwire.observability.lines import Line, lines
from benchwire.observability.projection import SCHEMA
from benchwire.observability.projection import search as search_rows
from benchwire.observability.queries import Bounds, Window
from benchwire.observability.queries.of_events import PIECE_BYTES
from benchwire.observability.reading import cursor
from benchwire.observability.reading.listing import Listing
from benchwire.observability.search.wording import expression
from benchwire.observability.testing import put
from benchwire.observability.wire.sessions import Frame, Part
from benchwire.observability.wire.stream import Place, events, place_of

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def message(session_id: str, text: str = "x", at: datetime = AT) -> MessageSent:
    return MessageSent(timestamp=at, session_id=session_id, role="user", content=[{"type": "text", "text": text}])


@pytest.fixture
def words() -> Iterator[Database]:
    database = Database(memory=True)
    database.conn.executescript(search_rows.SCHEMA.tables)
    yield database
    database.close()


# Sessions


def test_pages_of_sessions_stay_in_place_while_new_ones_come(db: Database) -> None:
    put(db, *(SessionStarted(timestamp=AT + timedelta(seconds=n // 3), session_id=f"s{n}") for n in range(10)))
    seen: list[str] = []
    after: str | None = None
    while True:
        page = queries.sessions(db, limit=3, after=after)
        seen += [one.session_id for one in page.sessions]
        put(db, SessionStarted(timestamp=AT + timedelta(days=1), session_id=f"late{len(seen)}"))
        if (after := page.cursor) is None:
            break
    assert seen == [f"s{n}" for n in reversed(range(10))]


def test_a_page_that_is_just_full_has_no_next_one(db: Database) -> None:
    put(db, *(SessionStarted(timestamp=AT, session_id=f"s{n}") for n in range(4)))
    first = queries.sessions(db, limit=2)
    assert first.cursor is not None
    assert queries.sessions(db, limit=2, after=first.cursor).cursor is None


@given(st.one_of(st.text(), st.binary(max_size=40).map(lambda raw: raw.hex()), st.just(cursor.made(("x", "y")))))
def test_a_cursor_that_no_page_gave_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        cursor.read(text, tuple[str, int])


def test_the_listing_follows_every_change(db: Database) -> None:
    listing = Listing()

    def same() -> bool:
        return listing.json(db) == Listing().json(db)

    put(db, SessionStarted(timestamp=AT, session_id="a", session_name="A"), message("b"))
    assert same()
    put(db, message("a", at=AT + timedelta(seconds=1)))
    assert same()
    put(
        db,
        SessionDescribed(timestamp=AT, session_id="b", session_name="B"),
        SessionStopped(timestamp=AT, session_id="a"),
    )
    assert same()
    put(db, MessageSent(timestamp=AT, session_id="c", role="user", content=[]))
    assert same()
    put(db, MessageSent(timestamp=AT, session_id="c", role="user", content=[], session_name="told by a later hook"))
    assert same()
    assert "told by a later hook" in listing.json(db)


# Events


def all_of(db: Database, window: Window) -> list[int]:
    place, found = queries.bounds(db, window), []
    while not place.is_empty:
        shown = queries.piece(db, window, place)
        found += [one.sequence for one in shown]
        place = place.behind(shown)
    return found


@settings(max_examples=50)
@given(
    after=st.integers(0, 45),
    before=st.one_of(st.none(), st.integers(0, 45)),
    limit=st.one_of(st.none(), st.integers(1, 12)),
    only=st.sampled_from([None, "message", "session_start", "nothing"]),
)
def test_a_page_is_that_part_of_the_list(after: int, before: int | None, limit: int | None, only: str | None) -> None:
    database = Database(memory=True)
    database.conn.executescript(
        f"CREATE TABLE applied (stream, sequence); INSERT INTO applied VALUES ('BENCH', 0); {SCHEMA.tables}"
    )
    put(
        database,
        *(message("ab"[n % 2]) if n % 3 else SessionStarted(timestamp=AT, session_id="ab"[n % 2]) for n in range(40)),
    )
    of_type = ("message", "session_start") if only is None else (only,)
    expected = [
        n + 1 for n in range(40) if n % 2 == 0 and ("message" if n % 3 else "session_start") in of_type
        if n + 1 > after and (before is None or n + 1 < before)
    ]  # fmt: skip
    window = Window(session_id="a", after=after, limit=limit, event_type=only)
    if before is not None:
        window = window.ending_at(before)
    part = expected if limit is None else expected[:limit] if before is None else expected[-limit:]
    assert all_of(database, window) == part
    assert queries.bounds(database, window).more == (len(part) < len(expected))
    database.close()


def test_large_events_are_sent_one_by_one(db: Database) -> None:
    put(db, *(message("s", "x" * (PIECE_BYTES - 10)) for _ in range(3)))
    assert len(queries.piece(db, Window(session_id="s"), Bounds(1, 3, more=False))) == 1
    assert all_of(db, Window(session_id="s")) == [1, 2, 3]


# Plans


def plans(db: Database, words: Database) -> Iterator[tuple[str, str]]:
    """Every query of pages, filters and replays, and each step in which SQLite goes about it."""
    told: list[tuple[Database, str]] = []

    def listening(source: Database) -> Callable[[str], None]:
        return lambda sql: told.append((source, sql))

    for one in (db, words):
        one.conn.set_trace_callback(listening(one))
    whole = Window(session_id="s")
    for window in (
        whole,
        whole.ending_at(9),
        Window(session_id="s", limit=5),
        Window(session_id="s", limit=5, event_type="x"),
    ):
        queries.bounds(db, window)
        queries.piece(db, window, Bounds(1, 9, more=False))
    for narrowed in ({}, {"status": "running"}, {"agent_name": "a"}, {"parent_session_id": "p"}, {"q": "piece"}):
        queries.sessions(db, limit=5, **narrowed)
        queries.sessions(db, limit=5, after=cursor.made(("2026", 3)), **narrowed)
    queries.changed_since(db, 3)
    queries.deleted_since(db, 3)
    queries.events_between(db, 3, 9)
    queries.few_events_between(db, 3, 9, session_id="s", most=5, most_bytes=1000)
    queries.usage(db, ["session"], session_id="s")
    queries.usage(db, ["day"], since="2026-01-01")
    queries.hits(words, expression("x"), limit=5, session_id="s")
    for one in (db, words):
        one.conn.set_trace_callback(None)
    for source, sql in told:
        if not sql.startswith("--"):  # what FTS5 asks by itself
            for row in source.conn.execute(f"EXPLAIN QUERY PLAN {sql}"):
                yield sql, row[3]


def test_no_page_and_no_filter_reads_a_whole_table_or_sorts_one(db: Database, words: Database) -> None:
    steps = list(plans(db, words))
    assert len(steps) > 20
    assert [one for one in steps if one[1].startswith("SCAN") and "VIRTUAL TABLE INDEX" not in one[1]] == []
    assert [one for one in steps if "TEMP B-TREE" in one[1] and "LIMIT" in one[0]] == []


# Bulk


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def taken(body: bytes, size: int, longest: int) -> list[Line]:
    async def all_lines() -> list[Line]:
        return [line async for piece in lines(in_pieces(body, size), longest_bytes=longest) for line in piece]

    return asyncio.run(all_lines())


@given(st.lists(st.binary(max_size=12).filter(lambda one: b"\n" not in one), max_size=8), st.integers(1, 30))
def test_lines_are_the_same_however_a_body_is_cut(parts: list[bytes], size: int) -> None:
    expected = [
        Line(number, part if len(part) <= 8 else None)
        for number, part in enumerate(parts, 1)
        if len(part) > 8 or part.strip()
    ]
    assert taken(b"\n".join(parts), size, 8) == expected
    assert taken(b"\n".join(parts) + b"\n", size, 8) == expected


# Stream


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("17", Place(17)),
        ("17.1", Place(17, 1)),
        ("", None),
        ("x", None),
        ("-1", None),
        ("1.", None),
        ("1.22", None),
        ("1" * 19, None),
        ("٣", None),
    ],
)
def test_an_id_of_the_stream_is_read_as_it_was_written(text: str, place: Place | None) -> None:
    assert place_of(text) == place


def test_frames_of_one_place_have_ids_of_their_own_and_the_last_has_the_plain_one() -> None:
    frames = [
        Frame(1, Part.CREATED, "session_created", "{}"),
        Frame(1, Part.SAID, "event", "{}"),
        Frame(2, Part.SAID, "event", "{}"),
    ]
    assert [text.partition("\n")[0] for text in events(frames)] == ["id: 1.0", "id: 1", "id: 2"]
    assert "".join(events(frames[:1])) == "id: 1\nevent: session_created\ndata: {}\n\n"
