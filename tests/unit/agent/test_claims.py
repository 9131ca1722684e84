"""Who takes a session or a task, and keeps a board: given what happened, when a runner asks, then this follows."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from benchwire.agent import commands, device, session, task
from benchwire.agent.errors import HeldByAnother
from benchwire.agent.session import Session
from benchwire.agent.takeovers import MOST, TOO_MANY
from benchwire.agent.task import Task
from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event
from benchwire.events.session import (
    MessageRequested,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    SessionStopRequested,
    ToolApprovalRequested,
    ToolDecided,
)
from benchwire.events.task import (
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskRequested,
)
from benchwire.events.testing.samples import sample, samples

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
ASKED = SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="hello")
STOP = SessionStopRequested(timestamp=NOW, session_id="s", reason="enough")
TASK = TaskRequested(timestamp=NOW, task_id="t", kind="firmware")


def claimed(runner: str = "other", attempt: int = 1) -> SessionClaimed:
    return SessionClaimed(timestamp=NOW, session_id="s", runner=runner, attempt=attempt)


def given(*events: Event) -> Session:
    state = Session()
    for event in events:
        state = session.evolve(state, event)
    return state


def given_task(events: Sequence[Event]) -> Task:
    state = Task()
    for event in events:
        state = task.evolve(state, event)
    return state


def take(state: Session, *gone: str) -> SessionClaimed | SessionStopped | SessionFailed | None:
    return commands.claim_session(state, "s", runner="me", gone=set(gone), now=NOW)


def test_what_nobody_has_is_taken() -> None:
    assert take(given(ASKED)) == claimed("me", 1)


def test_what_another_has_is_left_alone_while_it_is_there() -> None:
    with pytest.raises(HeldByAnother, match="other has it"):
        take(given(ASKED, claimed()))


def test_what_a_runner_left_behind_is_taken_over_with_the_next_attempt() -> None:
    assert take(given(ASKED, claimed()), "other") == claimed("me", 2)


def test_what_was_ours_before_a_restart_is_taken_again() -> None:
    assert take(given(ASKED, claimed("me", 3))) == claimed("me", 4)


@pytest.mark.parametrize("end", [SessionEnded, SessionFailed, SessionStopped, SessionDeleted])
def test_what_is_over_is_left_as_it_is(end: type[Event]) -> None:
    assert take(given(ASKED, claimed(), sample(end, session_id="s"))) is None


def test_a_stop_before_the_claim_ends_it_without_a_run() -> None:
    assert take(given(ASKED, STOP)) == SessionStopped(timestamp=NOW, session_id="s", reason="enough")


def test_a_stop_that_a_gone_runner_did_not_obey_is_obeyed() -> None:
    assert isinstance(take(given(ASKED, claimed(), STOP), "other"), SessionStopped)


def test_a_new_request_after_the_end_is_a_new_run() -> None:
    assert take(given(ASKED, claimed(), STOP, sample(SessionStopped), ASKED)) == claimed("me", 2)


@pytest.mark.parametrize(
    ("events", "event"),
    [
        ([TASK], TaskClaimed(timestamp=NOW, task_id="t", runner="me", attempt=1)),
        ([TASK, TaskClaimed(timestamp=NOW, task_id="t", runner="gone", attempt=2)], TaskClaimed(timestamp=NOW, task_id="t", runner="me", attempt=3)),
        ([TASK, TaskCancelRequested(timestamp=NOW, task_id="t", reason="no")], TaskCancelled(timestamp=NOW, task_id="t", reason="no")),
        ([TASK, sample(TaskFinished)], None),
        ([TASK, sample(TaskFailed)], None),
        ([TASK, sample(TaskCancelled)], None),
        ([], None),
    ],
)  # fmt: skip
def test_tasks_are_taken_by_the_same_rules(events: list[Event], event: Event | None) -> None:
    assert commands.claim_task(given_task(events), "t", runner="me", gone={"gone"}, now=NOW) == event


def claims(kind: type[Event], count: int, apart_min: float, **ids: str) -> list[Event]:
    """That many claims in a row, so many minutes apart."""
    return [
        sample(kind, timestamp=NOW + number * timedelta(minutes=apart_min), runner="other", attempt=number + 1, **ids)
        for number in range(count)
    ]


def test_a_session_that_takes_one_runner_after_the_other_along_is_given_up() -> None:
    one_less = claims(SessionClaimed, MOST - 1, 1, session_id="s")
    assert isinstance(take(given(ASKED, *one_less), "other"), SessionClaimed)
    too_many = claims(SessionClaimed, MOST, 1, session_id="s")
    end = take(given(ASKED, *too_many), "other")
    assert isinstance(end, SessionFailed)
    assert (end.code, end.reason) == ("agent", TOO_MANY)
    assert isinstance(take(given(ASKED, *too_many, end, ASKED), "other"), SessionClaimed)
    assert isinstance(take(given(ASKED, *too_many, STOP), "other"), SessionStopped)
    with pytest.raises(HeldByAnother):
        take(given(ASKED, *too_many))


def test_a_session_that_outlasts_many_restarts_goes_on() -> None:
    assert isinstance(
        take(given(ASKED, *claims(SessionClaimed, 3 * MOST, 20, session_id="s")), "other"), SessionClaimed
    )


def test_a_task_is_given_up_by_the_same_rule() -> None:
    too_many = claims(TaskClaimed, MOST, 1, task_id="t")
    end = commands.claim_task(given_task([TASK, *too_many]), "t", runner="me", gone={"other"}, now=NOW)
    assert end == TaskFailed(timestamp=NOW, task_id="t", reason=TOO_MANY)


def lived(*events: Event) -> commands.Life:
    life = commands.Life()
    for event in events:
        life = commands.lived(claimed("me", 2), life, event)
    return life


def test_work_is_held_until_it_is_over_or_somebody_else_has_it() -> None:
    assert not lived(claimed("me", 1)).held
    assert lived(claimed("me", 1), claimed("me", 2)).held
    assert not lived(claimed("me", 2), claimed("other", 3)).held
    for end in (SessionEnded, SessionFailed, SessionStopped, SessionDeleted):
        assert not lived(claimed("me", 2), sample(end, session_id="s")).held


def test_a_message_that_was_not_taken_in_is_unread_whoever_had_the_session_when_it_came() -> None:
    letters = [MessageRequested(timestamp=NOW, session_id="s", message_id=name, text=name) for name in ("a", "b")]
    life = lived(claimed("me", 1), letters[0], claimed("me", 2), letters[1])
    assert commands.unread(life, {"a"}) == [letters[1]]
    assert commands.unread(lived(letters[0], sample(SessionDeleted, session_id="s"), claimed("me", 2)), set()) == []


def test_a_call_that_is_asked_about_anew_is_not_decided() -> None:
    decided: ToolDecided | None = None
    yes = ToolDecided(timestamp=NOW, session_id="s", tool_use_id="u", approved=True)
    asked = sample(ToolApprovalRequested, tool_use_id="u")
    for event, after in ((asked, None), (sample(ToolDecided, tool_use_id="v"), None), (yes, yes), (asked, None)):
        decided = commands.decision_on("u", decided, event)
        assert decided == after


def leased(lease_id: str, expires_in_s: float = 60.0) -> DeviceLeased:
    expires_at = NOW + timedelta(seconds=expires_in_s)
    return DeviceLeased(timestamp=NOW, host="h", device="d", lease_id=lease_id, holder="t/n", expires_at=expires_at)


OVER = sample(DeviceReleased, lease_id="l1")


@pytest.mark.parametrize(
    ("events", "renewed"),
    [
        ([leased("l1")], True),
        ([leased("l1"), leased("l1", 90)], True),
        ([], False),
        ([leased("l1"), OVER], False),
        ([leased("l1"), OVER, leased("l2"), leased("l1")], False),
    ],
)
def test_only_a_lease_that_is_not_over_is_renewed(events: list[Event], renewed: bool) -> None:
    held: DeviceLeased | None = None
    for event in events:
        held = device.evolve(held, event)
    later = commands.renew(held, "l1", for_s=300, now=NOW)
    assert later == (leased("l1", 300) if renewed else None)


def test_every_event_can_be_folded() -> None:
    for event in samples():
        session.evolve(Session(), event)
        task.evolve(Task(), event)
        device.evolve(None, event)
