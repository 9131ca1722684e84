"""Questions to this runner's projection."""

from typing import Literal

import msgspec
from sqlite_utils import Database


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """An attached device, whatever is known of it, and who has it, under which lease."""

    host: str
    device: str
    profile: str | None
    labels: dict[str, str]
    virtual: bool
    jobs: int
    holder: str | None
    lease_id: str | None


class Lease(msgspec.Struct, frozen=True):
    """A lease: on which board, once it is held."""

    lease_id: str
    state: Literal["waiting", "held", "ended"]
    host: str
    device: str


class Job(msgspec.Struct, frozen=True):
    """A flash job: where it stands, and why it ended, if it did without success."""

    job_id: str
    host: str
    device: str
    state: Literal["requested", "started", "completed", "failed", "cancelled"]
    error: str | None


class Said(msgspec.Struct, frozen=True):
    """A person's guidance, with its place in the log."""

    sequence: int
    guidance: str


class Open(msgspec.Struct, frozen=True):
    """A piece of work that is not over."""

    kind: str
    name: str
    attempt: int


_JOBS = "(SELECT count(*) FROM flash_jobs j WHERE j.host = d.host AND j.device = d.device AND j.state IN ('requested', 'started')) AS jobs"


def devices(db: Database) -> list[Device]:
    """All attached devices, by host and name."""
    rows = db.conn.execute(
        f"SELECT host, device, profile, labels, virtual, {_JOBS}, holder, lease_id FROM devices d WHERE attached ORDER BY host, device"  # noqa: S608
    )
    return [
        Device(
            host=row[0], device=row[1], profile=row[2], labels=msgspec.json.decode(row[3]), virtual=bool(row[4]), jobs=row[5],
            holder=row[6], lease_id=row[7],
        )
        for row in rows
    ]  # fmt: skip


def lease(db: Database, lease_id: str) -> Lease | None:
    """One lease; None when it is not known."""
    row = db.conn.execute("SELECT lease_id, state, host, device FROM leases WHERE lease_id = ?", (lease_id,)).fetchone()
    return Lease(*row) if row else None


def leases(db: Database, holder: str) -> list[Lease]:
    """The leases of ``holder`` that are not over, the newest first."""
    rows = db.conn.execute(
        "SELECT lease_id, state, host, device FROM leases WHERE holder = ? AND state != 'ended' ORDER BY sequence DESC",
        (holder,),
    )
    return [Lease(*row) for row in rows]


def job(db: Database, job_id: str) -> Job | None:
    """One flash job; None when it is not known."""
    row = db.conn.execute(
        "SELECT job_id, host, device, state, error FROM flash_jobs WHERE job_id = ?", (job_id,)
    ).fetchone()
    return Job(*row) if row else None


def guidance(db: Database, task_id: str, node_id: str, after: int) -> list[Said]:
    """What people said about a node, or about all nodes of its task, since ``after``."""
    rows = db.conn.execute(
        "SELECT sequence, guidance FROM guidance WHERE task_id = ? AND (node_id IS NULL OR node_id = ?) AND sequence > ? ORDER BY sequence",
        (task_id, node_id, after),
    )
    return [Said(*row) for row in rows]


def is_over(db: Database, session_id: str) -> bool:
    """Whether a session that was asked for has ended; not while it is unknown."""
    row = db.conn.execute("SELECT open FROM work WHERE kind = 'session' AND id = ?", (session_id,)).fetchone()
    return row is not None and not row[0]


def unfinished(db: Database, runner: str) -> list[Open]:
    """What this runner had claimed and not brought to an end."""
    rows = db.conn.execute("SELECT kind, id, attempt FROM work WHERE open AND runner = ? ORDER BY kind, id", (runner,))
    return [Open(*row) for row in rows]
