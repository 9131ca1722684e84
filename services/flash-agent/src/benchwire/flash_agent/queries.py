"""What can be read from this host's rows."""

import msgspec
from sqlite_utils import Database

from benchwire.events.device import DeviceAttached


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands; times are ISO 8601 in UTC."""

    job_id: str
    device: str
    status: str
    attempt: int
    digest: str
    size_bytes: int
    requested_at: str
    ended_at: str | None
    outcome: str | None


_JOB = "SELECT job_id, device, status, attempt, digest, size_bytes, requested_at, ended_at, outcome FROM jobs "


def attached(db: Database) -> dict[str, DeviceAttached]:
    """The devices that the log holds attached, by name."""
    rows = db.conn.execute("SELECT fact FROM devices WHERE attached = 1 ORDER BY device")
    facts = [msgspec.json.decode(row[0], type=DeviceAttached) for row in rows]
    return {fact.device: fact for fact in facts}


def queue(db: Database) -> list[JobRow]:
    """The jobs that are not over, oldest first."""
    return _jobs(db, "WHERE ended_at IS NULL ORDER BY sequence")


def has_to_wait(db: Database, job_id: str) -> bool:
    """Whether the job is open, and so is one that was asked for earlier on its device."""
    row = db.conn.execute(
        "SELECT EXISTS (SELECT 1 FROM jobs mine JOIN jobs other ON other.device = mine.device AND other.sequence < mine.sequence"
        " WHERE mine.job_id = ? AND mine.ended_at IS NULL AND other.ended_at IS NULL)",
        (job_id,),
    ).fetchone()
    return bool(row[0])


def history(db: Database, *, limit: int = 100) -> list[JobRow]:
    """The jobs that are over, newest first."""
    return _jobs(db, f"WHERE ended_at IS NOT NULL ORDER BY sequence DESC LIMIT {int(limit)}")


def _jobs(db: Database, rest: str) -> list[JobRow]:
    rows = db.conn.execute(_JOB + rest).fetchall()
    return [JobRow(**dict(zip(JobRow.__struct_fields__, row, strict=True))) for row in rows]
