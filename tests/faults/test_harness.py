"""A lab under load that is broken in every way, and what is true of it afterwards; and that the harness would see it if it were not.

BENCHWIRE_SEED=7 plays a run again, BENCHWIRE_FAULTS=50 says how many faults the long one has. Each prints its seed, and the command that
repeats it without pytest.
"""

import os
import random
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.faults.harness import invariants
from tests.faults.harness.invariants import Heard, Kept
from tests.faults.harness.load.sockets import take
from tests.faults.harness.plan import TARGETS, planned

from benchwire.events import child, flash
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.event import Artifact
from benchwire.events.log import Log, Recorded
from benchwire.events.presence import Presence, Present
from benchwire.events.projection import Projection
from benchwire.events.session import ToolCalled
from benchwire.events.task import TaskClaimed, TaskFailed, TaskFinished, TaskRequested

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
NAME = "tests.faults.harness"


async def broken(report: Path, *options: str) -> None:
    """One run in a process of its own; what it says goes to where pytest keeps what tests say."""
    argv = [sys.executable, "-m", NAME, "--report", str(report), *options]
    async with child.spawn(argv, cwd=ROOT, stdout=child.PIPE, stderr=child.STDOUT, grace_s=8.0) as process:
        assert process.stdout is not None
        async for line in process.stdout:
            sys.stdout.write(line.decode(errors="replace"))
        assert await child.exited(process) == 0, (
            "not everything held: what is printed above says what, and how to see it again"
        )


@pytest.mark.timeout(400)
async def test_a_busy_lab_gets_over_faults_of_every_kind(tmp_path: Path) -> None:
    seed = os.environ.get("BENCHWIRE_SEED") or "52"
    await broken(tmp_path, "--seed", seed, "--faults", "12", "--hold", "1.5", "--pace", "2")


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
async def test_so_it_does_over_hundreds() -> None:
    seed = os.environ.get("BENCHWIRE_SEED") or str(random.SystemRandom().randrange(1, 1 << 32))
    faults = os.environ.get("BENCHWIRE_FAULTS") or "200"
    await broken(ROOT / ".data", "--seed", seed, "--faults", faults, "--pace", "2")


# The plan


def test_a_plan_follows_from_its_seed_and_has_every_kind_before_any_comes_again() -> None:
    kinds = list(TARGETS)
    plan = planned(7, 3 * len(kinds), kinds, hold_s=10)
    assert plan == planned(7, 3 * len(kinds), kinds, hold_s=10) != planned(8, 3 * len(kinds), kinds, hold_s=10)
    for begin in range(0, len(plan), len(kinds)):
        assert {one.kind for one in plan[begin : begin + len(kinds)]} == set(kinds)
    killed = [one.target for one in planned(7, 6 * len(kinds), kinds, hold_s=10) if one.kind == "killed"]
    assert sorted(killed) == sorted(TARGETS["killed"])


# Planted: each invariant sees what it is there for


def recorded(
    *events: flash.FlashEvent | ToolCalled | TaskRequested | TaskClaimed | TaskFinished | TaskFailed,
) -> list[Recorded]:
    return [
        Recorded(sequence=number, id=f"id-{number}", event=event, received_at=NOW)
        for number, event in enumerate(events, 1)
    ]


def called(name: str) -> ToolCalled:
    return ToolCalled(timestamp=NOW, session_id="s", tool_name="Bash", tool_use_id=name)


def test_an_acknowledged_event_that_is_lost_or_there_twice_is_seen() -> None:
    facts = recorded(called("a"), called("b"), called("b"))
    assert invariants.acknowledged_once(facts, [("pre_tool", "a")]).holds
    assert invariants.acknowledged_once(facts, [("pre_tool", "b")]).wrong == ["pre_tool b is in the log 2 times"]
    assert invariants.acknowledged_once(facts, [("pre_tool", "c")]).wrong == ["pre_tool c is in the log 0 times"]
    again = [*facts, facts[0]]
    assert "id id-1 is in the log 2 times" in invariants.acknowledged_once(again, []).wrong
    with pytest.raises(AssertionError, match="pre_tool c"):
        invariants.check([invariants.acknowledged_once(facts, [("pre_tool", "c")])])


async def test_a_task_that_ended_twice_or_that_nobody_has_is_seen(bus: Bus) -> None:
    requested = TaskRequested(timestamp=NOW, task_id="t", kind="code")
    claimed = TaskClaimed(timestamp=NOW, task_id="t", runner="runner-1")
    ends = (
        TaskFinished(timestamp=NOW, task_id="t", duration_s=1.0),
        TaskFailed(timestamp=NOW, task_id="t", reason="no"),
    )

    async def wrong(
        *events: TaskRequested | TaskClaimed | TaskFinished | TaskFailed, all_over: bool = True
    ) -> list[str]:
        return (await invariants.ended_once_or_owned(bus, recorded(*events), all_over=all_over)).wrong

    assert await wrong(requested, claimed, ends[0]) == []
    assert await wrong(requested, claimed, *ends) == ["task t has ended more than once"]
    assert await wrong(requested, claimed, all_over=False) == ["task t has not ended, and agent runner-1 is not there"]
    async with Presence(bus).announced(Present(service="agent", name="runner-1", version="0", pid=1)):
        assert await wrong(requested, claimed, all_over=False) == []
        assert len(await wrong(requested, claimed)) == 1


async def test_what_is_shown_otherwise_than_it_ended_is_seen() -> None:
    facts = recorded(
        TaskRequested(timestamp=NOW, task_id="t", kind="code"),
        TaskFinished(timestamp=NOW, task_id="t", duration_s=1.0),
    )

    async def wrong(status: str) -> list[str]:
        shown = httpx.MockTransport(lambda _: httpx.Response(200, json={"status": status}))
        async with httpx.AsyncClient(transport=shown, base_url="http://observability") as http:
            return (await invariants.shown_as_ended(http, facts)).wrong

    assert await wrong("completed") == []
    assert await wrong("running") == ["/tasks/t is completed in the log, and shown as running (200)"]


async def test_bytes_that_nobody_needs_and_needed_ones_that_are_gone_are_seen(bus: Bus) -> None:
    kept = await Blobs(bus).put(b"image", name="image.bin")
    asked = flash.FlashRequested(timestamp=NOW, host="h", job_id="j", device="board", image=kept, address=0)
    assert (await invariants.bytes_needed_and_no_more(bus, recorded(asked))).holds
    unneeded = await invariants.bytes_needed_and_no_more(bus, [], within_s=0.5)
    assert unneeded.wrong == [f"bytes {kept.digest} are kept, and nobody needs them"]
    gone = flash.FlashRequested(
        timestamp=NOW,
        host="h",
        job_id="k",
        device="board",
        image=msgspec.structs.replace(kept, digest="f" * 64),
        address=0,
    )
    assert len((await invariants.bytes_needed_and_no_more(bus, recorded(asked, gone))).wrong) == 1


def test_a_client_that_missed_a_frame_or_got_one_twice_is_seen() -> None:
    def heard(*sequences: int) -> Heard:
        one = Heard(name="listener")
        for sequence in sequences:
            take(one, {"type": "event", "seq": sequence, "place": f"{sequence}.1"})
        return one

    assert invariants.missed_nothing("all", {1, 2, 3}, [heard(1, 2, 3)]).holds
    assert not invariants.missed_nothing("all", {1, 2, 3}, [heard(1, 3)]).holds
    assert not invariants.missed_nothing("all", {1, 2, 3}, [heard(1, 2, 2, 3)]).holds
    begins_late = Heard(name="listener")
    take(begins_late, {"type": "init", "seq": 2, "place": "2.3", "sessions": []})
    take(begins_late, {"type": "event", "seq": 3, "place": "3.1"})
    assert invariants.missed_nothing("all", {1, 2, 3}, [begins_late]).holds


async def test_a_document_that_is_listed_without_its_bytes_or_lost_is_seen() -> None:
    listed = {"id": "doc_1", "checksum": "0" * 64, "size_bytes": 5, "metadata": {}}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/documents":
            return httpx.Response(200, json=[listed])
        return httpx.Response(200, content=b"hello")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://documents") as http:
        found = await invariants.documents_whole(http, {"doc_2": Kept(digest="1" * 64)})
    assert len(found.wrong) == 2


async def test_a_row_that_does_not_follow_from_the_log_is_seen(bus: Bus, log: Log, tmp_path: Path) -> None:
    await log.append(TaskRequested(timestamp=NOW, task_id="t", kind="code"))
    (rows,) = invariants.rows_in(tmp_path, runner=True)
    async with Projection(bus, rows.file, rows.schema, with_snapshots=False).running():
        pass
    assert (await invariants.rows_equal_a_rebuild(bus, [rows], tmp_path / "fresh", within_s=1.0)).holds
    with closing(sqlite3.connect(rows.file)) as db, db:
        db.execute("DELETE FROM work")
    assert not (await invariants.rows_equal_a_rebuild(bus, [rows], tmp_path / "again", within_s=0.5)).holds


def test_a_board_that_holds_other_bytes_than_its_job_says_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "board.flash"
    image = Artifact(digest="0" * 64, size_bytes=3, name="image.bin")
    facts = recorded(
        flash.FlashRequested(timestamp=NOW, host="h", job_id="j", device="board", image=image, address=0),
        flash.FlashCompleted(
            timestamp=NOW, host="h", job_id="j", device="board", total_bytes=3, duration_s=1.0, verified_by="md5"
        ),
    )
    devices = {"board": {"needs_flash": False}}
    file.write_bytes(b"..new")
    assert invariants.boards_as_their_jobs_say(facts, {"j": b"new"}, devices, {"board": (file, 2)}).holds
    file.write_bytes(b"..old")
    assert not invariants.boards_as_their_jobs_say(facts, {"j": b"new"}, devices, {"board": (file, 2)}).holds


async def test_a_process_that_was_left_is_seen(tmp_path: Path) -> None:
    assert (await invariants.nothing_runs_below(tmp_path)).holds
    async with child.spawn(["sleep", "60"], env={**os.environ, "HOME": str(tmp_path / "home")}):
        assert len((await invariants.nothing_runs_below(tmp_path, within_s=0.5)).wrong) == 1
