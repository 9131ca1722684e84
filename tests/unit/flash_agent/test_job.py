"""A job folded from its events, and the decisions about it."""

from datetime import UTC, datetime

import pytest

from benchwire.events import flash
from benchwire.events.event import Artifact, Event
from benchwire.events.testing.samples import samples
from benchwire.flash_agent import commands, job
from benchwire.flash_agent.job import Job, Status

NOW = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
OF = commands.Names(host="lab-1", job_id="job_1", device="board-1")
IMAGE = Artifact(digest="0" * 64, size_bytes=9, name="a.bin")
REQUESTED = flash.FlashRequested(timestamp=NOW, host="lab-1", job_id="job_1", device="board-1", image=IMAGE, address=0)
STARTED = flash.FlashStarted(
    timestamp=NOW, host="lab-1", job_id="job_1", device="board-1", total_bytes=9, driver="esptool"
)
CANCEL = flash.FlashCancelRequested(timestamp=NOW, host="lab-1", job_id="job_1", reason="wrong board")
PAUSE = flash.FlashPauseRequested(timestamp=NOW, host="lab-1", job_id="job_1")
RESUME = flash.FlashResumeRequested(timestamp=NOW, host="lab-1", job_id="job_1")
PAUSED = flash.FlashPaused(timestamp=NOW, host="lab-1", job_id="job_1", device="board-1")


def given(*events: Event) -> Job:
    state = job.NEW
    for event in events:
        state = job.evolve(state, event)
    return state


def start(state: Job) -> Event | None:
    return commands.start(state, OF, driver="esptool", total_bytes=9, now=NOW)


def test_a_job_that_waits_gets_its_first_attempt() -> None:
    assert start(given(REQUESTED)) == STARTED


def test_a_job_whose_agent_died_gets_another_attempt() -> None:
    again = start(given(REQUESTED, STARTED))
    assert isinstance(again, flash.FlashStarted)
    assert again.attempt == 2


def test_a_job_that_was_cancelled_while_it_waited_ends_untouched_instead_of_starting() -> None:
    ended = start(given(REQUESTED, CANCEL))
    assert isinstance(ended, flash.FlashCancelled)
    assert (ended.flash_state, ended.reason) == ("untouched", "wrong board")


def test_after_an_attempt_that_nobody_saw_end_the_worst_is_assumed_of_the_flash() -> None:
    ended = start(given(REQUESTED, STARTED, CANCEL))
    assert isinstance(ended, flash.FlashCancelled)
    assert ended.flash_state == "partial"
    failed = commands.fail(given(REQUESTED, STARTED), OF, code="x", error="y", flash_state=None, now=NOW)
    assert failed is not None
    assert failed.flash_state == "partial"


def test_only_a_waiting_job_is_cancelled_by_the_queue() -> None:
    assert commands.cancel_waiting(given(REQUESTED), OF, now=NOW) is None
    assert commands.cancel_waiting(given(REQUESTED, STARTED, CANCEL), OF, now=NOW) is None
    assert commands.cancel_waiting(given(REQUESTED, CANCEL), OF, now=NOW) is not None


def test_pause_and_resume_are_told_once() -> None:
    assert commands.pause(given(REQUESTED, STARTED, PAUSE), OF, now=NOW) == PAUSED
    assert commands.pause(given(REQUESTED, STARTED, PAUSE, PAUSED), OF, now=NOW) is None
    assert commands.resume(given(REQUESTED, STARTED, PAUSE, PAUSED, RESUME), OF, now=NOW) is not None
    assert commands.resume(given(REQUESTED, STARTED), OF, now=NOW) is None


def ends() -> list[Event]:
    kinds = (flash.FlashCompleted, flash.FlashFailed, flash.FlashCancelled)
    return [event for event in samples() if isinstance(event, kinds)]


@pytest.mark.parametrize("end", ends(), ids=lambda end: type(end).__name__)
def test_nothing_happens_to_a_job_that_is_over(end: Event) -> None:
    over = given(REQUESTED, STARTED, end)
    assert over.is_over
    assert [job.evolve(over, event) for event in samples()] == [over] * len(samples())
    assert start(over) is None
    assert commands.complete(over, OF, total_bytes=9, duration_s=1.0, verified_by="md5", now=NOW) is None
    assert commands.fail(over, OF, code="x", error="y", flash_state="partial", now=NOW) is None
    assert commands.cancel(over, OF, flash_state="partial", now=NOW) is None


def test_the_fold_takes_every_event_there_is() -> None:
    for event in samples():
        assert isinstance(job.evolve(given(REQUESTED), event), Job)


def test_a_second_request_for_the_same_job_changes_nothing() -> None:
    started = given(REQUESTED, STARTED)
    assert job.evolve(started, REQUESTED) == started
    assert started.status is Status.FLASHING
