"""A conversation that another runner goes on with."""

from datetime import UTC, datetime
from typing import Any

from benchwire.agent.session import Session, conversation, evolve
from benchwire.events.event import Event
from benchwire.events.session import MessageSent, SessionRequested, ToolReturned

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
ASKED = SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="hello")


def said(role: str, *content: dict[str, Any]) -> MessageSent:
    return MessageSent(timestamp=NOW, session_id="s", role=role, content=list(content))


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "bash", "input": {}}


def of(*events: Event) -> list[dict[str, Any]]:
    state = Session()
    for event in events:
        state = evolve(state, event)
    return conversation(state)


def test_it_begins_with_the_prompt() -> None:
    prompt = [{"role": "user", "content": [text("hello")]}]
    assert of(ASKED) == prompt
    assert of(ASKED, said("user", text("hello"))) == prompt


def test_every_call_has_its_result_and_an_interrupted_one_says_so() -> None:
    done = ToolReturned(timestamp=NOW, session_id="s", tool_name="bash", tool_use_id="u1", tool_output="out")
    failed = ToolReturned(timestamp=NOW, session_id="s", tool_name="bash", tool_use_id="u2", error="no such file")
    messages = of(ASKED, said("user", text("hello")), said("assistant", use("u1"), use("u2"), use("u3")), done, failed)
    assert [one["role"] for one in messages] == ["user", "assistant", "user"]
    first, second, third = messages[2]["content"]
    assert (first["content"], first["is_error"]) == ("out", False)
    assert (second["content"], second["is_error"]) == ("no such file", True)
    assert "may or may not have taken effect" in third["content"]


def test_a_second_request_goes_on_with_what_was_said() -> None:
    again = SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="and now?")
    messages = of(ASKED, said("user", text("hello")), said("assistant", text("hi")), again)
    assert [(one["role"], one["content"][0]["text"]) for one in messages] == [
        ("user", "hello"),
        ("assistant", "hi"),
        ("user", "and now?"),
    ]


def test_roles_take_turns_even_when_the_model_said_nothing() -> None:
    again = SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="and now?")
    messages = of(ASKED, said("user", text("hello")), said("assistant"), again)
    assert messages == [{"role": "user", "content": [text("hello"), text("and now?")]}]


def tells(name: str, words: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": name, "content": words}


def test_results_that_an_outside_client_reported_stand_right_behind_their_calls_and_once() -> None:
    done = ToolReturned(timestamp=NOW, session_id="s", tool_name="bash", tool_use_id="u1", tool_output="out")
    messages = of(
        said("user", text("go")), said("assistant", use("u1")), done, said("assistant", use("u2")),
        said("user", tells("u1", "one")), said("user", tells("u2", "two"), text("and now?")), said("assistant", text("done")),
        ASKED,
    )  # fmt: skip
    assert [(one["role"], [block["type"] for block in one["content"]]) for one in messages] == [
        ("user", ["text"]), ("assistant", ["tool_use"]), ("user", ["tool_result"]), ("assistant", ["tool_use"]),
        ("user", ["tool_result", "text"]), ("assistant", ["text"]), ("user", ["text"]),
    ]  # fmt: skip
    assert messages[2]["content"] == [tells("u1", "one")]


def test_what_the_api_would_refuse_is_left_out() -> None:
    messages = of(
        said("assistant", text(""), {"type": "tool_use", "name": "bash"}, text("hi")),
        said("user", tells("nobody", "stray")),
        ASKED,
    )
    assert [one["role"] for one in messages] == ["user", "assistant", "user"]
    assert "not recorded" in messages[0]["content"][0]["text"]
    assert messages[1]["content"] == [text("hi")]
    assert messages[2]["content"] == [text("hello")]


def test_an_output_that_is_no_text_is_told_as_json() -> None:
    done = ToolReturned(timestamp=NOW, session_id="s", tool_name="t", tool_use_id="u1", tool_output={"ok": True})
    messages = of(said("user", text("go")), said("assistant", use("u1")), done)
    assert messages[2]["content"][0]["content"] == '{"ok":true}'
