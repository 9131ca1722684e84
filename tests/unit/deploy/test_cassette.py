"""Cassettes: what the file may say, and which answer belongs to which request."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.deploy.scripted import cassette, script, wire
from benchwire.deploy.scripted.cassette import (
    ENDED,
    Cassette,
    CassetteError,
    Conversation,
    Decision,
    End,
    Result,
    Said,
    SessionAsked,
    Spoken,
)


def request(*messages: Any, structured: bool = False, system: str = "") -> wire.Request:
    """User and assistant in turn."""
    said = [{"role": ("user", "assistant")[at % 2], "content": one} for at, one in enumerate(messages)]
    body: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": said, "system": system}
    if structured:
        body["output_config"] = {"format": {"type": "json_schema", "schema": {}}}
    return wire.parse(json.dumps(body).encode())


def player(*conversations: Conversation) -> script.Script:
    return script.Script(conversations=conversations)


def conversation(*texts: str, **more: Any) -> Conversation:
    return Conversation(name="c", turn=[Spoken(text=text) for text in texts], **more)


@given(
    st.builds(
        Cassette,
        cassette=st.just(1),
        about=st.text(),
        request=st.none()
        | st.builds(
            SessionAsked,
            body=st.dictionaries(st.text(), st.text()),
            said=st.lists(st.builds(Said, text=st.text(), during=st.integers(0, 9), resumed=st.booleans()), max_size=2),
            decisions=st.lists(st.builds(Decision, tool_use_id=st.text(), approved=st.booleans()), max_size=2),
        ),
        end=st.none() | st.builds(End, status=st.text(), reason=st.none() | st.text()),
        conversation=st.lists(
            st.builds(
                Conversation,
                name=st.text(),
                first=st.text(),
                turn=st.lists(
                    st.builds(
                        Spoken, text=st.text(), results=st.lists(st.builds(Result, name=st.text(), output=st.text()))
                    ),
                    max_size=2,
                ),
            ),
            max_size=2,
        ),
    )
)
def test_a_cassette_that_is_written_is_read_as_it_was(written: Cassette) -> None:
    assert cassette._decoded(cassette.dumped(written), is_json=True) == written


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("new.json", '{"cassette": 2}', "version 2, and version 1 is played"),
        ("none.json", '{"conversation": [{"name": "c", "turn": []}]}', "cassette = 1"),
        ("odd.toml", "cassette = 1\nanswers = []\n", "answers"),
        ("cut.json", '{"cassette": 1', "truncated"),
        ("file.toml", 'cassette = 1\n[[conversation]]\nname = "c"\nturn = [{ text_file = "gone.c" }]\n', "gone.c"),
    ],
)
def test_a_cassette_that_cannot_be_used_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CassetteError, match=said) as refused:
        cassette.load(tmp_path / name)
    assert str(tmp_path) in str(refused.value)


def test_conversations_that_go_on_at_once_each_get_their_own_answers() -> None:
    plays = player(conversation("a1", "a2", contains="for a"), conversation("b1", "b2", contains="for b"))
    assert plays.choose(request("it is for b")).text == "b1"
    assert plays.choose(request("it is for a")).text == "a1"
    assert plays.choose(request("it is for b", "b1", "no")).text == "b2"
    assert plays.choose(request("it is for a", "a1", "no")).text == "a2"


def test_the_first_message_tells_a_parent_from_a_child_whose_prompt_it_gave() -> None:
    plays = player(conversation("child", first="the part"), conversation("parent", "parent 2", first="the whole"))
    calls = [{"type": "tool_use", "id": "t", "name": "start_session", "input": {"prompt": "the part"}}]
    results = [{"type": "tool_result", "tool_use_id": "t", "content": "done"}]
    assert plays.choose(request("the whole", calls, results)).text == "parent 2"
    assert plays.choose(request("the part")).text == "child"


def test_an_answer_of_a_shape_is_only_given_to_who_asks_for_one() -> None:
    plays = player(conversation("{}", structured=True), conversation("words", structured=False))
    assert plays.choose(request("plan", structured=True)).text == "{}"
    assert plays.choose(request("plan")).text == "words"


def test_the_place_in_a_conversation_is_known_by_its_last_answer_when_older_ones_were_left_out() -> None:
    plays = player(conversation("one", "two", "three", "four"))
    assert plays.choose(request("ask", "three", "again")).text == "four"
    assert plays.choose(request("ask", "something else", "again")).text == "two"


def test_the_same_answer_twice_is_told_apart_by_counting() -> None:
    plays = player(conversation("no", "no", "yes"))
    assert plays.choose(request("ask", "no", "again")).text == "no"
    assert plays.choose(request("ask", "no", "again", "no", "again")).text == "yes"


def test_behind_its_end_a_conversation_says_so_unless_it_repeats_its_last_answer() -> None:
    assert player(conversation("one")).choose(request("ask", "one", "more")).text == ENDED
    assert player(conversation("one", repeats=True)).choose(request("ask", "one", "more")).text == "one"


def test_recorded_blocks_and_usage_are_sent_as_they_were() -> None:
    content: list[dict[str, Any]] = [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_9", "name": "bash", "input": {"command": "ls"}},
    ]
    usage = wire.Usage(input_tokens=7, output_tokens=3, cache_read_input_tokens=5)
    answer = Spoken(content=content, usage=usage).answer
    sent = wire.message(request("x"), answer)
    assert (sent["content"], sent["stop_reason"]) == (content, "tool_use")
    assert (sent["usage"]["input_tokens"], sent["usage"]["cache_read_input_tokens"]) == (7, 5)


@pytest.mark.parametrize(("version", "said"), [(2, "too old"), (0, "version 1 is played")])
def test_a_cassette_of_another_version_says_so_before_anything_in_it_is_read(
    tmp_path: Path, version: int, said: str
) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"cassette": version, "reels": [], "conversation": [{"of": "another shape"}]}))
    with pytest.raises(CassetteError, match=f"version {version}.*{said}"):
        cassette.load(file)


def test_a_file_larger_than_any_cassette_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cassette, "MAX_BYTES", 1024 * 1024)
    file = tmp_path / "disk.json"
    file.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(CassetteError, match="larger than 1 MiB"):
        cassette.load(file)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "/etc/passwd",
        "/dev/zero",
        "link.txt",
        "folder",
        "none.txt",
        "a\\u0000b",
        "sub/../../secret.txt",
    ],
)
def test_a_cassette_reads_no_file_but_those_beside_it(tmp_path: Path, name: str) -> None:
    """It may come from somebody else, and what it speaks is shown to whoever watches."""
    (tmp_path / "secret.txt").write_text("hunter2")
    folder = tmp_path / "cassettes"
    (folder / "folder").mkdir(parents=True)
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    file = folder / "one.toml"
    file.write_text(f'cassette = 1\n[[turn]]\ntext_file = "{name}"\n')
    with pytest.raises(CassetteError, match=r"text_file|cannot be used|embedded null"):
        cassette.load(file)
    (folder / "beside.txt").write_text("words")
    file.write_text('cassette = 1\n[[turn]]\ntext_file = "beside.txt"\n')
    (turn,) = cassette.load(file).turn
    assert isinstance(turn, Spoken)
    assert turn.text == "words"


@pytest.mark.parametrize(
    ("suffix", "body"),
    [
        (".json", '{"cassette":1,"about":' + "[" * 100_000 + "]" * 100_000 + "}"),
        (".json", '{"cassette":1,"x":' + '{"a":' * 100_000 + "1" + "}" * 100_001),
        (".json", '{"cassette":' + "9" * 5000 + "}"),
        (".json", '{"cassette":1e999}'),
        (".toml", "a = " + "[" * 100_000),
        (".toml", "a = " + "{a=" * 10_000),
        (".toml", f"cassette = {'9' * 5000}"),
    ],
)
def test_a_cassette_that_nests_without_end_is_told_in_a_sentence(tmp_path: Path, suffix: str, body: str) -> None:
    file = tmp_path / f"deep{suffix}"
    file.write_text(body)
    with pytest.raises(CassetteError) as told:
        cassette.load(file)
    assert len(str(told.value)) < 6000


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "1e999"])
def test_a_request_that_nests_without_end_is_a_bad_one(content: str) -> None:
    with pytest.raises(wire.BadRequest):
        wire.parse(f'{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":{content}}}]}}'.encode())
