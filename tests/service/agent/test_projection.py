"""This runner's view of the log."""

from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from benchwire.agent import queries
from benchwire.agent.projection import SCHEMA
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceLeased, DeviceReleased
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashCancelled, FlashFailed, FlashRequested, FlashStarted
from benchwire.events.lease import LeaseRequested
from benchwire.events.log import Log
from benchwire.events.projection import Projection, rows_of
from benchwire.events.session import SessionClaimed, SessionEnded, SessionRequested
from benchwire.events.task import TaskClaimed, TaskGuided, TaskRequested
from benchwire.events.testing.samples import samples

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
IMAGE = Artifact(digest="0" * 64, size_bytes=1, name="a.bin")


def attached(device: str, profile: str = "stm32f405") -> DeviceAttached:
    return DeviceAttached(timestamp=NOW, host="h", device=device, profile=profile)


def flash(device: str, job: str) -> FlashRequested:
    return FlashRequested(timestamp=NOW, host="h", job_id=job, device=device, image=IMAGE, address=0)


async def test_it_knows_boards_jobs_guidance_and_what_is_unfinished(bus: Bus, log: Log, tmp_path: Path) -> None:
    lease = DeviceLeased(timestamp=NOW, host="h", device="c", lease_id="l", holder="somebody", expires_at=NOW)
    for event in [
        attached("a"), attached("b"), attached("c"), attached("d", "esp32c3"), attached("e"),
        DeviceDetached(timestamp=NOW, host="h", device="e"), lease,
        LeaseRequested(timestamp=NOW, lease_id="l2", holder="t/n1", for_s=1.0, wait_until=NOW),
        flash("a", "j1"), flash("a", "j2"), flash("b", "j3"), flash("c", "j4"),
        FlashStarted(timestamp=NOW, host="h", job_id="j1", device="a", total_bytes=1, driver="pyocd"),
        FlashFailed(timestamp=NOW, host="h", job_id="j3", device="b", code="x", error="no probe", flash_state="untouched"),
        FlashCancelled(timestamp=NOW, host="h", job_id="j4", device="c", flash_state="untouched", reason="enough"),
        SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="p"),
        SessionClaimed(timestamp=NOW, session_id="s", runner="me"), SessionEnded(timestamp=NOW, session_id="s"),
        TaskRequested(timestamp=NOW, task_id="t", kind="firmware"), TaskClaimed(timestamp=NOW, task_id="t", runner="me", attempt=2),
        TaskGuided(timestamp=NOW, task_id="t", guidance="all"), TaskGuided(timestamp=NOW, task_id="t", guidance="n2", node_id="n2"),
    ]:  # fmt: skip
        await log.append(event)
    projection = Projection(bus, tmp_path / "p.sqlite", SCHEMA)
    async with projection.running():
        boards = await projection.read(queries.devices)
        assert [(one.device, one.profile, one.jobs, one.holder) for one in boards] == [
            ("a", "stm32f405", 2, None),
            ("b", "stm32f405", 0, None),
            ("c", "stm32f405", 0, "somebody"),
            ("d", "esp32c3", 0, None),
        ]
        await projection.wait_for(await log.append(DeviceReleased(timestamp=NOW, host="h", device="c", lease_id="l")))
        assert (await projection.read(queries.devices))[2].holder is None
        leases = await projection.read(lambda db: queries.leases(db, "t/n1"))
        assert [(one.lease_id, one.state) for one in leases] == [("l2", "waiting")]
        assert await projection.read(lambda db: queries.lease(db, "l")) == queries.Lease("l", "ended", "h", "c")
        failed = await projection.read(lambda db: queries.job(db, "j3"))
        assert failed is not None
        assert (failed.state, failed.error) == ("failed", "no probe")
        said = await projection.read(lambda db: queries.guidance(db, "t", "n1", 0))
        assert [one.guidance for one in said] == ["all"]
        assert await projection.read(lambda db: queries.guidance(db, "t", "n1", said[-1].sequence)) == []
        assert await projection.read(lambda db: queries.unfinished(db, "me")) == [queries.Open("task", "t", 2)]


def test_what_happened_long_ago_does_not_make_a_look_at_the_boards_longer() -> None:
    def steps(history: int) -> int:
        """Of SQLite's machine, in hundreds, for one look."""
        db = Database(memory=True)
        db.conn.executescript(SCHEMA.tables)
        db.conn.executemany(
            "INSERT INTO devices (host, device, attached) VALUES ('h', ?, 1)", [(str(number),) for number in range(40)]
        )
        db.conn.executemany(
            "INSERT INTO flash_jobs VALUES (?, 'h', ?, '', NULL, NULL, 'completed', NULL)",
            [(str(number), str(number % 40)) for number in range(history)],
        )
        db.conn.executemany(
            "INSERT INTO guidance VALUES (?, 'another', NULL, '')", [(number,) for number in range(history)]
        )
        taken = 0

        def step() -> None:
            nonlocal taken
            taken += 1

        db.conn.set_progress_handler(step, 100)
        queries.devices(db)
        queries.guidance(db, "t", "n", 0)
        db.close()
        return taken

    assert steps(5000) <= steps(50) + 5


async def test_a_file_that_is_rebuilt_holds_the_same_rows(bus: Bus, log: Log, tmp_path: Path) -> None:
    live, rebuilt = (
        Projection(bus, tmp_path / f"{name}.sqlite", SCHEMA, with_snapshots=False) for name in ("live", "rebuilt")
    )
    async with live.running():
        for event in [one for one in samples() if not type(one).__module__.endswith(".live")]:
            last = await log.append(event)
            if isinstance(event, FlashRequested | TaskRequested):
                await live.wait_for(last)  # so that batches differ from those of the rebuild
        await live.wait_for(await log.append(attached("last")))
        assert live.state.malformed == 0
    async with rebuilt.running():
        pass
    assert rows_of(tmp_path / "live.sqlite") == rows_of(tmp_path / "rebuilt.sqlite")
