from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from sqlite_utils import Database

from benchwire.events import catalog, rows
from benchwire.events.event import Event
from benchwire.events.flash import FlashStarted
from benchwire.events.session import (
    MessageRequested,
    MessageSent,
    SessionClaimed,
    SessionDeleted,
    SessionEvent,
    SessionRequested,
    SessionStarted,
    SessionStopRequested,
    ToolCalled,
    ToolReturned,
)
from benchwire.events.testing.samples import sample
from benchwire.observability import queries
from benchwire.observability.errors import Unusable
from benchwire.observability.transfer import copies
from benchwire.observability.transfer.copies import Cut, cut_after

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def said(role: str, *content: dict[str, Any]) -> MessageSent:
    return MessageSent(timestamp=AT, session_id="s", role=role, content=list(content))


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def calls(*uses: str) -> MessageSent:
    return said("assistant", *({"type": "tool_use", "id": use, "name": "bash", "input": {}} for use in uses))


def tells(*uses: str) -> MessageSent:
    return said("user", *({"type": "tool_result", "tool_use_id": use, "content": "out"} for use in uses))


def called(use: str) -> ToolCalled:
    return ToolCalled(timestamp=AT, session_id="s", tool_name="bash", tool_use_id=use)


def returned(use: str | None) -> ToolReturned:
    return ToolReturned(timestamp=AT, session_id="s", tool_name="bash", tool_use_id=use)


def cut(at: int, events: Sequence[Event]) -> Cut:
    state = Cut(at=at)
    for place, event in enumerate(events, 1):
        state = cut_after(state, place, event)
        if state.is_whole:
            break
    return state


TALK = [
    said("user", text("go")),
    calls("a", "b"),
    called("a"),
    returned("a"),
    called("b"),
    returned("b"),
    said("assistant", text("done")),
]


@pytest.mark.parametrize(
    ("at", "along"), [(1, set()), (2, {3, 4, 5, 6}), (3, {4, 5, 6}), (4, {5, 6}), (5, {6}), (6, set()), (7, set())]
)
def test_a_cut_takes_the_results_of_its_calls_along(at: int, along: set[int]) -> None:
    state = cut(at, TALK)
    assert state.along == along
    assert not state.open
    assert [state.has(place) for place in range(1, 8)] == [place <= at or place in along for place in range(1, 8)]


def test_results_that_come_as_messages_count_too() -> None:
    state = cut(1, [calls("a", "b"), tells("a"), tells("b"), said("assistant", text("done"))])
    assert (set(state.along), set(state.open)) == ({2, 3}, set())


def test_a_call_that_was_interrupted_is_not_looked_for_behind_the_next_message() -> None:
    state = cut(1, [calls("a"), called("a"), said("assistant", text("something went wrong")), returned("a")])
    assert (state.is_whole, set(state.open), set(state.along)) == (True, {"a"}, {2})


def test_a_result_that_is_still_to_come_leaves_its_call_open() -> None:
    state = cut(2, TALK[:5])
    assert (state.is_whole, set(state.open)) == (False, {"b"})


def test_calls_whose_results_nobody_reports_are_not_waited_for_once_the_conversation_goes_on() -> None:
    assert not cut(3, [calls("a"), returned(None), said("user", text("and now?"))]).open


def test_every_event_of_a_session_is_copied_left_out_or_refused() -> None:
    for kind in get_args(SessionEvent):
        fields = {"role": "user"} if kind is MessageSent else {}
        event = sample(kind, **fields)
        if kind is SessionDeleted:
            with pytest.raises(Unusable, match="session_deleted"):
                copies.imported(event, "other")
        elif kind in (SessionClaimed, SessionStopRequested, MessageRequested):
            assert copies.imported(event, "other") is None
        else:
            made = copies.imported(event, "other")
            assert made is not None
            assert (made.session_id, made.timestamp) == ("other", event.timestamp)
    with pytest.raises(Unusable, match="flash_started"):
        copies.imported(sample(FlashStarted), "other")
    with pytest.raises(Unusable, match="role"):
        copies.imported(said("cat"), "other")


def test_a_request_that_is_imported_asks_for_nothing() -> None:
    asked = SessionRequested(
        timestamp=AT, session_id="s", session_name="S", prompt="do it", agent_name="a", parent_session_id="p"
    )
    assert copies.imported(asked, "x-s", "x-") == SessionStarted(
        timestamp=AT, session_id="x-s", session_name="S", agent_name="a", parent_session_id="x-p", registered=True
    )


def test_the_id_of_a_copy_follows_from_all_that_matters_and_nothing_else() -> None:
    assert copies.copy_id("s", 0, "e") == copies.copy_id("s", 0, "e")
    others = {
        copies.copy_id("s", 0, "e"),
        copies.copy_id("s", 7, "e"),
        copies.copy_id("t", 0, "e"),
        copies.copy_id("s", 0, "f"),
        copies.copy_id("s", 0, "e", ""),
    }
    assert len(others) == 5


def test_a_copy_is_there_when_it_was_applied_itself_and_not_when_another_event_took_its_id(db: Database) -> None:
    db.conn.execute("CREATE TABLE seen (id TEXT PRIMARY KEY)")
    there, forged = said("user"), sample(FlashStarted)
    for event_id, event in (("copy-1", there), ("copy-2", forged)):
        db.conn.execute("INSERT INTO seen VALUES (?)", (rows.seen_key(event_id, catalog.subject_of(event)),))
    assert queries.applied_ids(db, [("copy-1", there), ("copy-2", there), ("copy-3", there)]) == {"copy-1"}
