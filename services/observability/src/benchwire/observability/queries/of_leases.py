"""Leases: who waits, who holds, whose time is over."""

from datetime import datetime
from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.events.device import DeviceLeased
from benchwire.observability import session, task
from benchwire.observability.lease import Wish, places
from benchwire.observability.queries.of_boards import board, devices
from benchwire.observability.queries.rows import Row, marks, rows

WAITING = "waiting"
HELD = "held"
ENDED = "ended"
_RUNNING = (session.Status.RUNNING, session.Status.STOPPING, task.Status.IN_PROGRESS, task.Status.CANCELLING)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease as it is at some time; ``place`` is that in the queue, while it waits."""

    row: Row
    state: str
    reason: str | None
    place: int | None = None


def leases(
    db: Database,
    now: str,
    *,
    lease_id: str | None = None,
    state: str | None = None,
    holder: str | None = None,
    device: str | None = None,
    limit: int = 1000,
) -> list[Lease]:
    """Leases, newest first, as they are at ``now``: one whose time is over has ended, whether or not its host has said so."""
    told = f"""
        SELECT *, CASE WHEN state = '{HELD}' AND expires_at <= ?1 OR state = '{WAITING}' AND wait_until <= ?1 THEN '{ENDED}' ELSE state END AS now
        FROM leases
    """  # noqa: S608 - our own words
    given = {"lease_id": lease_id, "now": state, "holder": holder}
    named = {column: value for column, value in given.items() if value is not None}
    where = ["1", *(f"{column} = ?" for column in named)]
    values: list[Any] = [now, *named.values()]
    if device is not None:
        where.append("coalesce(device, wanted_device) = ?")
        values.append(device)
    if state in (WAITING, HELD):
        where.append(f"state <> '{ENDED}'")  # the index has these
    sql = f"SELECT * FROM ({told}) WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
    found = rows(db, sql, [*values, limit])
    queue = _queue(db, now) if any(row["now"] == WAITING for row in found) else {}
    return [_lease(row, queue) for row in found]


def lease(db: Database, lease_id: str, now: str) -> Lease | None:
    """The lease of that id."""
    found = leases(db, now, lease_id=lease_id, limit=1)
    return found[0] if found else None


def _lease(row: Row, queue: dict[str, int]) -> Lease:
    state, reason = row["now"], row["reason"]
    if state == ENDED and reason is None:
        over = {HELD: "expired", WAITING: "no board came free in time"}
        reason = over.get(row["state"])
    place = queue.get(row["lease_id"], 1) if state == WAITING else None  # one that is being handed over is next
    return Lease(row=row, state=state, reason=reason, place=place)


def _queue(db: Database, now: str) -> dict[str, int]:
    sql = f"SELECT * FROM leases WHERE state = '{WAITING}' AND host IS NULL AND wait_until > ? ORDER BY seq"  # noqa: S608
    waiting = [(row["lease_id"], wish(row)) for row in rows(db, sql, (now,))]
    return places(waiting, [board(row) for row in devices(db)])


def wish(row: Row) -> Wish:
    """What was asked for."""
    labels: dict[str, str] = msgspec.json.decode(row["labels"])
    return Wish(host=row["wanted_host"], device=row["wanted_device"], profile=row["profile"], labels=labels)


def held_lease(db: Database, *, host: str, device: str) -> DeviceLeased | None:
    """The newest lease of a board that was not given back; it may have run out."""
    sql = (
        "SELECT lease_id, holder, lease_expires_at FROM devices WHERE host = ? AND device = ? AND lease_id IS NOT NULL"
    )
    found = db.conn.execute(sql, (host, device)).fetchone()
    if found is None:
        return None
    until = datetime.fromisoformat(found[2])
    return DeviceLeased(timestamp=until, host=host, device=device, lease_id=found[0], holder=found[1], expires_at=until)


def open_leases_of(db: Database, owner: str) -> list[Row]:
    """What a session or task holds or waits for; a lease that has run out is one, too."""
    return rows(db, f"SELECT * FROM leases WHERE owner = ? AND state <> '{ENDED}' ORDER BY seq", (owner,))  # noqa: S608


def leases_left(db: Database) -> list[Row]:
    """What sessions and tasks that have ended still hold or wait for, from before their end."""
    sql = f"""
        SELECT l.* FROM leases AS l JOIN tasks AS t ON t.task_id = l.owner
        WHERE l.state <> '{ENDED}' AND t.status NOT IN ({marks(_RUNNING)}) AND l.requested_at <= t.modified_at
        UNION ALL
        SELECT l.* FROM leases AS l JOIN sessions AS s ON s.session_id = l.owner
        WHERE l.state <> '{ENDED}' AND s.status NOT IN ({marks(_RUNNING)}) AND l.seq < s.changed_seq
    """  # noqa: S608
    return rows(db, sql, (*_RUNNING, *_RUNNING))
