"""How much there is to do, and with what: for the metrics."""

import msgspec
from sqlite_utils import Database

from benchwire.observability import session, task
from benchwire.observability.queries.of_flash import ACTIVE_JOBS
from benchwire.observability.queries.rows import marks

WAITING = "waiting"
_SESSIONS = (session.Status.RUNNING, session.Status.STOPPING)
_TASKS = (task.Status.IN_PROGRESS, task.Status.CANCELLING)


class InHand(msgspec.Struct, frozen=True, kw_only=True):
    """What has not ended, by status, ``waiting`` for a runner included; boards that are attached and leased; hosts that are up."""

    sessions: dict[str, int]
    tasks: dict[str, int]
    flash_jobs: dict[str, int]
    boards: int
    leased: int
    hosts: int


def in_hand(db: Database, now: str) -> InHand:
    """What there is at ``now``, which is a time as leases have it."""
    boards, leased = _row(
        db, "SELECT count(*), coalesce(sum(lease_expires_at > ?), 0) FROM devices WHERE attached", (now,)
    )
    return InHand(
        sessions=_by_status(db, "sessions", f"CASE WHEN requested AND runner IS NULL THEN '{WAITING}' ELSE status END", _SESSIONS),
        tasks=_by_status(db, "tasks", f"CASE WHEN runner IS NULL THEN '{WAITING}' ELSE status END", _TASKS),
        flash_jobs=_by_status(db, "flash_jobs", "status", ACTIVE_JOBS),
        boards=boards,
        leased=leased,
        hosts=_row(db, "SELECT count(*) FROM hosts WHERE up")[0],
    )  # fmt: skip


def _by_status(db: Database, table: str, status: str, wanted: tuple[str, ...]) -> dict[str, int]:
    sql = f"SELECT {status}, count(*) FROM {table} WHERE status IN ({marks(wanted)}) GROUP BY 1"  # noqa: S608
    # One that is at 0 is told too: an alarm on a number that vanishes never comes to rest.
    return {**dict.fromkeys(map(str, wanted), 0), **dict(db.conn.execute(sql, tuple(map(str, wanted))).fetchall())}


def _row(db: Database, sql: str, values: tuple[str, ...] = ()) -> tuple[int, ...]:
    found: tuple[int, ...] = db.conn.execute(sql, values).fetchone()
    return found
