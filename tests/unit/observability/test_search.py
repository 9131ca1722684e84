import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchwire.events.event import Event
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionFailed,
    SessionStarted,
    ToolCalled,
    ToolReturned,
)
from benchwire.observability.errors import Unusable
from benchwire.observability.search.texts import MOST_CHARACTERS, text_of
from benchwire.observability.search.wording import MOST_TERMS, expression, only

AT = datetime(2026, 1, 17, 12, 0, tzinfo=UTC)


def said(*blocks: dict[str, Any]) -> str:
    return text_of(MessageSent(timestamp=AT, session_id="s", role="user", content=list(blocks)))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ToolCalled(timestamp=AT, session_id="s", tool_name="bash", tool_input={"command": "make", "n": [1, {"deep": "x"}]}), "bash\nmake\n1\nx"),
        (ToolReturned(timestamp=AT, session_id="s", tool_name="bash", tool_output={"stdout": "ok", "rc": 0, "tty": False}), "bash\nok\n0"),
        (ToolReturned(timestamp=AT, session_id="s", tool_name="bash", error="no such file"), "bash\nno such file"),
        (SessionEnded(timestamp=AT, session_id="s", reason="tired"), "tired"),
        (SessionEnded(timestamp=AT, session_id="s"), ""),
        (SessionFailed(timestamp=AT, session_id="s", reason="the runner is gone"), "the runner is gone"),
        (SessionStarted(timestamp=AT, session_id="s", session_name="not in the text"), ""),
        (ModelUsed(timestamp=AT, session_id="s", model="m", input_tokens=1, output_tokens=1), ""),
    ],
)  # fmt: skip
def test_the_text_of_an_event_is_what_was_said_without_the_json_around_it(event: Event, text: str) -> None:
    assert text_of(event) == text


def test_of_a_message_every_kind_of_block_is_searched_and_ids_and_pictures_are_not() -> None:
    text = said(
        {"type": "text", "text": "hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"command": "ls"}},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "a.c"}]},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    )
    assert text == "hello\nbash\nls\na.c"


def test_of_a_long_text_the_beginning_and_the_end_are_kept() -> None:
    text = said({"type": "text", "text": "first " + "x" * (1 << 20) + " last"})
    assert len(text) <= MOST_CHARACTERS + 3
    assert text.startswith("first")
    assert text.endswith("last")


def test_marks_cannot_be_smuggled_in() -> None:
    assert said({"type": "text", "text": "a\x02b\x03c\x00d\te\nf"}) == "a b c d\te\nf"


def test_nesting_without_end_is_no_trouble() -> None:
    deep: Any = "bottom"
    for _ in range(5000):
        deep = {"in": [deep]}
    assert text_of(ToolCalled(timestamp=AT, session_id="s", tool_name="t", tool_input=deep)) == "t\nbottom"


@pytest.fixture(scope="module")
def words() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE words USING fts5(text, session_id)")
    texts = [
        "gpio_set_level returned OK",
        "the gpio pin is set; level low",
        "uart read, no gpio",
        "ünïcode Wörter AND or NOT",
    ]
    db.executemany(
        "INSERT INTO words (rowid, text, session_id) VALUES (?, ?, ?)",
        [(n, t, f"s-{n}") for n, t in enumerate(texts, 1)],
    )
    yield db
    db.close()


def found(db: sqlite3.Connection, matching: str) -> list[int]:
    return [row[0] for row in db.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (matching,))]


@pytest.mark.parametrize(
    ("typed", "hits"),
    [
        ("gpio", [1, 2, 3]),
        ("GPIO level", [1, 2]),
        ("gpio_set_level", [1]),
        ('"set level"', [1, 2]),
        ('"set; level"', [2, 1]),
        ("lev*", [1, 2]),
        ('"gpio set lev"*', [1]),
        ('"gpio pi*"', [2]),
        ("gpio -level", [3]),
        ('gpio -"pin is"', [1, 3]),
        ("gpio -pin -uart", [1]),
        ("AND", [4]),
        ("NOT or", [4]),
        ("unicode worter", [4]),
        ("s", []),
        ('"set level', [1, 2]),
        ("set:level", [1, 2]),
        ("NEAR(gpio, 2)", []),
        ("gpio ***", [1, 2, 3]),
        ("text:gpio", []),
    ],
)
def test_what_is_typed_finds_what_is_meant(words: sqlite3.Connection, typed: str, hits: list[int]) -> None:
    assert set(found(words, expression(typed))) == set(hits)


def test_a_search_in_one_session_finds_only_there(words: sqlite3.Connection) -> None:
    assert found(words, f"{expression('gpio')} AND {only('session_id', 's-2')}") == [2]


@pytest.mark.parametrize(
    "typed", ["", "   ", '"', '""', "***", "-", "-gpio", '-"a b"', "!?", "x" * 1001, "x " * (MOST_TERMS + 1), "\x00"]
)
def test_what_says_nothing_to_look_for_is_refused_and_named(typed: str) -> None:
    with pytest.raises(Unusable, match=r"^q: "):
        expression(typed)


@given(st.one_of(st.text(), st.text(alphabet='ab"*-() :^{}+NEARANDORNOT\x00\\', max_size=60)))
def test_whatever_is_typed_is_an_expression_or_is_refused(typed: str) -> None:
    try:
        matching = expression(typed)
    except Unusable:
        return
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE words USING fts5(text, session_id)")
    found(db, matching)
    found(db, f"{matching} AND {only('session_id', 'a-b')}")
    db.close()
