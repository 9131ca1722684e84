"""Hosts, devices, flash jobs, and the documents that are flashed."""

from typing import Any

from sqlite_utils import Database

from benchwire.observability.queries.rows import Row, marks, rows

ACTIVE_JOBS = ("queued", "flashing", "paused", "cancelling")


def devices(db: Database) -> list[Row]:
    """Devices that are attached, with what is being done on them."""
    sql = f"""
        SELECT d.*, h.up, (SELECT j.job_id FROM flash_jobs AS j WHERE j.host = d.host AND j.device = d.device
            AND j.status IN ({marks(ACTIVE_JOBS)}) ORDER BY j.status = 'queued', j.seq LIMIT 1) AS job_id
        FROM devices AS d LEFT JOIN hosts AS h ON h.host = d.host WHERE d.attached ORDER BY d.host, d.device
    """  # noqa: S608
    return rows(db, sql, ACTIVE_JOBS)


def hosts(db: Database) -> list[Row]:
    """All hosts that ever had a flash agent."""
    return rows(db, "SELECT * FROM hosts ORDER BY host")


def leases_of(db: Database, task_id: str) -> list[Row]:
    """Devices that nodes of a task have leased; a lease that has expired is one, too."""
    mark = f"{task_id}/"
    return rows(db, "SELECT * FROM devices WHERE substr(holder, 1, ?) = ?", (len(mark), mark))


def devices_named(db: Database, device: str, host: str | None) -> list[Row]:
    """Attached devices of that name."""
    return [row for row in devices(db) if row["device"] == device and (host is None or row["host"] == host)]


def document(db: Database, document_id: str) -> Row | None:
    """The document of that id."""
    found = rows(db, "SELECT * FROM documents WHERE document_id = ?", (document_id,))
    return found[0] if found else None


def jobs(
    db: Database,
    *,
    status: str | None = None,
    host: str | None = None,
    device: str | None = None,
    task_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """Flash jobs, newest first."""
    given = {"status": status, "host": host, "device": device, "task_id": task_id}
    where = ["1", *(f"{column} = ?" for column, value in given.items() if value is not None)]
    values: list[Any] = [value for value in given.values() if value is not None]
    if before is not None:
        where.append("seq < ?")
        values.append(before)
    sql = f"SELECT * FROM flash_jobs WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - our own column names
    return rows(db, sql, [*values, limit])


def job(db: Database, job_id: str) -> Row | None:
    """The flash job of that id."""
    found = rows(db, "SELECT * FROM flash_jobs WHERE job_id = ?", (job_id,))
    return found[0] if found else None


def active_jobs(db: Database) -> list[Row]:
    """Flash jobs that have not ended, oldest first."""
    sql = f"SELECT * FROM flash_jobs WHERE status IN ({marks(ACTIVE_JOBS)}) ORDER BY seq"  # noqa: S608
    return rows(db, sql, ACTIVE_JOBS)
