from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from typing import Any

import pytest
from sqlite_utils import Database

from benchwire.events.event import Event
from benchwire.events.session import (
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    ToolApprovalRequested,
    ToolDecided,
)
from benchwire.observability import approval, commands, errors, queries
from benchwire.observability.approval import Approval, State
from benchwire.observability.testing import put, tables
from benchwire.observability.wire.approvals import Decide

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=1)
REQUESTED = SessionRequested(timestamp=AT, session_id="s", session_name="S", prompt="p")


def asked(use: str = "toolu_1", session_id: str = "s") -> ToolApprovalRequested:
    return ToolApprovalRequested(
        timestamp=AT, session_id=session_id, tool_use_id=use, tool_name="bash", tool_input={"a": 1}, expires_at=LATER
    )


def decided(use: str = "toolu_1", *, approved: bool = True, by: str | None = "ada") -> ToolDecided:
    return ToolDecided(timestamp=AT, session_id="s", tool_use_id=use, approved=approved, by=by, reason="so")


def after(*events: Event) -> Approval | None:
    none: Approval | None = None
    return reduce(partial(approval.evolve, "toolu_1"), events, none)


def decide(known: Approval | None, *, now: datetime = AT, by: str | None = "ada") -> ToolDecided:
    return commands.decide_call(known, "s", "toolu_1", Decide(approve=True), by=by, now=now)


ENDS = [
    SessionEnded(timestamp=AT, session_id="s"),
    SessionFailed(timestamp=AT, session_id="s", reason="r"),
    SessionStopped(timestamp=AT, session_id="s"),
]


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([asked()], State.WAITING),
        ([asked(), decided()], State.APPROVED),
        ([asked(), decided(approved=False)], State.DENIED),
        ([asked(), decided(approved=False, by=None)], State.EXPIRED),
        ([asked(), decided(), decided(approved=False)], State.APPROVED),
        ([asked(), decided("toolu_2")], State.WAITING),
        ([asked(), ENDS[0]], State.VOID),
        ([asked(), decided(), ENDS[0]], State.APPROVED),
        ([asked(), decided(), asked()], State.WAITING),
    ],
)
def test_the_first_decision_about_a_call_counts(events: list[Event], state: State) -> None:
    known = after(*events)
    assert known is not None
    assert known.state is state


def test_what_nobody_asked_for_cannot_be_decided() -> None:
    for known in (
        after(),
        after(decided()),
        after(asked("toolu_2")),
        after(asked(), SessionDeleted(timestamp=AT, session_id="s")),
    ):
        with pytest.raises(errors.ApprovalUnknown, match="toolu_1"):
            decide(known)


def test_a_call_is_decided_only_while_it_waits_and_always_by_somebody() -> None:
    assert decide(after(asked())).by == "ada"
    assert decide(after(asked()), by=None).by == "a person"
    for known, word in ((after(asked(), decided()), "approved by ada"), (after(asked(), ENDS[2]), "void")):
        with pytest.raises(errors.ApprovalOver, match=word):
            decide(known)
    with pytest.raises(errors.ApprovalOver, match="expired"):
        decide(after(asked()), now=LATER)


def shown(db: Database, **only: Any) -> list[tuple[str, str]]:
    found = queries.approvals(db, "2026-01-17T12:00:30.000000Z", limit=10, **only)
    return [(row["tool_use_id"], row["state"]) for row in found]


def waiting(db: Database) -> int:
    session = queries.session(db, "s")
    assert session is not None
    return session.approvals


@pytest.mark.parametrize("end", ENDS, ids=lambda one: type(one).__name__)
def test_the_rows_count_what_waits_until_the_session_ends(end: Event) -> None:
    with tables() as db:
        put(db, REQUESTED, asked(), asked("toolu_2"), asked("toolu_3"))
        assert waiting(db) == 3
        put(db, decided(), asked())
        assert waiting(db) == 3
        put(db, decided("toolu_3", approved=False))
        assert (waiting(db), shown(db, state=State.WAITING)) == (2, [("toolu_2", "waiting"), ("toolu_1", "waiting")])
        put(db, end, decided("toolu_2"))
        assert waiting(db) == 0
        assert shown(db, session_id="s") == [("toolu_2", "void"), ("toolu_3", "denied"), ("toolu_1", "void")]
        put(db, SessionDeleted(timestamp=AT, session_id="s"))
        assert shown(db) == []


def test_whose_time_is_up_no_longer_waits_even_if_nobody_says_so() -> None:
    with tables() as db:
        put(db, REQUESTED, asked())
        late = "2026-01-17T12:02:00.000000Z"
        assert queries.approvals(db, late, limit=10, state=State.WAITING) == []
        (row,) = queries.approvals(db, late, limit=10, state=State.EXPIRED)
        assert row["tool_use_id"] == "toolu_1"
