"""A job folded from its events, and the decisions about it."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from msgspec.structs import replace

from benchwire.events import flash
from benchwire.events.event import Artifact, Event
from benchwire.events.testing.samples import samples
from benchwire.flash_agent import commands, job
from benchwire.flash_agent.errors import (
    DeviceGone,
    DeviceNotAttached,
    FlashError,
    ImageRefused,
    LeasedToAnother,
    ToolFailed,
)
from benchwire.flash_agent.job import Job, Status
from benchwire.flash_agent.tools.worker_protocol import FlashState

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
BROKE = ToolFailed("connection_lost", "the serial port failed")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def given(*events: Event) -> Job:
    state = job.NEW
    for event in events:
        state = job.evolve(state, event)
    return state


def start(state: Job) -> Event | None:
    return commands.start(state, OF, driver="esptool", total_bytes=9, timeout_s=None, now=NOW)


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
    failed = commands.fail(given(REQUESTED, STARTED), OF, BROKE, flash_state=None, now=NOW)
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


def retry(
    state: Job,
    flash_state: FlashState | None,
    error: FlashError = BROKE,
    *,
    retries: int = 3,
    timeout_s: float | None = None,
) -> flash.FlashRetried | None:
    return commands.retry(state, OF, error, flash_state=flash_state, retries=retries, timeout_s=timeout_s, now=NOW)


def retried(flash_state: FlashState) -> flash.FlashRetried:
    again = retry(given(REQUESTED, STARTED), flash_state)
    assert again is not None
    return again


def started(attempt: int, seconds: float = 0.0) -> flash.FlashStarted:
    return replace(STARTED, attempt=attempt, timestamp=at(seconds))


def test_an_attempt_that_broke_is_followed_by_another_as_often_as_was_asked_and_later_each_time() -> None:
    events: list[Event] = [REQUESTED]
    waits = []
    for attempt in (1, 2, 3):
        events.append(started(attempt))
        again = retry(given(*events), "partial")
        assert again is not None
        assert (again.attempt, again.code, again.flash_state) == (attempt, "connection_lost", "partial")
        waits.append(again.wait_s)
        events.append(again)
    assert waits == [1.0, 2.0, 4.0]
    assert retry(given(*events, started(4)), "partial") is None
    assert start(given(*events)) == started(4)


@pytest.mark.parametrize(
    "error", [ImageRefused("too big"), ToolFailed("wrong_chip", "an esp32"), LeasedToAnother("d", "me", NOW)]
)
def test_what_a_second_attempt_cannot_mend_is_not_tried_again(error: FlashError) -> None:
    assert retry(given(REQUESTED, STARTED), "untouched", error) is None


def test_a_board_that_was_pulled_may_come_back_for_the_next_attempt_and_one_that_never_was_there_not() -> None:
    assert retry(given(REQUESTED, STARTED), "partial", DeviceGone("board-1")) is not None
    missing = DeviceNotAttached("board-1", "lab-1")
    assert retry(given(REQUESTED), None, missing) is None
    assert retry(given(REQUESTED, STARTED, retried("partial")), None, missing) is not None


def test_a_cancelled_job_and_one_without_time_get_no_further_attempt() -> None:
    assert retry(given(REQUESTED, STARTED, CANCEL), "partial") is None
    assert retry(given(REQUESTED, STARTED), "partial", timeout_s=0.9) is None
    assert retry(given(REQUESTED, STARTED), "partial", timeout_s=1.1) is not None


def test_what_an_attempt_did_not_touch_is_as_the_attempts_before_left_it() -> None:
    """A second attempt that could not even connect made a half written flash untouched."""
    second = given(REQUESTED, STARTED, retried("partial"), started(2))
    failed = commands.fail(second, OF, BROKE, flash_state="untouched", now=NOW)
    cancelled = commands.cancel(second, OF, flash_state="untouched", now=NOW)
    assert failed is not None
    assert cancelled is not None
    assert (failed.flash_state, cancelled.flash_state) == ("partial", "partial")
    killed = commands.cancel(given(REQUESTED, STARTED, started(2)), OF, flash_state="untouched", now=NOW)
    assert killed is not None
    assert killed.flash_state == "partial"
    first = commands.fail(
        given(REQUESTED, STARTED, retried("untouched"), started(2)), OF, BROKE, flash_state="untouched", now=NOW
    )
    assert first is not None
    assert first.flash_state == "untouched"


def test_a_job_that_waits_for_its_next_attempt_is_cancelled_at_once() -> None:
    ended = commands.cancel_waiting(given(REQUESTED, STARTED, retried("partial"), CANCEL), OF, now=NOW)
    assert ended is not None
    assert (ended.flash_state, ended.reason) == ("partial", "wrong board")


def test_time_is_counted_from_the_first_start_without_pauses() -> None:
    paused, resumed = (
        replace(PAUSED, timestamp=at(10)),
        flash.FlashResumed(timestamp=at(40), host="h", job_id="j", device="d"),
    )
    left = partial(commands.time_left_s, timeout_s=60.0, pause_limit_s=100.0)
    assert left(given(REQUESTED), now=at(1000)) is None
    assert left(given(REQUESTED, STARTED), now=at(20)) == 40
    assert left(given(REQUESTED, STARTED, paused), now=at(35)) == 75
    assert left(given(REQUESTED, STARTED, paused, resumed), now=at(50)) == 40
    assert left(given(REQUESTED, STARTED, retried("partial"), started(2, 5)), now=at(20)) == 40
    # An agent that died with a job that held: the pause ends with the next start.
    assert left(given(REQUESTED, STARTED, paused, started(2, 70)), now=at(80)) == 40
    assert commands.time_left_s(given(REQUESTED, STARTED), timeout_s=None, pause_limit_s=1.0, now=at(1e6)) is None


def test_a_job_whose_time_is_over_when_it_is_taken_up_again_is_not_started() -> None:
    ended = commands.start(given(REQUESTED, STARTED), OF, driver="x", total_bytes=9, timeout_s=60.0, now=at(60))
    assert isinstance(ended, flash.FlashFailed)
    assert (ended.code, ended.flash_state) == ("timed_out", "partial")


def test_a_job_that_somebody_cancels_gives_their_reason_and_not_that_of_a_limit() -> None:
    asked = commands.cancel(
        given(REQUESTED, STARTED, CANCEL), OF, flash_state="partial", reason="it held too long", now=NOW
    )
    limit = commands.cancel(given(REQUESTED, STARTED), OF, flash_state="partial", reason="it held too long", now=NOW)
    assert asked is not None
    assert limit is not None
    assert (asked.reason, limit.reason) == ("wrong board", "it held too long")


def test_the_newest_limit_that_was_asked_for_holds() -> None:
    throttle = flash.FlashThrottleRequested(timestamp=NOW, host="lab-1", job_id="job_1", max_bytes_per_s=900)
    assert given(replace(REQUESTED, max_bytes_per_s=500)).max_bytes_per_s == 500
    assert given(replace(REQUESTED, max_bytes_per_s=500), throttle).max_bytes_per_s == 900
    assert given(REQUESTED, throttle, replace(throttle, max_bytes_per_s=None)).max_bytes_per_s is None


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
    assert commands.fail(over, OF, BROKE, flash_state="partial", now=NOW) is None
    assert retry(over, "partial") is None
    assert commands.cancel(over, OF, flash_state="partial", now=NOW) is None
    assert commands.throttle(over, OF, max_bytes_per_s=1, now=NOW) is None
    assert commands.defer_pause(over, OF, stage="erasing", until="it is erased", now=NOW) is None


def test_the_fold_takes_every_event_there_is() -> None:
    for event in samples():
        assert isinstance(job.evolve(given(REQUESTED), event), Job)


def test_a_second_request_for_the_same_job_changes_nothing() -> None:
    under_way = given(REQUESTED, STARTED)
    assert job.evolve(under_way, REQUESTED) == under_way
    assert under_way.status is Status.FLASHING


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({"priority": 2**63, "retries": 2**62}, {"priority": 10, "retries": 5}),
        ({"priority": -(2**70), "retries": -1}, {"priority": -10, "retries": 0}),
        ({"timeout_s": 1e300, "max_bytes_per_s": 0}, {"timeout_s": 86_400.0, "max_bytes_per_s": 64}),
        ({"max_bytes_per_s": 10**400}, {"timeout_s": None, "max_bytes_per_s": 1 << 40}),
        ({}, {"priority": 0, "retries": 0, "timeout_s": None, "max_bytes_per_s": None}),
    ],
)
def test_what_is_out_of_bounds_in_the_log_is_taken_for_the_bound(
    asked: dict[str, object], taken: dict[str, object]
) -> None:
    bounded = job.bounded(replace(REQUESTED, **asked))
    assert {name: getattr(bounded, name) for name in taken} == taken


def test_a_limit_that_no_tool_can_keep_is_taken_for_the_bound_also_when_it_is_changed() -> None:
    throttle = flash.FlashThrottleRequested(timestamp=NOW, host="lab-1", job_id="job_1", max_bytes_per_s=-5)
    assert given(replace(REQUESTED, max_bytes_per_s=10**400)).max_bytes_per_s == flash.MOST_BYTES_PER_S
    assert given(REQUESTED, throttle).max_bytes_per_s == flash.LEAST_BYTES_PER_S
