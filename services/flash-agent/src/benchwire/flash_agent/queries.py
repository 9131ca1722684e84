"""What can be read from this host's rows."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.events.device import DeviceAttached, DeviceIdentified
from benchwire.events.lease import LeaseRequested
from benchwire.flash_agent.lease import Board, Held, Standing, Wanted


def attached(db: Database) -> dict[str, DeviceAttached]:
    """The devices that the log holds attached, by name."""
    rows = db.conn.execute("SELECT fact FROM devices WHERE attached = 1 ORDER BY device")
    facts = [msgspec.json.decode(row[0], type=DeviceAttached) for row in rows]
    return {fact.device: fact for fact in facts}


def identified(db: Database) -> dict[str, DeviceIdentified]:
    """What the chips of attached devices said since they were plugged in, by the device's name."""
    rows = db.conn.execute("SELECT identified FROM devices WHERE attached = 1 AND identified IS NOT NULL")
    facts = [msgspec.json.decode(row[0], type=DeviceIdentified) for row in rows]
    return {fact.device: fact for fact in facts}


def comes_again(db: Database, job_id: str, *, returning: bool) -> bool:
    """Whether the job is open, and so is one of its device that goes before it because it had begun or was asked for earlier.

    While what a killed agent had is ``returning``, one of higher priority that was asked for later goes before it too.
    """
    row = db.conn.execute(
        "SELECT EXISTS (SELECT 1 FROM jobs mine JOIN jobs other ON other.device = mine.device AND other.open"
        " WHERE mine.job_id = ? AND mine.open AND (other.begun > mine.begun OR"
        " (other.begun = mine.begun AND other.sequence < mine.sequence AND other.priority >= mine.priority) OR"
        " (other.begun = mine.begun AND other.priority > mine.priority AND ?)))",
        (job_id, returning),
    ).fetchone()
    return bool(row[0])


def standing(db: Database, host: str) -> Standing:
    """The boards of this host, and who waits for boards; everything that leases are decided on."""
    return Standing(
        host=host,
        boards=[_board(row) for row in db.conn.execute(_BOARDS)],
        waiting=_wanted(db.conn.execute(_WAITING)),
        offered=_wanted(db.conn.execute(_OFFERED, (host,))),
    )


def held(db: Database, device: str) -> Held | None:
    """The lease of a board, which may have run out a moment ago; None when it has none."""
    row = db.conn.execute("SELECT lease_id, holder, expires_at FROM devices WHERE device = ?", (device,)).fetchone()
    return None if row is None else _held(*row)


_WAITING = "SELECT request, until, device FROM leases WHERE state = 'waiting' ORDER BY sequence"
_OFFERED = "SELECT request, until, device FROM leases WHERE state = 'offered' AND host = ? ORDER BY sequence"
_BOARDS = """
SELECT d.device, d.attached, d.profile, d.fact, d.flash_state, d.used, d.lease_id, d.holder, d.expires_at,
    EXISTS (SELECT 1 FROM jobs j WHERE j.open AND j.device = d.device),
    (SELECT l.reason FROM leases l WHERE l.lease_id = d.lease_id AND l.state = 'withdrawn')
FROM devices d ORDER BY d.device
"""


def _board(row: tuple[Any, ...]) -> Board:
    device, attached, profile, fact, flash_state, used, lease_id, holder, expires_at, busy, withdrawn = row
    return Board(
        device=device,
        attached=bool(attached),
        profile=profile,
        labels=msgspec.json.decode(fact, type=DeviceAttached).labels,
        held=_held(lease_id, holder, expires_at, withdrawn),
        busy=bool(busy),
        doubtful=flash_state in ("partial", "complete_unverified"),
        used=used,
    )


def _held(lease_id: str | None, holder: str, expires_at: str, withdrawn: str | None = None) -> Held | None:
    if lease_id is None:
        return None
    return Held(lease_id=lease_id, holder=holder, expires_at=datetime.fromisoformat(expires_at), withdrawn=withdrawn)


def _wanted(rows: Iterable[tuple[bytes, str, str | None]]) -> list[Wanted]:
    return [
        Wanted(
            asked=msgspec.json.decode(request, type=LeaseRequested), until=datetime.fromisoformat(until), device=device
        )
        for request, until, device in rows
    ]
