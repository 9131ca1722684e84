"""A conversation that another runner goes on with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from benchwire.agent.errors import GivenUp
from benchwire.agent.session import Session, evolve
from benchwire.agent.sessions.conversation import Step, conversation, next_step, open_uses
from benchwire.events.event import Event
from benchwire.events.session import (
    MessageRequested,
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionRequested,
    ToolApprovalRequested,
    ToolCalled,
    ToolDecided,
    ToolReturned,
)

NOW = datetime(2026, 1, 17, 12, tzinfo=UTC)
ASKED = SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="hello")


def said(role: str, *content: dict[str, Any]) -> MessageSent:
    return MessageSent(timestamp=NOW, session_id="s", role=role, content=list(content))


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def use(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "bash", "input": {}}


def given(*events: Event) -> Session:
    state = Session()
    for event in events:
        state = evolve(state, event)
    return state


def of(*events: Event) -> list[dict[str, Any]]:
    return conversation(given(*events))


def used(stop_reason: str | None, tokens: int = 1) -> ModelUsed:
    return ModelUsed(
        timestamp=NOW, session_id="s", model="m", input_tokens=tokens, output_tokens=0, stop_reason=stop_reason
    )


def returned(name: str, output: Any = "out") -> ToolReturned:
    return ToolReturned(timestamp=NOW, session_id="s", tool_name="bash", tool_use_id=name, tool_output=output)


def called(name: str) -> ToolCalled:
    return ToolCalled(timestamp=NOW, session_id="s", tool_name="bash", tool_use_id=name)


def letter(name: str) -> MessageRequested:
    return MessageRequested(timestamp=NOW, session_id="s", message_id=name, text=name)


def heard(name: str) -> MessageSent:
    return MessageSent(timestamp=NOW, session_id="s", role="user", content=[text(name)], message_id=name)


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


def test_a_call_that_never_began_is_not_said_to_have_had_an_effect() -> None:
    again = SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="and now?")
    messages = of(
        ASKED, said("user", text("hello")), said("assistant", use("u1"), use("u2")), used("tool_use"), called("u1"), again
    )  # fmt: skip
    first, second, _ = messages[2]["content"]
    assert "may or may not have taken effect" in first["content"]
    assert "was not run" in second["content"]


def test_a_result_that_is_blocks_stays_blocks() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
    messages = of(said("user", text("go")), said("assistant", use("u1")), returned("u1", [text("a chart"), picture]))
    assert messages[2]["content"][0]["content"] == [text("a chart"), picture]
    other = of(said("user", text("go")), said("assistant", use("u1")), returned("u1", [{"type": "host", "name": "h"}]))
    assert other[2]["content"][0]["content"] == '[{"type":"host","name":"h"}]'


def test_each_call_has_its_own_result_also_when_an_endpoint_gives_two_the_same_id() -> None:
    first = [said("user", text("go")), said("assistant", use("u1")), called("u1"), returned("u1", "one")]
    session = given(ASKED, *first, said("assistant", use("u1")), used("tool_use"))
    assert [one.id for one in open_uses(session)] == ["u1"]
    assert session.key("u1") not in session.begun
    messages = conversation(evolve(session, returned("u1", "two")))
    assert [messages[at]["content"][0]["content"] for at in (2, 4)] == ["one", "two"]


def test_an_answer_that_was_declined_is_not_sent_back() -> None:
    again = SessionRequested(timestamp=NOW, session_id="s", session_name="s", prompt="then this")
    messages = of(ASKED, said("user", text("hello")), said("assistant", text("I can")), used("refusal"), again)
    assert messages == [{"role": "user", "content": [text("hello"), text("then this")]}]


@pytest.mark.parametrize(
    ("events", "step"),
    [
        ([], Step.ASK),
        ([said("assistant", text("hi")), used("end_turn")], Step.DONE),
        ([said("assistant", text("hi"))], Step.DONE),
        ([said("assistant"), used("end_turn")], Step.DONE),
        ([said("assistant", text("hi")), used("pause_turn")], Step.ASK),
        ([said("assistant", use("u1")), used("tool_use")], Step.CALL),
        ([said("assistant", use("u1"))], Step.CALL),
        ([said("assistant", use("u1")), used("tool_use"), called("u1"), returned("u1")], Step.ASK),
        ([said("assistant", text("hi")), used("end_turn"), heard("m")], Step.ASK),
    ],
)
def test_what_comes_next_is_in_the_log(events: list[Event], step: Step) -> None:
    assert next_step(given(ASKED, said("user", text("hello")), *events)) is step


@pytest.mark.parametrize(
    ("stop_reason", "code"), [("max_tokens", "max_tokens"), ("refusal", "refusal"), ("nonsense", "model")]
)
def test_an_answer_that_is_no_end_is_a_reason_to_give_up(stop_reason: str, code: str) -> None:
    with pytest.raises(GivenUp) as problem:
        next_step(given(ASKED, said("user", text("hello")), said("assistant", use("u1")), used(stop_reason)))
    assert problem.value.code == code


def test_what_is_counted_begins_anew_with_each_run_and_not_with_each_runner() -> None:
    claim = SessionClaimed(timestamp=NOW, session_id="s", runner="r")
    run = [ASKED, claim, said("user", text("hello")), said("assistant", text("a")), used("end_turn", 7), used(None, 3)]
    session = given(*run, SessionClaimed(timestamp=datetime(2027, 1, 1, tzinfo=UTC), session_id="s", runner="q"))
    assert (session.turns, [one.input_tokens for one in session.used], session.began_at) == (1, [7, 3], NOW)
    again = given(*run, SessionEnded(timestamp=NOW, session_id="s"), ASKED)
    assert (again.turns, again.used, again.began_at, again.prompt_sent) == (0, (), None, False)


def test_a_message_waits_until_it_is_a_part_of_the_conversation_and_is_not_the_prompt() -> None:
    session = given(letter("m1"), ASKED, letter("m2"), heard("m1"), letter("m1"))
    assert (list(session.letters), session.taken, session.prompt_sent) == (["m2"], frozenset({"m1"}), False)
    assert evolve(session, said("user", text("hello"))).prompt_sent


def test_what_is_decided_about_a_call_is_about_that_call() -> None:
    asked = ToolApprovalRequested(timestamp=NOW, session_id="s", tool_use_id="u1", tool_name="bash", expires_at=NOW)
    yes = ToolDecided(timestamp=NOW, session_id="s", tool_use_id="u1", approved=True, by="anna")
    session = given(ASKED, said("assistant", use("u1")), asked, yes)
    assert session.decided[session.key("u1")] is yes
    again = evolve(session, said("assistant", use("u1")))
    assert again.key("u1") not in again.decided


def test_of_a_session_that_was_deleted_nothing_is_left() -> None:
    session = given(ASKED, said("user", text("hello")), letter("m"), SessionDeleted(timestamp=NOW, session_id="s"))
    assert (session.said, session.letters) == ((), {})
