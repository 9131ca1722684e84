"""Flash jobs: those that are open, those that have ended, and what can be learned from these."""

from typing import Any

import msgspec
from sqlite_utils import Database

from benchwire.observability.queries.rows import Row, marks, rows

ACTIVE_JOBS = ("queued", "flashing", "paused", "cancelling")
BY = {"board": "coalesce(profile, '')", "host": "host", "device": "host || '/' || device"}
_QUANTILES = (50, 90, 99)


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
    return _listed(db, given, order="seq", before=before, limit=limit)


def history(
    db: Database,
    *,
    status: str | None = None,
    host: str | None = None,
    device: str | None = None,
    profile: str | None = None,
    code: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """Flash jobs that have ended, the last to end first."""
    given = {"status": status, "host": host, "device": device, "profile": profile, "code": code}
    return _listed(db, given, order="ended_seq", before=before, limit=limit)


def _listed(db: Database, given: dict[str, str | None], *, order: str, before: int | None, limit: int) -> list[Row]:
    where = [f"{order} IS NOT NULL", *(f"{column} = ?" for column, value in given.items() if value is not None)]
    values: list[Any] = [value for value in given.values() if value is not None]
    if before is not None:
        where.append(f"{order} < ?")
        values.append(before)
    sql = f"SELECT * FROM flash_jobs WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT ?"  # noqa: S608 - our own column names
    return rows(db, sql, [*values, limit])


def job(db: Database, job_id: str) -> Row | None:
    """The flash job of that id."""
    found = rows(db, "SELECT * FROM flash_jobs WHERE job_id = ?", (job_id,))
    return found[0] if found else None


def active_jobs(db: Database) -> list[Row]:
    """Flash jobs that have not ended, oldest first."""
    sql = f"SELECT * FROM flash_jobs WHERE status IN ({marks(ACTIVE_JOBS)}) ORDER BY seq"  # noqa: S608
    return rows(db, sql, ACTIVE_JOBS)


def open_reports(db: Database) -> list[Row]:
    """Jobs of outside flashers that have not ended."""
    sql = f"SELECT * FROM flash_jobs WHERE status IN ({marks(ACTIVE_JOBS)}) AND outside ORDER BY seq"  # noqa: S608
    return rows(db, sql, ACTIVE_JOBS)


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of many jobs: how they ended, how long and how fast those went that completed, and why the others failed.

    ``key`` is None over all of them. Percentiles are by the number of the percentile, those of speed in bytes a second.
    """

    key: str | None
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    duration_s: dict[int, float] = {}
    speed_bytes_per_s: dict[int, float] = {}
    errors: dict[str, int] = {}

    @property
    def jobs(self) -> int:
        """How many ended."""
        return self.completed + self.failed + self.cancelled

    @property
    def success_rate(self) -> float | None:
        """The share of those that were not cancelled that completed."""
        tried = self.completed + self.failed
        return self.completed / tried if tried else None


def analytics(db: Database, *, by: str, since: str, until: str, limit: int) -> tuple[Learned, list[Learned]]:
    """What the jobs of the lab that ended from ``since`` until ``until`` (the newest ``limit`` of them) tell: all, and ``by`` a key of ``BY``.

    Jobs of outside flashers are not among them: nobody here saw them verified.
    """
    _gather(db, BY[by], (since, until, limit))
    try:
        keys = [row[0] for row in db.conn.execute("SELECT DISTINCT key FROM temp.gathered ORDER BY key")]
        found = _learned(db, "key")
        (total,) = _learned(db, "NULL").values() or (Learned(key=None),)
        return total, [found[key] for key in keys]
    finally:
        db.conn.execute("DELETE FROM temp.gathered")


def _gather(db: Database, key: str, values: tuple[str, str, int]) -> None:
    """A copy of the few columns that matter: each of the numbers then reads no more than that."""
    db.conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS gathered (key TEXT, status TEXT, code TEXT, duration_s REAL, speed REAL)"
    )
    sql = f"""
        INSERT INTO temp.gathered
        SELECT {key}, status, code, duration_s, CASE WHEN duration_s > 0 THEN total_bytes / duration_s END FROM flash_jobs
        WHERE ended_at >= ? AND ended_at < ? AND NOT outside ORDER BY ended_at DESC LIMIT ?
    """  # noqa: S608 - our own columns
    db.conn.execute(sql, values)


def _learned(db: Database, key: str) -> dict[str | None, Learned]:
    counts = f"""
        SELECT {key}, sum(status = 'completed'), sum(status = 'failed'), sum(status = 'cancelled') FROM temp.gathered GROUP BY 1
    """  # noqa: S608
    durations, speeds = _percentiles(db, key, "duration_s"), _percentiles(db, key, "speed")
    failures: dict[str | None, dict[str, int]] = {}
    sql = f"SELECT {key}, coalesce(code, ''), count(*) FROM temp.gathered WHERE status = 'failed' GROUP BY 1, 2 ORDER BY 3 DESC, 2"  # noqa: S608
    for one, code, count in db.conn.execute(sql):
        failures.setdefault(one, {})[code] = count
    return {
        one: Learned(
            key=one, completed=completed, failed=failed, cancelled=cancelled, duration_s=durations.get(one, {}),
            speed_bytes_per_s=speeds.get(one, {}), errors=failures.get(one, {}),
        )
        for one, completed, failed, cancelled in db.conn.execute(counts)
    }  # fmt: skip


def _percentiles(db: Database, key: str, column: str) -> dict[str | None, dict[int, float]]:
    """By nearest rank: the smallest value that at least so many percent of them do not exceed."""
    ranks = " OR ".join(f"place = (count * {percent} + 99) / 100" for percent in _QUANTILES)
    sql = f"""
        SELECT key, place, count, value FROM (
            SELECT {key} AS key, {column} AS value, row_number() OVER (PARTITION BY {key} ORDER BY {column}) AS place,
                count(*) OVER (PARTITION BY {key}) AS count
            FROM temp.gathered WHERE status = 'completed' AND {column} IS NOT NULL
        ) WHERE {ranks}
    """  # noqa: S608
    found: dict[str | None, dict[int, float]] = {}
    for one, place, count, value in db.conn.execute(sql):
        for percent in _QUANTILES:
            if place == (count * percent + 99) // 100:
                found.setdefault(one, {})[percent] = value
    return found
