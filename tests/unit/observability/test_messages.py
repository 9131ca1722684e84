from datetime import UTC, datetime
from functools import reduce
from typing import Any

import pytest

from benchwire.events.blueprint import BlueprintCreated
from benchwire.events.event import Event
from benchwire.events.session import (
    Budget,
    MessageRequested,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionRequested,
    SessionStarted,
    SessionStopRequested,
)
from benchwire.observability import blueprint, commands, errors, message
from benchwire.observability.blueprint import Blueprint
from benchwire.observability.message import Heard, Way
from benchwire.observability.wire.requests import Say

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
OF: dict[str, Any] = {"timestamp": AT, "session_id": "s"}
REQUESTED = SessionRequested(
    **OF, session_name="S", prompt="p", agent_name="fixer", model="m", max_turns=7, budget=Budget(max_tokens=9),
    ask_before=["bash"], parent_session_id="mother",
)  # fmt: skip
CLAIMED = SessionClaimed(**OF, runner="r")
ENDED = SessionEnded(**OF)
FIXER = blueprint.evolve(None, BlueprintCreated(timestamp=AT, name="fixer"))


def after(*events: Event) -> Heard:
    return reduce(message.evolve, events, Heard())


def say(heard: Heard, fixer: Blueprint | None = FIXER, **asked: Any) -> Event | None:
    return commands.say(heard, fixer, "s", "m-1", Say(text="t", **asked), by="ada", now=AT)


def test_a_session_that_runs_is_told_and_one_that_has_ended_goes_on() -> None:
    told = MessageRequested(**OF, message_id="m-1", text="t", by="ada")
    assert say(after(REQUESTED)) == told
    assert say(after(REQUESTED, CLAIMED)) == told
    resumed = say(after(REQUESTED, CLAIMED, ENDED))
    assert isinstance(resumed, SessionRequested)
    assert (resumed.prompt, resumed.message_id) == ("t", "m-1")
    for field in ("session_name", "agent_name", "model", "max_turns", "budget", "ask_before", "parent_session_id"):
        assert getattr(resumed, field) == getattr(REQUESTED, field), field
    other = say(after(REQUESTED, ENDED), max_turns=2, model="n", budget=Budget(max_usd=1.0))
    assert isinstance(other, SessionRequested)
    assert (other.max_turns, other.model, other.budget) == (2, "n", Budget(max_usd=1.0))


def test_the_same_message_again_changes_nothing_however_it_was_heard() -> None:
    queued = MessageRequested(**OF, message_id="m-1", text="t")
    resumed = SessionRequested(**OF, session_name="S", prompt="t", message_id="m-1")
    for events, way in (([queued], Way.QUEUED), ([queued, ENDED], Way.QUEUED), ([ENDED, resumed], Way.RESUMED)):
        heard = after(REQUESTED, CLAIMED, *events)
        assert say(heard) is None
        assert heard.messages["m-1"] is way


def test_who_is_not_there_or_does_not_listen_is_said() -> None:
    for heard in (after(), after(REQUESTED, SessionDeleted(**OF))):
        with pytest.raises(errors.SessionUnknown):
            say(heard)
    with pytest.raises(errors.NobodyListens):
        say(after(SessionStarted(**OF)))
    with pytest.raises(errors.SessionNotRunning, match="stopping"):
        say(after(REQUESTED, CLAIMED, SessionStopRequested(**OF)))
    for asked in ({"max_turns": 0}, {"budget": Budget(max_tokens=-1)}):
        with pytest.raises(errors.Unusable):
            say(after(REQUESTED, ENDED), **asked)


def test_a_session_of_the_lab_does_not_go_on_without_its_agent_and_a_reported_one_may() -> None:
    with pytest.raises(errors.Unusable, match="there is no agent"):
        say(after(REQUESTED, ENDED), fixer=None)
    reported = after(SessionStarted(**OF, agent_name="fixer"), ENDED)
    for fixer, agent_name in ((None, None), (FIXER, "fixer")):
        resumed = say(reported, fixer=fixer)
        assert isinstance(resumed, SessionRequested)
        assert (resumed.agent_name, resumed.session_name, resumed.max_turns) == (agent_name, "s", 50)
