"""This host's rows: its devices and their leases, who waits for a board, its flash jobs."""

import msgspec
from sqlite_utils import Database

from benchwire.events import device, flash, lease
from benchwire.events.catalog import subject_of
from benchwire.events.log import Recorded
from benchwire.events.projection import Schema
from benchwire.flash_agent import job
from benchwire.flash_agent.lease import ends_at

TABLES = """
CREATE TABLE devices (
    device TEXT PRIMARY KEY, attached INTEGER NOT NULL, fact BLOB NOT NULL, profile TEXT, identified BLOB, flash_state TEXT,
    used INTEGER NOT NULL DEFAULT 0,
    lease_id TEXT, holder TEXT, expires_at TEXT
);
CREATE TABLE leases (
    lease_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, state TEXT NOT NULL, until TEXT NOT NULL, request BLOB NOT NULL,
    host TEXT, device TEXT, reason TEXT
);
CREATE INDEX leases_by_state ON leases (state, sequence);
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, device TEXT NOT NULL, priority INTEGER NOT NULL, open INTEGER NOT NULL,
    begun INTEGER NOT NULL, state BLOB NOT NULL
);
CREATE INDEX open_jobs ON jobs (device) WHERE open;
"""
VERSION = 3


def schema(name: str) -> Schema:
    """What the flash agent of the host ``name`` keeps."""
    filters = [f"bench.device.{name}.>", f"bench.flash.{name}.>", "bench.lease.>"]
    return Schema(name=f"flash-agent.{name}", filters=filters, tables=TABLES, apply=apply, version=VERSION)


def apply(db: Database, one: Recorded) -> None:
    """One event to rows. Raises ``IllegalToken``, and the event is put aside, when its names could not stand in another fact."""
    subject_of(one.event)
    match one.event:
        case device.DeviceAttached() | device.DeviceDetached() | device.DeviceIdentified() as event:
            _seen(db, event)
        case device.DeviceLeased() as event:
            _leased(db, one, event)
        case device.DeviceReleased() as event:
            _released(db, one.sequence, event)
        case lease.LeaseRequested() as event:
            until = ends_at(event.wait_until, event.timestamp, one.received_at)
            row = (event.lease_id, one.sequence, "waiting", until.isoformat(), msgspec.json.encode(event))
            sql = "INSERT OR IGNORE INTO leases (lease_id, sequence, state, until, request) VALUES (?, ?, ?, ?, ?)"
            db.conn.execute(sql, row)
        case lease.LeaseOffered() as event:
            sql = "UPDATE leases SET state = 'offered', host = ?, device = ? WHERE lease_id = ? AND state = 'waiting'"
            db.conn.execute(sql, (event.host, event.device, event.lease_id))
        case lease.LeaseWithdrawn() as event:
            sql = "UPDATE leases SET state = 'withdrawn', reason = ? WHERE lease_id = ? AND state IN ('waiting', 'offered', 'held')"
            db.conn.execute(sql, (event.reason, event.lease_id))
        case flash.FlashRequested() as event:
            _requested(db, one.sequence, event)
        case _:
            _moved(db, one)


def _seen(db: Database, event: device.DeviceAttached | device.DeviceDetached | device.DeviceIdentified) -> None:
    match event:
        case device.DeviceAttached():
            db.conn.execute(
                "INSERT INTO devices (device, attached, fact, profile) VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE"
                " SET attached = 1, fact = excluded.fact, profile = excluded.profile",
                (event.device, msgspec.json.encode(event), event.profile),
            )
        case device.DeviceDetached():
            db.conn.execute("UPDATE devices SET attached = 0, identified = NULL WHERE device = ?", (event.device,))
        case device.DeviceIdentified():
            db.conn.execute(
                "UPDATE devices SET identified = ?, profile = coalesce(profile, ?) WHERE device = ?",
                (msgspec.json.encode(event), event.profile, event.device),
            )


def _leased(db: Database, one: Recorded, event: device.DeviceLeased) -> None:
    """The first of a lease, or its renewal. A renewal that comes after somebody else got the board is of no effect."""
    until = ends_at(event.expires_at, event.timestamp, one.received_at)
    changed = db.conn.execute(
        "UPDATE devices SET lease_id = ?, holder = ?, expires_at = ? WHERE device = ? AND coalesce(lease_id, ?) = ?",
        (event.lease_id, event.holder, until.isoformat(), event.device, event.lease_id, event.lease_id),
    )
    if changed.rowcount:
        sql = "UPDATE leases SET state = 'held' WHERE lease_id = ? AND state IN ('waiting', 'offered', 'ended')"
        db.conn.execute(sql, (event.lease_id,))


def _released(db: Database, sequence: int, event: device.DeviceReleased) -> None:
    db.conn.execute(
        "UPDATE devices SET lease_id = NULL, holder = NULL, expires_at = NULL, used = ? WHERE device = ? AND lease_id = ?",
        (sequence, event.device, event.lease_id),
    )
    db.conn.execute("UPDATE leases SET state = 'ended' WHERE lease_id = ?", (event.lease_id,))


def _requested(db: Database, sequence: int, event: flash.FlashRequested) -> None:
    state, priority = job.evolve(job.NEW, event), job.bounded(event).priority
    row = (event.job_id, sequence, event.device, priority, 1, 0, msgspec.json.encode(state))
    db.conn.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _moved(db: Database, one: Recorded) -> None:
    job_id = getattr(one.event, "job_id", None)
    row = db.conn.execute("SELECT state FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    if row is None:
        return
    before = msgspec.json.decode(row[0], type=job.Job)
    after = job.evolve(before, one.event)
    if after == before:
        return
    db.conn.execute(
        "UPDATE jobs SET open = ?, begun = ?, state = ? WHERE job_id = ?",
        (not after.is_over, after.has_begun, msgspec.json.encode(after), job_id),
    )
    if after.is_over:
        # What a job left untouched is as the one before it had left it.
        left = None if after.flash_state == "untouched" else after.flash_state
        db.conn.execute(
            "UPDATE devices SET used = ?, flash_state = coalesce(?, flash_state) WHERE device = ?",
            (one.sequence, left, after.device),
        )
