from datetime import UTC, datetime, timedelta

import pytest

from benchwire.events.event import Event
from benchwire.events.session import (
    MessageSent,
    SessionClaimed,
    SessionDeleted,
    SessionDescribed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    SessionStopRequested,
    ToolCalled,
)
from benchwire.events.testing.samples import samples
from benchwire.observability import commands, errors
from benchwire.observability.session import Session, Status, evolve, iso
from benchwire.observability.wire.requests import CreateSession, Describe
from benchwire.observability.wire.sessions import status_word, view

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
REQUESTED = SessionRequested(timestamp=AT, session_id="s", session_name="S", prompt="do it")
CLAIMED = SessionClaimed(timestamp=AT, session_id="s", runner="runner-1")
STARTED = SessionStarted(timestamp=AT, session_id="s", session_name="S", project_dir="/p")
STOP_REQUESTED = SessionStopRequested(timestamp=AT, session_id="s")
STOPPED = SessionStopped(timestamp=AT, session_id="s")
ENDED = SessionEnded(timestamp=AT, session_id="s")
FAILED = SessionFailed(timestamp=AT, session_id="s", reason="no model")
SAID = MessageSent(timestamp=AT, session_id="s", role="user", content=[])


def after(*events: Event) -> Session:
    session = None
    for event in events:
        session = evolve(session, event)
    assert session is not None
    return session


def test_a_session_that_was_stopped_stays_stopped_whatever_its_last_hook_reports() -> None:
    assert after(STARTED, STOPPED, ENDED).status is Status.STOPPED
    assert after(STARTED, STOPPED, FAILED).status is Status.STOPPED
    assert after(STARTED, STOPPED, SAID).status is Status.STOPPED


def test_a_session_that_ended_by_itself_is_finished_also_when_a_stop_comes_late() -> None:
    assert after(STARTED, ENDED).status is Status.FINISHED
    assert after(STARTED, ENDED, STOP_REQUESTED, STOPPED).status is Status.FINISHED


def test_a_second_start_resumes_and_keeps_name_directory_and_age() -> None:
    again = SessionStarted(timestamp=AT + timedelta(hours=1), session_id="s", session_name="other", project_dir="/q")
    session = after(STARTED, STOPPED, again)
    assert session.status is Status.RUNNING
    assert (session.session_name, session.project_dir, session.created_at) == ("S", "/p", iso(AT))
    assert session.modified_at == iso(AT + timedelta(hours=1))


def test_what_comes_before_the_start_makes_the_session_and_the_start_tells_its_name() -> None:
    assert view(after(SAID)).session_name == "s"
    assert after(SAID, STARTED).session_name == "S"


def test_the_time_of_change_never_goes_back() -> None:
    late = ToolCalled(timestamp=AT - timedelta(days=1), session_id="s", tool_name="t")
    assert after(STARTED, late).modified_at == iso(AT)


def test_a_runner_that_starts_what_is_being_stopped_does_not_undo_the_stop() -> None:
    session = after(REQUESTED, CLAIMED, STOP_REQUESTED, STARTED)
    assert session.status is Status.STOPPING
    assert status_word(session) == "running"


def test_a_deleted_session_is_unknown_and_a_late_hook_begins_a_new_one() -> None:
    deleted = SessionDeleted(timestamp=AT, session_id="s")
    assert evolve(after(STARTED), deleted) is None
    assert after(STARTED, deleted, SAID).session_name is None


def test_names_change_only_where_new_ones_are_given() -> None:
    session = after(STARTED, SessionDescribed(timestamp=AT, session_id="s", agent_name="a"))
    assert (session.session_name, session.agent_name) == ("S", "a")


def test_every_event_of_the_catalog_folds_and_those_of_others_change_nothing() -> None:
    session = after(STARTED)
    for event in samples():
        folded = evolve(session, event)
        if not hasattr(event, "session_id"):
            assert folded is session


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ((STARTED,), SessionStopped),
        ((SAID,), SessionStopped),
        ((REQUESTED,), SessionStopped),
        ((REQUESTED, CLAIMED, STARTED), SessionStopRequested),
        ((REQUESTED, CLAIMED, ENDED, STARTED), SessionStopped),
        ((REQUESTED, CLAIMED, STOP_REQUESTED), type(None)),
    ],
    ids=["hooks", "hooks-race", "queued", "runs", "resumed-outside", "asked-before"],
)
def test_a_stop_is_told_to_the_runner_and_is_done_where_there_is_none(
    events: tuple[Event, ...], kind: type[object]
) -> None:
    assert isinstance(commands.stop_session(after(*events), "s", AT), kind)


def test_what_is_unknown_or_over_cannot_be_stopped() -> None:
    with pytest.raises(errors.SessionUnknown):
        commands.stop_session(None, "s", AT)
    with pytest.raises(errors.SessionNotRunning, match="it is finished"):
        commands.stop_session(after(STARTED, ENDED), "s", AT)


def test_what_a_gone_runner_held_is_closed_once() -> None:
    closed = commands.close_session(after(REQUESTED, CLAIMED, STOP_REQUESTED), "runner-1", AT)
    assert isinstance(closed, SessionFailed)
    assert "runner-1 is gone" in closed.reason
    assert commands.close_session(after(REQUESTED, CLAIMED, closed), "runner-1", AT) is None
    assert commands.close_session(after(STARTED), "runner-1", AT) is None


def test_what_another_runner_took_over_is_not_closed() -> None:
    taken_over = SessionClaimed(timestamp=AT, session_id="s", runner="runner-2", attempt=2)
    assert commands.close_session(after(REQUESTED, CLAIMED, taken_over), "runner-1", AT) is None


def test_a_session_with_a_prompt_is_asked_for_and_one_without_is_registered() -> None:
    assert isinstance(
        commands.create_session(None, CreateSession(session_id="s", session_name="S", prompt="p"), AT), SessionRequested
    )
    made = commands.create_session(None, CreateSession(session_id="s", session_name="S"), AT)
    assert isinstance(made, SessionStarted)
    assert made.registered
    with pytest.raises(errors.SessionExists):
        commands.create_session(after(STARTED), CreateSession(session_id="s", session_name="S"), AT)


def test_nothing_to_describe_is_refused() -> None:
    with pytest.raises(errors.Unusable, match="nothing to change"):
        commands.describe_session(after(STARTED), "s", Describe(), AT)
