"""A model endpoint at its worst, and how a session ends all the same. The endpoint is a socket that says exactly what it is told to."""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
from nats.aio.msg import Msg

from benchwire.events import codec
from benchwire.events.bus import Bus
from benchwire.events.event import Event
from benchwire.events.live import SessionDelta
from benchwire.events.log import Log
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    SessionStopRequested,
    ToolCalled,
    ToolReturned,
)
from benchwire.events.testing.eventually import eventually

Run = Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]
Happened = Callable[[str], Awaitable[list[Event]]]

OVER = (SessionEnded, SessionFailed, SessionStopped)


def requested(session_id: str = "s", **more: Any) -> SessionRequested:
    return SessionRequested(
        timestamp=datetime.now(UTC), session_id=session_id, session_name="S", prompt="say hello", **more
    )


@pytest.fixture
def ended(log: Log, happened: Happened) -> Callable[..., Awaitable[Event]]:
    """Asks for a session, and waits for its end."""

    async def ask(session_id: str = "s", **more: Any) -> Event:
        await log.append(requested(session_id, **more))

        async def over() -> Event | None:
            return next((one for one in await happened(f"bench.session.{session_id}.>") if isinstance(one, OVER)), None)

        event: Event = await eventually(over, within_s=30, what="the session to be over")
        return event

    return ask


Ended = Callable[..., Awaitable[Event]]


async def of_kind(happened: Happened, *kinds: type[Event]) -> list[Any]:
    return [one for one in await happened("bench.session.s.>") if isinstance(one, kinds)]


async def test_a_limit_is_waited_for_as_long_as_the_endpoint_asks(runner: Run, replies: Any, ended: Ended) -> None:
    limit = replies.error("429 Too Many Requests", "rate_limit_error", "slow down", "retry-after: 1.5\r\n")
    async with replies.given(limit, replies.text("hello")) as asked, runner():
        began = time.monotonic()
        assert isinstance(await ended(), SessionEnded)
        assert time.monotonic() - began > 1.5
    assert len(asked) == 2


async def test_a_limit_that_asks_for_too_much_patience_ends_the_session_at_once(
    runner: Run, replies: Any, ended: Ended
) -> None:
    limit = replies.error("429 Too Many Requests", "rate_limit_error", "slow down", "retry-after: 4000\r\n")
    async with replies.given(limit) as asked, runner():
        end = await ended()
    assert isinstance(end, SessionFailed)
    assert (end.code, len(asked)) == ("model", 1)
    assert "rate limit" in end.reason
    assert "left alone for 4000 s" in end.reason


async def test_an_overloaded_endpoint_and_one_with_troubles_are_asked_again(
    runner: Run, replies: Any, ended: Ended, happened: Happened
) -> None:
    overloaded = replies.error("529 Overloaded", "overloaded_error", "Overloaded")
    broken = replies.error("500 Internal Server Error", "api_error", "oops")
    async with replies.given(overloaded, broken, replies.text("hello")) as asked, runner():
        assert isinstance(await ended(), SessionEnded)
    assert len(asked) == 3
    assert len(await of_kind(happened, ModelUsed)) == 1


async def test_an_answer_that_breaks_off_is_asked_for_again_and_leaves_no_message_behind(
    runner: Run, replies: Any, ended: Ended, happened: Happened
) -> None:
    half = replies.start() + replies.words("Half of what I wan")
    overloaded = replies.event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    chunked = replies.raw(f"{len(half):x}\r\n{half}\r\n", headers="transfer-encoding: chunked\r\n")
    async with (
        replies.given(chunked, replies.raw(half + overloaded), replies.text("All of it.")) as asked,
        runner(),
    ):
        assert isinstance(await ended(), SessionEnded)
    assert asked[0]["messages"] == asked[1]["messages"] == asked[2]["messages"]
    said = await of_kind(happened, MessageSent)
    assert [(one.role, one.content[0]["text"]) for one in said] == [("user", "say hello"), ("assistant", "All of it.")]
    # What broke off was paid for all the same.
    assert [one.stop_reason for one in await of_kind(happened, ModelUsed)] == [None, None, "end_turn"]


async def test_an_answer_that_always_breaks_off_ends_the_session(
    runner: Run, replies: Any, ended: Ended, happened: Happened
) -> None:
    async with replies.given(replies.raw(replies.start() + replies.words("Half"))) as asked, runner():
        end = await ended()
    assert isinstance(end, SessionFailed)
    assert (end.code, len(asked)) == ("model", 3)
    assert "broke off in the middle of its answer" in end.reason
    assert [one.role for one in await of_kind(happened, MessageSent)] == ["user"]


async def test_thoughts_without_end_are_broken_off(
    runner: Run, replies: Any, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchwire.agent.model.model.MAX_ANSWER_CHARS", 1000)
    block = {"type": "thinking", "thinking": "", "signature": ""}
    thinks = replies.event("content_block_start", index=0, content_block=block) + 11 * replies.event(
        "content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "x" * 100}
    )
    async with replies.given(replies.raw(replies.start() + thinks + replies.stop("end_turn"))), runner():
        end = await ended()
    assert isinstance(end, SessionFailed)
    assert "longer than 1000 characters" in end.reason


async def test_a_conversation_that_is_too_long_for_the_endpoint_ends_with_what_to_do(
    runner: Run, replies: Any, ended: Ended
) -> None:
    long = replies.error(
        "400 Bad Request", "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"
    )
    async with replies.given(long) as asked, runner():
        end = await ended()
    assert isinstance(end, SessionFailed)
    assert (end.code, len(asked)) == ("model", 1)
    assert "prompt is too long" in end.reason
    assert "start a new session" in end.reason


@pytest.mark.parametrize(
    "case",
    [
        ("max_tokens", "max_tokens", "BENCHWIRE_MODEL_MAX_TOKENS"),
        ("refusal", "refusal", "declined"),
        ("model_context_window_exceeded", "max_tokens", "longer than what the model takes in"),
        ("something_new", "model", "something_new"),
    ],
)
async def test_an_answer_that_is_cut_or_refused_ends_the_session_with_a_reason_and_calls_nothing(
    runner: Run, replies: Any, ended: Ended, happened: Happened, case: tuple[str, str, str]
) -> None:  # fmt: skip
    reason, code, sentence = case
    cut = replies.start() + replies.call("bash", '{"command": "touch a', "u1") + replies.stop(reason)
    async with replies.given(replies.raw(cut)), runner():
        end = await ended()
    assert isinstance(end, SessionFailed)
    assert end.code == code
    assert sentence in end.reason
    assert await of_kind(happened, ToolCalled) == []


@pytest.mark.parametrize(
    "case",
    [
        ('{"command": echo}', "not valid JSON"),
        ('{"command": "echo', "not valid JSON"),
        ('["echo"]', "has to be a JSON object"),
        ('{"command": 7}', "Expected `str`, got `int`"),
        ('{"comand": "echo"}', "unknown field `comand`"),
    ],
)
async def test_the_model_hears_what_is_wrong_with_the_input_of_its_call(
    runner: Run, replies: Any, ended: Ended, happened: Happened, case: tuple[str, str]
) -> None:  # fmt: skip
    sent, sentence = case
    wrong = replies.start() + replies.call("bash", sent, "u1") + replies.stop("tool_use")
    async with (
        replies.given(replies.raw(wrong), replies.tool("bash", {"command": "echo right"}, "u2"), replies.text("done")) as asked,
        runner(),
    ):  # fmt: skip
        assert isinstance(await ended(), SessionEnded)
    heard = asked[1]["messages"][-1]["content"][0]
    assert (heard["tool_use_id"], heard["is_error"]) == ("u1", True)
    assert sentence in heard["content"]
    assert isinstance(asked[1]["messages"][-2]["content"][0]["input"], dict)  # the API refuses anything else
    returned = await of_kind(happened, ToolReturned)
    assert returned[0].error == heard["content"]
    assert "right" in returned[1].tool_output


async def test_a_tool_that_is_not_there_is_an_error_that_the_model_hears(
    runner: Run, replies: Any, ended: Ended, happened: Happened
) -> None:
    with pytest.warns(UserWarning, match="not found in tool runner"):
        async with replies.given(replies.tool("teleport", {}, "u1"), replies.text("done")) as asked, runner():
            assert isinstance(await ended(), SessionEnded)
    assert "there is no tool teleport" in json.dumps(asked[1]["messages"][-1])
    assert [one.error for one in await of_kind(happened, ToolReturned)] == ["there is no tool teleport"]


async def test_a_tool_that_never_answers_is_ended_and_the_model_hears_so(
    runner: Run, replies: Any, ended: Ended
) -> None:
    async with (
        replies.given(replies.tool("bash", {"command": "sleep 3456789"}, "u1"), replies.text("done")) as asked,
        runner(tool_timeout_s=0.5),
    ):
        assert isinstance(await ended(), SessionEnded)
    assert "bash did not answer within 0.5 s" in asked[1]["messages"][-1]["content"][0]["content"]


async def test_an_endpoint_that_refuses_to_cache_is_asked_without(runner: Run, replies: Any, ended: Ended) -> None:
    refuses = replies.error("400 Bad Request", "invalid_request_error", "cache_control: Extra inputs are not permitted")
    async with replies.given(refuses, replies.text("hello")) as asked, runner():
        assert isinstance(await ended("s"), SessionEnded)
        assert isinstance(await ended("t"), SessionEnded)
    assert "cache_control" in asked[0]
    assert asked[0]["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert all("cache_control" not in json.dumps(one) for one in asked[1:])


async def test_what_was_sent_stays_as_it_was_from_turn_to_turn_so_that_it_can_be_cached(
    runner: Run, replies: Any, ended: Ended
) -> None:
    turns = [replies.tool("bash", {"command": f"echo {number}"}, f"u{number}") for number in range(3)]
    async with replies.given(*turns, replies.text("done")) as asked, runner():
        assert isinstance(await ended(), SessionEnded)
    for before, after in itertools.pairwise(asked):
        assert (after["system"], after["tools"]) == (before["system"], before["tools"])
        assert after["messages"][: len(before["messages"])] == before["messages"]


@pytest.fixture
async def heard(bus: Bus) -> list[str]:
    """What is passed on of what the model says in session ``s``, as it comes."""
    pieces: list[str] = []

    async def hear(message: Msg) -> None:
        event = codec.decode(message.data)
        assert isinstance(event, SessionDelta)
        pieces.append(event.text)

    await bus.nc.subscribe("live.session.s.delta", cb=hear)
    return pieces


async def test_what_is_spoken_quickly_is_passed_on_in_larger_pieces_and_all_of_it(
    runner: Run, replies: Any, ended: Ended, heard: list[str]
) -> None:
    tokens = [f"word {number} " for number in range(400)]
    deltas = [
        replies.event("content_block_delta", index=0, delta={"type": "text_delta", "text": one}) for one in tokens
    ]
    answer = replies.start() + replies.words("") + "".join(deltas) + replies.stop("end_turn")
    async with replies.given(replies.raw(answer)), runner():
        assert isinstance(await ended(), SessionEnded)
    await eventually(lambda: "".join(heard) == "".join(tokens), what="all that was spoken")
    assert len(heard) < len(tokens) / 4


async def test_what_is_spoken_is_passed_on_while_the_model_thinks(
    log: Log, runner: Run, replies: Any, happened: Happened, heard: list[str]
) -> None:
    first, second = (
        replies.event("content_block_delta", index=0, delta={"type": "text_delta", "text": one}) for one in "ab"
    )
    async with (
        replies.given(replies.held(replies.start() + replies.words("") + first + second, asyncio.Event())),
        runner(),
    ):
        await log.append(requested())
        await eventually(lambda: "".join(heard) == "ab", what="what was spoken")
        await log.append(SessionStopRequested(timestamp=datetime.now(UTC), session_id="s"))
        await eventually(lambda: of_kind(happened, SessionStopped), what="the stop")
    assert [one.stop_reason for one in await of_kind(happened, ModelUsed)] == [None]  # and what it cost is known


async def test_a_model_without_a_word_ends_the_session_and_says_so(runner: Run, replies: Any, ended: Ended) -> None:
    silent = replies.start() + replies.stop("end_turn").partition("\n\n")[2]
    async with replies.given(replies.raw(silent)), runner():
        end = await ended()
    assert isinstance(end, SessionEnded)
    assert end.reason == "the model ended its last turn without a word"


async def test_a_paused_turn_is_given_back_as_it_is(runner: Run, replies: Any, ended: Ended) -> None:
    async with (
        replies.given(replies.text("One moment.", reason="pause_turn"), replies.text("Here.")) as asked,
        runner(),
    ):
        assert isinstance(await ended(), SessionEnded)
    assert [one["role"] for one in asked[1]["messages"]] == ["user", "assistant"]
