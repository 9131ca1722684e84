"""The words of what was said in sessions, in a file of their own: writing them takes longer than all other rows, and nobody waits for it."""

import sqlite3

from sqlite_utils import Database

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
_FORGET = """
INSERT INTO words (words, rowid, text, session_id, event_type)
SELECT 'delete', seq, text, session_id, event_type FROM texts WHERE session_id = ?
"""


def apply(db: Database, one: Recorded) -> None:
    """The text of one event to rows; the end of a session takes its texts along."""
    if isinstance(one.event, SessionDeleted):
        _forget(db.conn, one.event.session_id)
    elif text := text_of(one.event):
        _keep(db.conn, one, text)


def _keep(db: sqlite3.Connection, one: Recorded, text: str) -> None:
    session_id: str = one.event.session_id  # type: ignore[attr-defined]
    tag = one.event.__struct_config__.tag
    db.execute(
        "INSERT INTO texts VALUES (?, ?, ?, ?, ?)", (one.sequence, session_id, tag, iso(one.event.timestamp), text)
    )
    sql = "INSERT INTO words (rowid, text, session_id, event_type) VALUES (?, ?, ?, ?)"
    db.execute(sql, (one.sequence, text, session_id, tag))


def _forget(db: sqlite3.Connection, session_id: str) -> None:
    db.execute(_FORGET, (session_id,))
    db.execute("DELETE FROM texts WHERE session_id = ?", (session_id,))


# One filter over all of a session: a server looks for messages on several of them much longer than for those that are left out here.
SCHEMA = Schema(
    name="observability-search", filters=[aggregate_of(SessionDeleted)], forgets=filter_of(SessionDeleted),
    tables=_TABLES, apply=apply, version=2,
)  # fmt: skip
