"""The words of what was said in sessions, in a file of their own: writing them takes longer than all other rows, and nobody waits for it."""

import sqlite3
from collections.abc import Sequence
from itertools import groupby

from sqlite_utils import Database

from benchwire.events import codec
from benchwire.events.catalog import aggregate_of, filter_of
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.events.session import SessionDeleted
from benchwire.observability.search.texts import text_of
from benchwire.observability.session import iso

# The words point to the texts instead of keeping them again. Ids and types are words too, so that a search in one session is as quick as
# one in all.
_TABLES = """
CREATE TABLE texts (
    seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL, event_type TEXT NOT NULL, at TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX texts_by_session ON texts (session_id);
CREATE VIRTUAL TABLE words USING fts5(
    text, session_id, event_type, content = 'texts', content_rowid = 'seq', columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
);
"""
_Text = tuple[int, str, str, str, str]  # a row of texts
_INDEX = """
INSERT INTO words (rowid, text, session_id, event_type)
SELECT seq, text, session_id, event_type FROM texts WHERE seq BETWEEN ? AND ?
"""
_FORGET = """
INSERT INTO words (words, rowid, text, session_id, event_type)
SELECT 'delete', seq, text, session_id, event_type FROM texts WHERE session_id = ?
"""


def apply(db: Database, one: Recorded) -> None:
    """The text of one event to rows; the end of a session takes its texts along."""
    apply_all(db, [one])


def apply_all(db: Database, events: Sequence[Recorded]) -> None:
    """The same with many, in the order of the log."""
    for is_end, some in groupby(events, lambda one: isinstance(one.event, SessionDeleted)):
        if is_end:
            for one in some:
                _forget(db.conn, one.event.session_id)  # type: ignore[attr-defined]
        else:
            _keep(db.conn, [_text(one, text) for one in some if (text := text_of(one.event))])


def _text(one: Recorded, text: str) -> _Text:
    session_id: str = one.event.session_id  # type: ignore[attr-defined]
    return one.sequence, session_id, codec.tag_of(one.event), iso(one.event.timestamp), text


def _keep(db: sqlite3.Connection, texts: Sequence[_Text]) -> None:
    if texts:
        db.executemany("INSERT INTO texts VALUES (?, ?, ?, ?, ?)", texts)
        db.execute(_INDEX, (texts[0][0], texts[-1][0]))


def _forget(db: sqlite3.Connection, session_id: str) -> None:
    db.execute(_FORGET, (session_id,))
    db.execute("DELETE FROM texts WHERE session_id = ?", (session_id,))


# One filter over all of a session: a server looks for messages on several of them much longer than for those that are left out here.
SCHEMA = Schema(
    name="observability-search", filters=[aggregate_of(SessionDeleted)], forgets=filter_of(SessionDeleted),
    tables=_TABLES, apply=apply, apply_all=apply_all, version=2,
)  # fmt: skip
