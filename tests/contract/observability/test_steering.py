"""What clients rely on who say something to sessions, and decide whether a tool may run."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from benchwire.events.live import SessionDelta
from benchwire.events.log import Log
from benchwire.events.session import (
    MessageRequested,
    SessionClaimed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    ToolApprovalRequested,
    ToolDecided,
)
from benchwire.events.testing.eventually import eventually
from benchwire.web.testing import refused

APPROVAL = {
    "session_id", "tool_use_id", "tool_name", "tool_input", "asked_at", "expires_at", "state", "decided_at", "by", "reason",
}  # fmt: skip
BUDGET = {"max_tokens": 1000, "max_usd": 0.5, "max_wall_s": 60.0}


def now() -> datetime:
    return datetime.now(UTC)


async def begin(client: httpx.AsyncClient, **more: Any) -> None:
    body = {"session_id": "s", "session_name": "S", "prompt": "Blink.", "ask_before": ["bash"], **more}
    answer = await client.post("/sessions", json=body)
    assert answer.status_code == 200, answer.text


async def facts(log: Log) -> list[Any]:
    return [one.event async for one in log.read(["bench.session.s.>"])]


async def ask(log: Log, use: str, *, expires_in_s: float = 600.0) -> None:
    """As a runner asks whether a call may run."""
    at = now()
    await log.append(
        ToolApprovalRequested(
            timestamp=at, session_id="s", tool_use_id=use, tool_name="bash", tool_input={"command": "ls"},
            expires_at=at + timedelta(seconds=expires_in_s),
        )
    )  # fmt: skip


async def approvals(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/approvals{query}")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["approvals"]
    return found


async def waiting(client: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    async def are_shown() -> list[dict[str, Any]] | None:
        found = await approvals(client, "?state=waiting")
        return found if len(found) == count else None

    found: list[dict[str, Any]] = await eventually(are_shown, what=f"{count} calls to wait")
    return found


# What is asked for


async def test_a_session_is_asked_for_with_a_budget_and_tools_that_wait(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client, budget=BUDGET)
    (asked,) = await facts(log)
    assert isinstance(asked, SessionRequested)
    assert (asked.ask_before, asked.budget) == (["bash"], asked.budget)
    assert asked.budget is not None
    assert (asked.budget.max_tokens, asked.budget.max_usd, asked.budget.max_wall_s) == (1000, 0.5, 60.0)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"budget": {"max_tokens": 0}}, "max_tokens"),
        ({"budget": {"max_usd": -1}}, "max_usd"),
        ({"budget": {"max_wall_s": 1e12}}, "max_wall_s"),
        ({"budget": {"max_tonkens": 1}}, "max_tonkens"),
        ({"ask_before": ["rm -rf"]}, "ask_before"),
        ({"prompt": " \n"}, "prompt"),
    ],
)
async def test_a_session_that_could_never_run_is_refused(
    client: httpx.AsyncClient, more: dict[str, Any], word: str
) -> None:
    body = {"session_id": "s", "session_name": "S", "prompt": "Blink.", **more}
    refused(await client.post("/sessions", json=body), 400, word)


# Messages


async def test_a_message_to_a_fork_that_nobody_began_begins_it(client: httpx.AsyncClient, log: Log) -> None:
    hooks = {"session_id": "from", "session_name": "From", "timestamp": "2026-01-17T12:00:00Z"}
    content = [{"type": "text", "text": "What blinks?"}]
    await client.post("/events", json={**hooks, "event_type": "message", "role": "user", "content": content})
    forked = await client.post("/sessions/from/fork", json={"session_id": "s"})
    assert forked.status_code == 200, forked.text
    answer = await client.post("/sessions/s/messages", json={"text": "And why?", "message_id": "m-1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "resumed"), answer.text
    (asked,) = [one for one in await facts(log) if isinstance(one, SessionRequested)]
    assert (asked.prompt, asked.message_id) == ("And why?", "m-1")
    again = await client.post("/sessions/s/messages", json={"text": "Well?"})
    assert again.json()["status"] == "queued"


async def test_a_message_to_a_session_that_runs_waits_for_its_next_turn(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client)
    body = {"text": "Use TIM3.", "message_id": "m-1", "by": "ada"}
    for _ in range(2):
        answer = await client.post("/sessions/s/messages", json=body)
        assert answer.status_code == 202
        assert answer.json() == {"ok": True, "session_id": "s", "message_id": "m-1", "status": "queued"}
    said = [one for one in await facts(log) if isinstance(one, MessageRequested)]
    assert [(one.message_id, one.text, one.by) for one in said] == [("m-1", "Use TIM3.", "ada")]
    refused(await client.post("/sessions/s/messages", json={"text": " \n"}), 400, "text", "blank")
    made = (await client.post("/sessions/s/messages", json={"text": "And hurry."})).json()["message_id"]
    assert made not in ("", "m-1")
    events = (await client.get("/sessions/s/events", params={"event_type": "message_requested"})).json()["events"]
    assert [one["text"] for one in events] == ["Use TIM3.", "And hurry."]


async def test_a_message_to_a_session_that_has_ended_goes_on_with_it_as_it_was(
    client: httpx.AsyncClient, log: Log
) -> None:
    await begin(client, budget=BUDGET, model="a-model", max_turns=7)
    await log.append(SessionClaimed(timestamp=now(), session_id="s", runner="r"))
    await log.append(SessionEnded(timestamp=now(), session_id="s"))

    async def resumed(**body: Any) -> httpx.Response | None:
        answer = await client.post("/sessions/s/messages", json={"text": "Faster.", "message_id": "m-2", **body})
        return answer if answer.json()["status"] == "resumed" else None

    answer = await resumed()
    assert answer is not None
    assert answer.json() == {"ok": True, "session_id": "s", "message_id": "m-2", "status": "resumed"}
    assert (await client.get("/sessions/s")).json()["session"]["status"] == "running"
    first, again = [one for one in await facts(log) if isinstance(one, SessionRequested)]
    assert (again.prompt, again.message_id) == ("Faster.", "m-2")
    for field in ("session_name", "model", "max_turns", "budget", "ask_before"):
        assert getattr(again, field) == getattr(first, field), field
    assert await resumed() is not None  # the same message again changes nothing
    assert len([one for one in await facts(log) if isinstance(one, SessionRequested)]) == 2
    await log.append(SessionFailed(timestamp=now(), session_id="s", reason="spent", code="budget_tokens"))
    answer = await client.post(
        "/sessions/s/messages",
        json={"text": "Go on.", "max_turns": 3, "budget": {"max_tokens": 9}, "model": "b-model"},
    )
    assert answer.json()["status"] == "resumed"
    last = (await facts(log))[-1]
    assert (last.max_turns, last.budget.max_tokens, last.model, last.ask_before) == (3, 9, "b-model", ["bash"])


async def test_of_a_message_and_an_end_at_once_the_message_is_heard_in_any_case(
    client: httpx.AsyncClient, log: Log
) -> None:
    await begin(client)
    await log.append(SessionClaimed(timestamp=now(), session_id="s", runner="r"))
    said, _ = await asyncio.gather(
        client.post("/sessions/s/messages", json={"text": "Wait."}),
        log.append(SessionEnded(timestamp=now(), session_id="s")),
    )
    told = await facts(log)
    end = next(place for place, one in enumerate(told) if isinstance(one, SessionEnded))
    is_before = any(isinstance(one, MessageRequested) for one in told[:end])
    assert said.json()["status"] == ("queued" if is_before else "resumed")
    assert is_before or isinstance(told[-1], SessionRequested)


async def test_who_cannot_be_told_anything_is_said(client: httpx.AsyncClient) -> None:
    refused(await client.post("/sessions/s/messages", json={"text": "Hello?"}), 404, "no session 's'")
    hook = {"event_type": "session_start", "session_id": "s", "session_name": "S", "timestamp": "2026-01-17T12:00:00Z"}
    assert (await client.post("/events", json=hook)).status_code == 200
    refused(await client.post("/sessions/s/messages", json={"text": "Hello?"}), 409, "outside of this lab")
    refused(await client.post("/sessions/s/messages", json={"text": ""}), 400, "text")
    refused(await client.post("/sessions/s/messages", json={"text": "x", "message_id": "a b"}), 400, "message_id")
    stop = {"event_type": "session_stop", "session_id": "s", "timestamp": "2026-01-17T12:01:00Z", "exit_code": 0}
    assert (await client.post("/events", json=stop)).status_code == 200
    assert (await client.post("/sessions/s/messages", json={"text": "Go on."})).json()["status"] == "resumed"


async def test_a_session_whose_agent_is_gone_does_not_go_on_without_its_rules(
    client: httpx.AsyncClient, log: Log
) -> None:
    assert (await client.post("/agents", json={"name": "careful", "ask_before": ["bash"]})).status_code == 201
    await begin(client, agent_name="careful")
    await log.append(SessionEnded(timestamp=now(), session_id="s"))
    assert (await client.delete("/agents/careful")).status_code == 204

    async def is_refused() -> bool:
        return (await client.post("/sessions/s/messages", json={"text": "Go on."})).status_code == 400

    await eventually(is_refused)


# Calls that wait


async def test_a_call_that_waits_is_shown_and_decided_once(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client)
    async with connect(f"ws://127.0.0.1:{client.base_url.port}/ws?session_id=s") as socket:
        await ask(log, "toolu_1")
        (one,) = await waiting(client, 1)
        assert set(one) == APPROVAL
        assert (one["session_id"], one["tool_name"], one["tool_input"]) == ("s", "bash", {"command": "ls"})
        assert (await client.get("/sessions/s")).json()["session"]["approvals"] == 1
        assert (await client.get("/sessions/s/approvals")).json()["approvals"] == [one]
        path = "/sessions/s/approvals/toolu_1"
        bodies = [{"approve": number % 2 == 0, "reason": "because", "by": f"p{number}"} for number in range(6)]
        answers = await asyncio.gather(*(client.post(path, json=body) for body in bodies))
        assert sorted(answer.status_code for answer in answers) == [200, *[409] * 5]
        (winner,) = [number for number, answer in enumerate(answers) if answer.status_code == 200]
        decided = answers[winner].json()
        assert decided["ok"] is True
        state = "approved" if winner % 2 == 0 else "denied"
        assert {**one, **decided["approval"]} == decided["approval"]
        assert (decided["approval"]["state"], decided["approval"]["by"]) == (state, f"p{winner}")
        assert (await client.get("/sessions/s")).json()["session"]["approvals"] == 0
        assert await approvals(client, "?state=waiting") == []
        assert await approvals(client) == [decided["approval"]]
        told = []
        while "tool_decided" not in told:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 30.0))
            told.append(frame["data"]["event_type"] if frame["type"] == "event" else frame["type"])
        assert "tool_approval_requested" in told
        assert "session_updated" in told


async def test_a_decision_that_nobody_signs_is_a_persons(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client)
    await ask(log, "toolu_1")
    await waiting(client, 1)
    decided = (await client.post("/sessions/s/approvals/toolu_1", json={"approve": False})).json()["approval"]
    assert (decided["state"], decided["by"]) == ("denied", "a person")


async def test_a_call_that_no_longer_waits_cannot_be_decided(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client)
    refused(await client.post("/sessions/s/approvals/toolu_1", json={"approve": True}), 404, "toolu_1")
    refused(await client.post("/sessions/s/approvals/toolu_1", json={}), 400, "approve")
    refused(await client.get("/sessions/nobody/approvals"), 404)
    refused(await client.get("/approvals", params={"state": "asleep"}), 400, "state: it must be", "waiting")
    await ask(log, "late", expires_in_s=-1.0)
    await ask(log, "unheard")
    decided = ToolDecided(
        timestamp=now(), session_id="s", tool_use_id="unheard", approved=False, reason="nobody decided"
    )
    await log.append(decided)
    await ask(log, "void")
    await waiting(client, 1)
    refused(await client.post("/sessions/s/approvals/late", json={"approve": True}), 409, "expired")
    refused(await client.post("/sessions/s/approvals/unheard", json={"approve": True}), 409, "expired")
    assert {one["tool_use_id"] for one in await approvals(client, "?state=expired")} == {"late", "unheard"}
    stopped = await client.post("/sessions/s/stop")
    assert stopped.json()["status"] == "stopped"
    refused(await client.post("/sessions/s/approvals/void", json={"approve": True}), 409, "void")
    (one, *_) = await approvals(client, "?state=void")
    assert one["decided_at"] is not None
    assert (await client.get("/sessions/s")).json()["session"]["approvals"] == 0


async def test_approvals_go_with_their_session(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client)
    await ask(log, "toolu_1")
    await waiting(client, 1)
    assert (await client.delete("/sessions/s")).status_code == 200
    assert await approvals(client) == []


# As it happens


async def test_what_a_model_says_is_told_as_it_says_it_to_who_wants_that(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client)
    url = f"ws://127.0.0.1:{client.base_url.port}/ws?session_id=s"
    async with connect(f"{url}&deltas=true") as eager, connect(url) as calm:
        for socket in (eager, calm):
            assert json.loads(await socket.recv())["type"] == "init"
        for session_id, text in (("other", "no"), ("s", "Hel"), ("s", "lo")):
            await log.sample(SessionDelta(timestamp=now(), session_id=session_id, text=text))
        told = [json.loads(await asyncio.wait_for(eager.recv(), 30.0)) for _ in range(2)]
        assert told == [{"type": "delta", "session_id": "s", "text": text} for text in ("Hel", "lo")]
        await client.post("/sessions/s/messages", json={"text": "x"})
        for socket in (eager, calm):
            frame = json.loads(await asyncio.wait_for(socket.recv(), 30.0))
            assert frame["data"]["event_type"] == "message_requested"


async def test_why_a_session_failed_is_told_for_programs_too(client: httpx.AsyncClient, log: Log) -> None:
    await begin(client)
    await log.append(SessionFailed(timestamp=now(), session_id="s", reason="all of it is spent", code="budget_usd"))

    async def has_failed() -> bool:
        return bool((await client.get("/sessions/s")).json()["session"]["status"] == "failed")

    await eventually(has_failed)
    session = (await client.get("/sessions/s")).json()["session"]
    assert (session["reason"], session["code"]) == ("all of it is spent", "budget_usd")
    assert (await client.get("/sessions/s/status")).json()["code"] == "budget_usd"
    await client.post("/sessions/s/messages", json={"text": "Go on."})
    assert (await client.get("/sessions/s")).json()["session"]["code"] is None
