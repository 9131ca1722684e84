"""Blueprints."""

from collections.abc import Iterable

from sqlite_utils import Database

from benchwire.observability.blueprint import Blueprint
from benchwire.observability.projection import blueprints as blueprint_rows


def blueprint(db: Database, name: str) -> Blueprint | None:
    """The blueprint of that name."""
    row = db.conn.execute("SELECT body FROM blueprints WHERE name = ?", (name,)).fetchone()
    return blueprint_rows.of_row(row) if row else None


def blueprints(db: Database, tags: Iterable[str] = ()) -> list[Blueprint]:
    """All blueprints that have all of ``tags``, by name."""
    wanted = set(tags)
    rows = db.conn.execute("SELECT body FROM blueprints ORDER BY name")
    return [one for one in map(blueprint_rows.of_row, rows) if wanted.issubset(one.tags)]
