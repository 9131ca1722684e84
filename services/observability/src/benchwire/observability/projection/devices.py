"""Hosts, and the boards that are plugged into them."""

import sqlite3
from typing import get_args

import msgspec

from benchwire.events.device import (
    DeviceAttached,
    DeviceDetached,
    DeviceEvent,
    DeviceHandled,
    DeviceIdentified,
    DeviceLeased,
    DeviceReleased,
)
from benchwire.events.event import Event
from benchwire.events.host import HostEvent, HostStarted, HostStopped
from benchwire.events.log import Recorded
from benchwire.observability.session import iso

EVENTS: tuple[type[Event], ...] = (*get_args(DeviceEvent), *get_args(HostEvent))

TABLES = """
CREATE TABLE IF NOT EXISTS hosts (
    host TEXT PRIMARY KEY, version TEXT NOT NULL, drivers TEXT NOT NULL, up INTEGER NOT NULL, since TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS devices (
    host TEXT NOT NULL, device TEXT NOT NULL, attached INTEGER NOT NULL, since TEXT NOT NULL, profile TEXT, driver TEXT, port TEXT,
    probe TEXT, chip TEXT, serial_number TEXT, vid TEXT, pid TEXT, virtual INTEGER NOT NULL, labels TEXT NOT NULL,
    flash_bytes INTEGER, problem TEXT, identified_at TEXT, handled TEXT, handled_by TEXT, handled_at TEXT,
    lease_id TEXT, holder TEXT, lease_expires_at TEXT, PRIMARY KEY (host, device)
) WITHOUT ROWID;
"""

_ATTACH = """
INSERT INTO devices (host, device, attached, since, profile, driver, port, probe, chip, serial_number, vid, pid, virtual, labels)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (host, device) DO UPDATE SET attached = 1, since = excluded.since, profile = excluded.profile, driver = excluded.driver,
    port = excluded.port, probe = excluded.probe, chip = excluded.chip, serial_number = excluded.serial_number, vid = excluded.vid,
    pid = excluded.pid, virtual = excluded.virtual, labels = excluded.labels, flash_bytes = NULL, problem = NULL, identified_at = NULL
"""
# What the chip says goes before what was guessed, but a kind of board that it does not fit to.
_IDENTIFY = """
UPDATE devices SET chip = coalesce(?, chip), profile = CASE WHEN ? IS NULL THEN coalesce(?, profile) ELSE profile END,
    serial_number = coalesce(?, serial_number), flash_bytes = coalesce(?, flash_bytes), problem = ?, identified_at = ?
WHERE host = ? AND device = ?
"""
_HANDLE = "UPDATE devices SET handled = ?, handled_by = ?, handled_at = ? WHERE host = ? AND device = ?"
_LEASE = "UPDATE devices SET lease_id = ?, holder = ?, lease_expires_at = ? WHERE host = ? AND device = ?"
_RELEASE = "UPDATE devices SET lease_id = NULL, holder = NULL, lease_expires_at = NULL WHERE host = ? AND device = ? AND lease_id = ?"


def apply(db: sqlite3.Connection, one: Recorded) -> None:
    """One event of a host or device to rows."""
    match one.event:
        case HostStarted() as up:
            drivers = msgspec.json.encode(up.drivers).decode()
            row = (up.host, up.version, drivers, 1, iso(up.timestamp))
            db.execute("INSERT OR REPLACE INTO hosts VALUES (?, ?, ?, ?, ?)", row)
        case HostStopped() as down:
            db.execute("UPDATE hosts SET up = 0, since = ? WHERE host = ?", (iso(down.timestamp), down.host))
        case DeviceAttached() as seen:
            _attach(db, seen)
        case DeviceDetached() as gone:
            at = iso(gone.timestamp)
            db.execute(
                "UPDATE devices SET attached = 0, since = ? WHERE host = ? AND device = ?", (at, gone.host, gone.device)
            )
        case DeviceIdentified() as said:
            what = (said.chip, said.problem, said.profile, said.serial_number, said.flash_bytes, said.problem)
            db.execute(_IDENTIFY, (*what, iso(said.timestamp), said.host, said.device))
        case DeviceHandled() as touched:
            how = (touched.do, touched.by, iso(touched.timestamp))
            db.execute(_HANDLE, (*how, touched.host, touched.device))
        case DeviceLeased() as lease:
            until = iso(lease.expires_at)
            db.execute(_LEASE, (lease.lease_id, lease.holder, until, lease.host, lease.device))
        case DeviceReleased() as free:
            db.execute(_RELEASE, (free.host, free.device, free.lease_id))


def _attach(db: sqlite3.Connection, seen: DeviceAttached) -> None:
    labels = msgspec.json.encode(seen.labels).decode()
    what = (seen.profile, seen.driver, seen.port, seen.probe, seen.chip, seen.serial_number, seen.vid, seen.pid)
    db.execute(_ATTACH, (seen.host, seen.device, iso(seen.timestamp), *what, int(seen.virtual), labels))
