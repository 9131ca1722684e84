"""What people say to a session while it runs and after it, what they allow, and what it may spend; also across runners."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchwire.events.blueprint import BlueprintCreated
from benchwire.events.event import Event
from benchwire.events.log import Log
from benchwire.events.session import (
    Budget,
    MessageRequested,
    MessageSent,
    SessionClaimed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    SessionStopRequested,
    ToolApprovalRequested,
    ToolCalled,
    ToolDecided,
    ToolReturned,
)
from benchwire.events.testing.eventually import eventually

Run = Callable[..., AbstractAsyncContextManager[asyncio.Task[None]]]
Happened = Callable[[str], Awaitable[list[Event]]]

OVER = (SessionEnded, SessionFailed, SessionStopped)


def now() -> datetime:
    return datetime.now(UTC)


def requested(session_id: str = "s", prompt: str = "begin", **more: Any) -> SessionRequested:
    return SessionRequested(timestamp=now(), session_id=session_id, session_name="S", prompt=prompt, **more)


def letter(name: str, words: str) -> MessageRequested:
    return MessageRequested(timestamp=now(), session_id="s", message_id=name, text=words, by="anna")


def allowed(use: str) -> ToolDecided:
    return ToolDecided(timestamp=now(), session_id="s", tool_use_id=use, approved=True, by="anna")


def denied(use: str, reason: str) -> ToolDecided:
    return ToolDecided(timestamp=now(), session_id="s", tool_use_id=use, approved=False, reason=reason, by="anna")


@pytest.fixture
def seen(happened: Happened) -> Callable[..., Awaitable[list[Any]]]:
    """Waits until session ``s`` has that many events of that kind, and gives them."""

    async def wait(kind: Any, number: int = 1) -> list[Any]:
        async def there() -> list[Event] | None:
            found = [one for one in await happened("bench.session.s.>") if isinstance(one, kind)]
            return found if len(found) >= number else None

        found: list[Any] = await eventually(there, within_s=30, what=f"{number} of {kind}")
        return found

    return wait


Seen = Callable[..., Awaitable[list[Any]]]


def folder_of(tmp_path: Path, runner: str) -> Path:
    """Where the tools of session ``s`` work when that runner has it."""
    return tmp_path / runner / "agent" / "sessions" / "s"


def words_of(asked: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Role and texts of each message that the model was sent."""
    return [
        (one["role"], [block.get("text") or block["type"] for block in one["content"]]) for one in asked["messages"]
    ]


async def test_a_message_to_a_running_session_is_taken_in_at_the_next_turn(
    log: Log, runner: Run, replies: Any, seen: Seen, tmp_path: Path
) -> None:
    waits = replies.tool("bash", {"command": "until [ -e go ]; do sleep 0.05; done"}, "u1")
    async with replies.given(waits, replies.text("I heard you.")) as asked, runner():
        await log.append(requested())
        await seen(ToolCalled)
        await _heard_by(tmp_path / "runner-1", await log.append(letter("m1", "make it blue")))
        (folder_of(tmp_path, "runner-1") / "go").touch()
        assert isinstance((await seen(OVER))[0], SessionEnded)
    assert words_of(asked[1]) == [
        ("user", ["begin"]),
        ("assistant", ["tool_use"]),
        ("user", ["tool_result", "make it blue"]),
    ]
    assert [one.message_id for one in await seen(MessageSent)] == [None, None, "m1", None]


async def _heard_by(data: Path, sequence: int) -> None:
    """Waits until the runner that has its files there has seen the event."""

    def applied() -> bool:
        with contextlib.closing(sqlite3.connect(data / "agent" / "projection.sqlite")) as db:
            return bool(db.execute("SELECT max(sequence) >= ? FROM applied", (sequence,)).fetchone()[0])

    await eventually(lambda: asyncio.to_thread(applied), within_s=30, what="the runner to hear of it")


async def test_a_message_that_comes_with_the_last_answer_is_heard_before_the_end(
    log: Log, runner: Run, replies: Any, seen: Seen
) -> None:
    finish = asyncio.Event()
    last = replies.held(replies.start() + replies.words("I am done."), finish, replies.stop("end_turn"))
    async with replies.given(last, replies.text("And blue.")) as asked, runner():
        await log.append(requested())
        await eventually(lambda: asked, what="the model to be asked")
        await log.append(letter("m1", "make it blue"))
        finish.set()
        assert isinstance((await seen(OVER))[0], SessionEnded)
    assert words_of(asked[1])[1:] == [("assistant", ["I am done."]), ("user", ["make it blue"])]
    assert len(await seen(SessionEnded)) == 1


async def test_messages_that_a_runner_could_not_take_in_are_taken_in_once_by_the_next(
    log: Log, runner: Run, replies: Any, seen: Seen
) -> None:
    first = replies.held(replies.start() + replies.words("Half"), asyncio.Event())
    async with replies.given(first, replies.text("I heard both.")) as asked:
        async with runner("runner-1"):
            await log.append(requested())
            await eventually(lambda: asked, what="the model to be asked")
            for name in ("m1", "m2", "m1"):  # repeated, it is the same message
                await log.append(letter(name, f"word {name}"))
        async with runner("runner-2"):
            assert isinstance((await seen(OVER))[0], SessionEnded)
    assert words_of(asked[1]) == [("user", ["begin", "word m1", "word m2"])]
    assert [one.runner for one in await seen(SessionClaimed)] == ["runner-1", "runner-2"]


async def test_a_session_that_ended_is_gone_on_with_from_the_log_by_another_runner(
    log: Log, runner: Run, replies: Any, seen: Seen
) -> None:
    calls = replies.tool("bash", {"command": "echo $((6 * 7))"}, "u1")
    async with replies.given(calls, replies.text("It is 42."), replies.text("It was 42.")) as asked:
        async with runner("runner-1"):
            await log.append(requested(max_turns=2))
            await seen(SessionEnded)
        async with runner("runner-2"):
            await log.append(requested(prompt="what was it?", message_id="m9", max_turns=1))
            await seen(SessionEnded, 2)
    assert [role for role, _ in words_of(asked[2])] == ["user", "assistant", "user", "assistant", "user"]
    assert "42" in asked[2]["messages"][2]["content"][0]["content"]
    assert words_of(asked[2])[-1] == ("user", ["what was it?"])
    assert (await seen(MessageSent))[-2].message_id == "m9"


async def test_a_tool_waits_for_a_persons_word(log: Log, runner: Run, replies: Any, seen: Seen) -> None:
    async with (
        replies.given(
            replies.tool("bash", {"command": "echo one"}, "u1"), replies.tool("bash", {"command": "echo two"}, "u2"), replies.text("done")
        ) as asked,
        runner(),
    ):  # fmt: skip
        await log.append(requested(ask_before=["bash"]))
        (first,) = await seen(ToolApprovalRequested)
        assert (first.tool_use_id, first.tool_input) == ("u1", {"command": "echo one"})
        await log.append(allowed("u1"))
        await seen(ToolApprovalRequested, 2)
        assert len(await seen(ToolReturned)) == 1
        await log.append(denied("u2", "not on a Friday"))
        assert isinstance((await seen(OVER))[0], SessionEnded)
    assert [one.tool_use_id for one in await seen(ToolCalled)] == ["u1"]
    heard = asked[2]["messages"][-1]["content"][0]
    assert heard["is_error"]
    assert "not allowed by anna" in heard["content"]
    assert "not on a Friday" in heard["content"]


async def test_a_word_that_nobody_says_in_time_is_a_no(log: Log, runner: Run, replies: Any, seen: Seen) -> None:
    await log.append(BlueprintCreated(timestamp=now(), name="careful", ask_before=["ba*"], ask_expires_s=0.3))
    async with replies.given(replies.tool("bash", {"command": "echo"}, "u1"), replies.text("done")) as asked, runner():
        await log.append(requested(agent_name="careful"))
        assert isinstance((await seen(OVER))[0], SessionEnded)
    (said,) = await seen(ToolDecided)
    assert (said.approved, said.by) == (False, None)
    assert "nobody decided within 0.3 s" in asked[1]["messages"][-1]["content"][0]["content"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_what_was_asked_and_decided_is_kept_when_another_runner_takes_over(
    log: Log, runner: Run, replies: Any, seen: Seen, when: str
) -> None:
    async with replies.given(replies.tool("bash", {"command": "echo one"}, "u1"), replies.text("done")):
        async with runner("runner-1"):
            await log.append(requested(ask_before=["bash"]))
            await seen(ToolApprovalRequested)
        if when == "before":
            await log.append(allowed("u1"))
        async with runner("runner-2"):
            if when == "after":
                await seen(SessionClaimed, 2)
                await log.append(allowed("u1"))
            assert isinstance((await seen(OVER))[0], SessionEnded)
    assert len(await seen(ToolApprovalRequested)) == 1
    assert len(await seen(ToolReturned)) == 1


async def test_calls_that_a_runner_left_open_are_run_once_and_only_those_that_had_not_begun(
    log: Log, runner: Run, replies: Any, seen: Seen, tmp_path: Path
) -> None:
    commands = ["echo one >> ran", "echo two >> ran; sleep 7654321", "echo three >> ran"]
    blocks = [replies.call("bash", json.dumps({"command": one}), f"u{at}", at) for at, one in enumerate(commands)]
    stops = [replies.event("content_block_stop", index=at) for at in range(2)]
    answer = replies.start() + blocks[0] + stops[0] + blocks[1] + stops[1] + blocks[2] + replies.stop("tool_use", 2)
    first, second = (folder_of(tmp_path, name) / "ran" for name in ("runner-1", "runner-2"))
    async with replies.given(replies.raw(answer), replies.text("done")) as asked:
        async with runner("runner-1"):
            await log.append(requested())
            await eventually(lambda: first.exists() and "two" in first.read_text(), what="the second call")
        async with runner("runner-2"):
            assert isinstance((await seen(OVER))[0], SessionEnded)
    assert (first.read_text().split(), second.read_text().split()) == (["one", "two"], ["three"])
    results = asked[1]["messages"][-1]["content"]
    assert [one["is_error"] for one in results] == [False, True, False]
    assert "may or may not have taken effect" in results[1]["content"]
    assert [one.tool_use_id for one in await seen(ToolReturned)] == ["u0", "u1", "u2"]


async def test_a_session_that_waits_for_a_person_leaves_its_place_to_others_and_can_be_stopped(
    log: Log, runner: Run, replies: Any, seen: Seen, happened: Happened
) -> None:
    async with (
        replies.given(replies.tool("bash", {"command": "echo"}, "u1"), replies.text("done")),
        runner(max_sessions=1),
    ):
        await log.append(requested(ask_before=["bash"]))
        await seen(ToolApprovalRequested)
        await log.append(requested("other"))
        await eventually(lambda: _ended(happened, "other"), within_s=30, what="the other session to end")
        await log.append(SessionStopRequested(timestamp=now(), session_id="s", reason="enough"))
        assert isinstance((await seen(OVER))[0], SessionStopped)
    assert (await seen(ToolApprovalRequested, 1))[0].tool_use_id == "u1"


async def _ended(happened: Happened, session_id: str) -> bool:
    return any(isinstance(one, SessionEnded) for one in await happened(f"bench.session.{session_id}.>"))


@pytest.mark.parametrize(
    "case",
    [
        (Budget(max_tokens=100), "budget_tokens", "105 of its 100 tokens"),
        (Budget(max_usd=0.0001), "budget_usd", "of its 0.0001 US dollars"),
    ],
)
async def test_what_a_session_may_spend_ends_it_also_when_another_runner_goes_on(
    log: Log, runner: Run, replies: Any, seen: Seen, case: tuple[Budget, str, str]
) -> None:
    budget, code, sentence = case
    spends = replies.tool("bash", {"command": "sleep 6543217"}, "u1", input_tokens=100)
    async with replies.given(spends, replies.text("done")) as asked:
        async with runner("runner-1"):
            await log.append(requested(budget=budget))
            await seen(ToolCalled)
        async with runner("runner-2"):
            (end,) = await seen(OVER)
        assert isinstance(end, SessionFailed)
        assert end.code == code
        assert sentence in end.reason
        assert len(asked) == 1
        async with runner("runner-2"):  # a run of its own has a budget of its own
            await log.append(requested(prompt="go on", budget=budget))
            await seen(SessionEnded)


async def test_time_that_is_up_ends_a_tool_in_the_middle(log: Log, runner: Run, replies: Any, seen: Seen) -> None:
    await log.append(BlueprintCreated(timestamp=now(), name="quick", budget=Budget(max_wall_s=0.8)))
    async with replies.given(replies.tool("bash", {"command": "sleep 5432176"}, "u1")), runner():
        await log.append(requested(agent_name="quick", budget=Budget(max_wall_s=600)))
        (end,) = await seen(OVER)
    assert isinstance(end, SessionFailed)
    assert (end.code, end.reason) == ("budget_wall", "the session's time of 0.8 s was up")


async def test_time_that_is_up_ends_an_answer_in_the_middle(log: Log, runner: Run, replies: Any, seen: Seen) -> None:
    never = replies.held(replies.start() + replies.words("Half"), asyncio.Event())
    async with replies.given(never), runner():
        await log.append(requested(budget=Budget(max_wall_s=0.8)))
        (end,) = await seen(OVER)
    assert isinstance(end, SessionFailed)
    assert end.code == "budget_wall"


async def test_dollars_of_a_model_that_has_no_price_are_refused_at_the_start(
    log: Log, runner: Run, replies: Any, seen: Seen
) -> None:
    async with replies.given(replies.text("done")) as asked, runner():
        await log.append(requested(model="local-llama", budget=Budget(max_usd=1.0)))
        (end,) = await seen(OVER)
    assert isinstance(end, SessionFailed)
    assert "no price for the model 'local-llama'" in end.reason
    assert asked == []


async def test_turns_that_are_used_up_end_it_also_when_another_runner_goes_on(
    log: Log, runner: Run, replies: Any, seen: Seen
) -> None:
    async with replies.given(replies.tool("bash", {"command": "sleep 4321765"}, "u1")) as asked:
        async with runner("runner-1"):
            await log.append(requested(max_turns=1))
            await seen(ToolCalled)
        async with runner("runner-2"):
            (end,) = await seen(OVER)
    assert isinstance(end, SessionFailed)
    assert (end.code, end.reason) == ("max_turns", "the session used all of its 1 turns")
    assert len(asked) == 1
