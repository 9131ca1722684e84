"""A session as a person reads it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from benchwire.deploy.session import conversation
from benchwire.deploy.session.asking import budget_of
from benchwire.deploy.session.following import seen
from benchwire.events.event import Event
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    ToolApprovalRequested,
    ToolCalled,
    ToolReturned,
)

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OF: dict[str, Any] = {"timestamp": AT, "session_id": "s"}


def told(event: Event, **more: Any) -> list[str]:
    return [line[10:] if number == 0 else line for number, line in enumerate(conversation.lines(event, **more))]


def test_a_message_is_shown_whole_and_its_calls_where_they_happen() -> None:
    content: list[dict[str, Any]] = [
        {"type": "text", "text": "one\n\x1b[2Jtwo"},
        {"type": "tool_use", "id": "t", "name": "bash", "input": {}},
    ]
    assert told(MessageSent(**OF, role="assistant", content=content)) == ["assistant", "    one", "    \\x1b[2Jtwo"]
    assert told(MessageSent(**OF, role="assistant", content=content[1:])) == []
    assert told(MessageSent(**OF, role="user", content=[{"type": "image"}])) == ["user", "    [image]"]


def test_what_a_tool_said_is_shortened_unless_all_of_it_is_wanted() -> None:
    returned = ToolReturned(**OF, tool_name="bash", tool_output="\n".join(map(str, range(30))), duration_s=1.0)
    short = told(returned)
    assert (short[0], short[1], short[-1], len(short)) == (
        "bash answered after 1.0 s",
        "    | 0",
        "    | … 18 more lines",
        14,
    )
    assert len(told(returned, whole=True)) == 31
    long = told(ToolReturned(**OF, tool_name="bash", tool_output="x" * 500))
    assert (len(long[1]), long[1][-1]) == (206, "…")


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (None, ""),
        ("words", "words"),
        ([{"type": "text", "text": "a"}, {"type": "image", "source": {}}], "a\n[image]"),
        ({"b": 1}, '{\n  "b": 1\n}'),
        ([], "[]"),
    ],
)
def test_what_a_tool_said_is_text_whatever_it_was(output: Any, text: str) -> None:
    assert conversation.output_text(output) == text


def test_a_failed_call_shows_its_error() -> None:
    assert told(ToolReturned(**OF, tool_name="bash", error="no such file")) == ["bash failed", "    | no such file"]


def test_a_call_that_waits_says_how_to_answer() -> None:
    asked = told(
        ToolApprovalRequested(
            **OF, tool_use_id="toolu_1", tool_name="bash", tool_input={"command": "ls"}, expires_at=AT
        )
    )
    assert asked == [
        "bash command=ls waits for a yes until 03:04:05 UTC",
        "    benchwire session approve s toolu_1   (or deny)",
    ]


def test_the_end_says_why() -> None:
    assert told(SessionFailed(**OF, reason="used up", code="budget_tokens")) == ["failed (budget_tokens): used up"]
    assert told(SessionEnded(**OF)) == ["finished, exit code 0"]
    assert told(SessionRequested(**OF, session_name="s", prompt="p")) == []


def test_the_totals_count_calls_and_tokens() -> None:
    used = ModelUsed(**OF, model="m", input_tokens=5, output_tokens=2, cache_read_input_tokens=10)
    assert (
        conversation.totals([used, ToolCalled(**OF, tool_name="bash"), used])
        == "2 model calls, 30 tokens in, 4 out; 1 tool calls"
    )
    assert conversation.totals([]) == ""


def test_an_event_of_a_newer_lab_is_passed_on_and_not_shown() -> None:
    strange = {"id": 4, "event_type": "session_dreamt", "session_id": "s"}
    assert (seen(strange).told, seen(strange).event) == (strange, None)


def test_a_budget_holds_what_was_given_and_nothing_is_no_budget() -> None:
    assert budget_of(5, None, 2.0) == {"max_tokens": 5, "max_wall_s": 2.0}
    assert budget_of(None, None, None) is None
