"""Leases: requests that wait, boards that are held, and how each came to its end."""

import sqlite3

import msgspec

from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event
from benchwire.events.lease import LeaseOffered, LeaseRequested, LeaseWithdrawn
from benchwire.events.log import Recorded
from benchwire.observability.session import iso

EVENTS: tuple[type[Event], ...] = (LeaseRequested, LeaseOffered, LeaseWithdrawn, DeviceLeased, DeviceReleased)

# ``owner`` is the session or task that holds it, if one does: what stands before the first slash of ``holder``.
TABLES = """
CREATE TABLE IF NOT EXISTS leases (
    lease_id TEXT PRIMARY KEY, holder TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL, host TEXT, device TEXT, wanted_host TEXT,
    wanted_device TEXT, profile TEXT, labels TEXT NOT NULL, requested_at TEXT NOT NULL, wait_until TEXT, expires_at TEXT, ended_at TEXT,
    reason TEXT, seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS leases_by_age ON leases (seq);
CREATE INDEX IF NOT EXISTS leases_open ON leases (state, seq) WHERE state <> 'ended';
CREATE INDEX IF NOT EXISTS leases_by_holder ON leases (holder, seq);
CREATE INDEX IF NOT EXISTS leases_by_device ON leases (device, seq);
"""

_REQUEST = """
INSERT OR IGNORE INTO leases (lease_id, holder, owner, state, wanted_host, wanted_device, profile, labels, requested_at, wait_until, seq)
VALUES (?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?)
"""
_OFFER = "UPDATE leases SET host = ?, device = ? WHERE lease_id = ? AND state = 'waiting'"
_WITHDRAW = "UPDATE leases SET state = 'ended', ended_at = ?, reason = ? WHERE lease_id = ? AND state = 'waiting'"
_REPLACE = """
UPDATE leases SET state = 'ended', ended_at = ?, reason = 'somebody else has the board'
WHERE host = ? AND device = ? AND state = 'held' AND lease_id <> ?
"""
_HOLD = """
INSERT INTO leases (lease_id, holder, owner, state, host, device, labels, requested_at, expires_at, seq) VALUES (?, ?, ?, 'held', ?, ?, '{}', ?, ?, ?)
ON CONFLICT (lease_id) DO UPDATE SET state = 'held', host = excluded.host, device = excluded.device, expires_at = excluded.expires_at,
    ended_at = NULL, reason = NULL
"""
_RELEASE = "UPDATE leases SET state = 'ended', ended_at = ?, reason = ? WHERE lease_id = ? AND host = ? AND device = ? AND state = 'held'"


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One event of a lease, or of the board that it is of, to rows."""
    event, at = one.event, iso(one.event.timestamp)
    match event:
        case LeaseRequested():
            whose = (event.lease_id, event.holder, _owner(event.holder))
            what = (event.host, event.device, event.profile, msgspec.json.encode(event.labels).decode())
            db.execute(_REQUEST, (*whose, *what, at, iso(event.wait_until), one.sequence))
        case LeaseOffered():
            db.execute(_OFFER, (event.host, event.device, event.lease_id))
        case LeaseWithdrawn():
            db.execute(_WITHDRAW, (at, event.reason, event.lease_id))
        case DeviceLeased():
            db.execute(_REPLACE, (at, event.host, event.device, event.lease_id))
            whose = (event.lease_id, event.holder, _owner(event.holder))
            db.execute(_HOLD, (*whose, event.host, event.device, at, iso(event.expires_at), one.sequence))
        case DeviceReleased():
            db.execute(_RELEASE, (at, event.reason, event.lease_id, event.host, event.device))


def _owner(holder: str) -> str:
    return holder.partition("/")[0]
