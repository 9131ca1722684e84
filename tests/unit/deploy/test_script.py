"""Which prepared turn answers which conversation."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchwire.deploy.scripted import script, wire


def request(*messages: str, tools: list[str] | None = None, system: str = "") -> wire.Request:
    """User and assistant in turn."""
    said = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(messages)]
    offered: list[dict[str, Any]] = [{"name": name, "input_schema": {}} for name in tools or []]
    body = {"model": "m", "max_tokens": 9, "messages": said, "system": system, "tools": offered}
    return wire.parse(json.dumps(body).encode())


@pytest.mark.parametrize(("profile", "tries"), [("stm32f405", 3), ("esp32c3", 2)])
def test_the_demo_has_a_firmware_for_each_try_and_keeps_its_last(profile: str, tries: int) -> None:
    demo = script.load()
    conversation = [f"Board profile: {profile}\nCount."]
    answers = []
    for _ in range(tries + 1):
        answer = demo.choose(request(*conversation)).answer
        answers.append(answer.text)
        conversation += [answer.text, "It is not right yet."]
    assert all(answer.count("```c\n") == 1 and answer.endswith("\n```") for answer in answers)
    assert len(set(answers)) == tries
    assert answers[-1] == answers[-2]


def test_the_demos_session_calls_a_tool_and_then_speaks() -> None:
    demo = script.load()
    first = demo.choose(request("hello", tools=["bash"])).answer
    assert [call.name for call in first.calls] == ["bash"]
    assert first.stop_reason == "tool_use"
    second = demo.choose(request("hello", "running", "Linux", tools=["bash"])).answer
    assert second.stop_reason == "end_turn"


def test_what_is_not_in_the_script_is_answered_honestly() -> None:
    answer = script.load().choose(request("Write me a poem.")).answer
    assert "scripted model" in answer.text
    assert "ANTHROPIC_API_KEY" in answer.text


def test_a_turn_is_given_no_more_often_than_it_says() -> None:
    turns = script.Script([script.Turn(text="once", times=1), script.Turn(text="then")])
    assert [turns.choose(request("x")).text for _ in range(3)] == ["once", "then", "then"]


def test_all_conditions_of_a_turn_have_to_hold() -> None:
    turn = script.Turn(contains=["red", "blue"], last="now", attempt=2, text="yes")
    assert turn.fits(request("red", "blue", "now"))
    assert turn.fits(request("x", "y", "now", system="red blue"))
    assert not turn.fits(request("red", "green", "now"))
    assert not turn.fits(request("red", "blue", "later"))
    assert not turn.fits(request("red blue now"))


def test_an_unknown_word_in_a_script_is_named(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text('[[turn]]\nanswer = "x"\n')
    with pytest.raises(script.ScriptError, match="answer"):
        script.load(path)
