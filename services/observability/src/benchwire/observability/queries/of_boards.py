"""Hosts and devices, and the documents that are flashed."""

from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.observability.lease import Board
from benchwire.observability.queries.of_flash import ACTIVE_JOBS
from benchwire.observability.queries.rows import Row, rows

# With the words themselves: SQLite takes the index of open jobs only where the same list stands.
_OPEN = f"flash_jobs AS j WHERE j.device = d.device AND j.host = d.host AND j.status IN {ACTIVE_JOBS}"
_DEVICES = f"""
SELECT d.*, h.up, f.flash_state, (SELECT j.job_id FROM {_OPEN} ORDER BY j.status = 'queued', j.seq LIMIT 1) AS job_id,
    (SELECT count(*) FROM {_OPEN}) AS open_jobs
FROM devices AS d LEFT JOIN hosts AS h ON h.host = d.host LEFT JOIN board_flashes AS f ON f.host = d.host AND f.device = d.device
WHERE d.attached
"""  # noqa: S608 - our own words


def devices(
    db: Database,
    *,
    host: str | None = None,
    device: str | None = None,
    port: str | None = None,
    profile: str | None = None,
) -> list[Row]:
    """Devices that are attached, with what their flash holds and what is being done on them."""
    given = {"host": host, "device": device, "port": port, "profile": profile}
    named = {column: value for column, value in given.items() if value is not None}
    where = "".join(f" AND d.{column} = ?" for column in named)
    return rows(db, f"{_DEVICES}{where} ORDER BY d.host, d.device", list(named.values()))


def labels(row: Row) -> dict[str, str]:
    """The labels of a device."""
    found: dict[str, str] = msgspec.json.decode(row["labels"])
    return found


def board(row: Row) -> Board:
    """A device as far as somebody may ask for it."""
    return Board(host=row["host"], device=row["device"], profile=row["profile"], labels=labels(row))


def holder(row: Row, now: str) -> str | None:
    """Who has a device for itself at that time."""
    is_held = row["lease_id"] is not None and row["lease_expires_at"] > now
    return row["holder"] if is_held else None


def hosts(db: Database) -> list[Row]:
    """All hosts that ever had a flash agent."""
    return rows(db, "SELECT * FROM hosts ORDER BY host")


def is_host(db: Database, name: str) -> bool:
    """Whether there is, or was, a flash agent of that name."""
    found: Any = db.conn.execute(
        "SELECT 1 FROM hosts WHERE host = ? UNION ALL SELECT 1 FROM devices WHERE host = ? LIMIT 1", (name, name)
    )
    return found.fetchone() is not None


def document(db: Database, document_id: str) -> Row | None:
    """The document of that id."""
    found = rows(db, "SELECT * FROM documents WHERE document_id = ?", (document_id,))
    return found[0] if found else None
