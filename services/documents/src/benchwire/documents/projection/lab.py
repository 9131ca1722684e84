"""What the lab made of bytes: sources that were generated, images that were built of them, boards that were flashed with those.

Tasks and flash jobs stay in the lab's history, and the bytes they had stay with them.
"""

from datetime import datetime
from hashlib import sha256

from sqlite_utils import Database

from benchwire.events.event import Artifact, Event
from benchwire.events.flash import FlashCancelled, FlashCompleted, FlashFailed, FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.task import NodeGenerated, NodeImageStored

EVENTS: tuple[type[Event], ...] = (
    NodeGenerated, NodeImageStored, FlashRequested, FlashCompleted, FlashFailed, FlashCancelled,
)  # fmt: skip

TABLES = """
CREATE TABLE IF NOT EXISTS sources (
    digest TEXT NOT NULL, sequence INTEGER NOT NULL, filename TEXT NOT NULL,
    task_id TEXT NOT NULL, node_id TEXT NOT NULL, iteration INTEGER NOT NULL,
    PRIMARY KEY (digest, sequence, filename)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sources_of_a_task ON sources (task_id, node_id, iteration);
CREATE TABLE IF NOT EXISTS images (
    digest TEXT NOT NULL, sequence INTEGER NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL,
    task_id TEXT NOT NULL, node_id TEXT NOT NULL, iteration INTEGER NOT NULL,
    PRIMARY KEY (digest, sequence, role)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_of_a_task ON images (task_id, node_id, iteration);
CREATE TABLE IF NOT EXISTS flashes (
    sequence INTEGER PRIMARY KEY, job_id TEXT NOT NULL UNIQUE, host TEXT NOT NULL, device TEXT NOT NULL,
    digest TEXT NOT NULL, name TEXT NOT NULL, task_id TEXT, node_id TEXT, session_id TEXT,
    status TEXT NOT NULL, requested_at TEXT NOT NULL, ended_at TEXT
);
CREATE INDEX IF NOT EXISTS flashes_of_bytes ON flashes (digest, sequence);
CREATE INDEX IF NOT EXISTS flashes_of_a_device ON flashes (host, device, sequence);
CREATE INDEX IF NOT EXISTS flashes_of_a_task ON flashes (task_id, sequence) WHERE task_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS flashes_of_a_session ON flashes (session_id, sequence) WHERE session_id IS NOT NULL;
"""


def apply(db: Database, one: Recorded) -> None:
    """One event to rows."""
    match one.event:
        case NodeGenerated() as event:
            _generated(db, one.sequence, event)
        case NodeImageStored() as event:
            for role, artifact in (("image", event.image), ("elf", event.elf)):
                row = (
                    artifact.digest,
                    one.sequence,
                    role,
                    artifact.name,
                    event.task_id,
                    event.node_id,
                    event.iteration,
                )
                db.conn.execute("INSERT INTO images VALUES (?,?,?,?,?,?,?)", row)
                _needed(db, artifact)
        case FlashRequested() as event:
            _requested(db, one.sequence, event)
        case FlashCompleted() as event:
            _ended(db, event.job_id, "completed", event.timestamp)
        case FlashFailed() as event:
            _ended(db, event.job_id, "failed", event.timestamp)
        case FlashCancelled() as event:
            _ended(db, event.job_id, "cancelled", event.timestamp)


def _generated(db: Database, sequence: int, event: NodeGenerated) -> None:
    for filename, text in event.sources.items():
        digest = sha256(text.encode(errors="replace")).hexdigest()
        row = (digest, sequence, filename, event.task_id, event.node_id, event.iteration)
        db.conn.execute("INSERT INTO sources VALUES (?,?,?,?,?,?)", row)


def _requested(db: Database, sequence: int, event: FlashRequested) -> None:
    row = (
        sequence, event.job_id, event.host, event.device, event.image.digest, event.image.name, event.task_id,
        event.node_id, event.session_id, "requested", event.timestamp.isoformat(), None,
    )  # fmt: skip
    db.conn.execute("INSERT OR IGNORE INTO flashes VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)
    for artifact in (event.image, *(part.image for part in event.parts)):
        _needed(db, artifact)


def _ended(db: Database, job_id: str, status: str, at: datetime) -> None:
    query = "UPDATE flashes SET status = ?, ended_at = ? WHERE job_id = ?"
    db.conn.execute(query, (status, at.isoformat(), job_id))


def _needed(db: Database, artifact: Artifact) -> None:
    db.conn.execute(
        "INSERT INTO digests VALUES (?, ?, 0, 1) ON CONFLICT DO UPDATE SET elsewhere = 1",
        (artifact.digest, artifact.size_bytes),
    )
