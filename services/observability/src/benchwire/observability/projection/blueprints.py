"""Blueprints: what agents are started from."""

import sqlite3
from typing import Any

import msgspec

from benchwire.events.event import Event
from benchwire.events.log import Recorded
from benchwire.observability import blueprint
from benchwire.observability.blueprint import Blueprint, evolve

EVENTS: tuple[type[Event], ...] = blueprint.ALL

TABLES = """
CREATE TABLE IF NOT EXISTS blueprints (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""

_of_body = msgspec.json.Decoder(Blueprint)


def of_row(row: tuple[Any, ...]) -> Blueprint:
    """A blueprint from its column ``body``."""
    return _of_body.decode(row[0])


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One event of a blueprint to rows."""
    name: str = one.event.name  # type: ignore[attr-defined]
    row = db.execute("SELECT body FROM blueprints WHERE name = ?", (name,)).fetchone()
    after = evolve(of_row(row) if row else None, one.event)
    if after is None:
        db.execute("DELETE FROM blueprints WHERE name = ?", (name,))
        return
    body = msgspec.json.encode(after).decode()
    db.execute("INSERT OR REPLACE INTO blueprints VALUES (?, ?)", (name, body))
