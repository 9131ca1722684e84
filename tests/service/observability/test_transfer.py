"""Sessions out of one lab and into another, with real logs and real rows."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchwire.events import nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.log import Log
from benchwire.events.projection import rows_of
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionEnded,
    SessionRequested,
    SessionStarted,
    SessionStopRequested,
    ToolCalled,
    ToolReturned,
)
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT, sample
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

HEAD = {"format": "benchwire-session", "version": 1, "session": {"session_id": "s"}}


def said(text: str, role: str = "assistant", session_id: str = "s") -> MessageSent:
    return MessageSent(timestamp=AT, session_id=session_id, role=role, content=[{"type": "text", "text": text}])


def record(number: int, **fields: Any) -> dict[str, Any]:
    body = {
        "event_type": "message",
        "timestamp": "2026-01-17T12:00:00Z",
        "session_id": "s",
        "role": "user",
        "content": [],
    }
    return {"id": f"e{number}", "event": {**body, **fields}}


def ndjson(*lines: Any) -> bytes:
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


Lab = tuple[httpx.AsyncClient, Log]


@pytest.fixture
async def another(tmp_path: Path) -> AsyncIterator[Lab]:
    """Another lab. To be asked for before ``client``, under which nothing may block, and starting a server does."""
    home = tmp_path / "other"
    async with nats_server.running(home / "nats") as nats:
        own = Settings(nats_url=nats.url, data=home / "data", observability_port=0)
        async with (
            connected(NatsSettings(nats_url=nats.url), name="test") as bus,
            running(lambda ready: observe(own, on_ready=ready)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
        ):
            yield client, Log(bus)


async def put(client: httpx.AsyncClient, log: Log, *events: Any) -> None:
    for event in events:
        sequence = await log.append(event)

    async def shown() -> bool:
        return bool((await client.get("/health")).json()["projection"]["applied"] >= sequence)

    await eventually(shown)


async def a_session(client: httpx.AsyncClient, log: Log) -> None:
    """One of every kind, as an agent runner writes them."""
    await put(
        client, log,
        SessionRequested(timestamp=AT, session_id="s", session_name="S", prompt="go", project_dir="/p"),
        SessionClaimed(timestamp=AT, session_id="s", runner="runner-1"),
        SessionStarted(timestamp=AT, session_id="s", session_name="S", project_dir="/p"),
        said("go", "user"), said("I look"),
        ModelUsed(timestamp=AT, session_id="s", model="m", input_tokens=1, output_tokens=2),
        sample(ToolCalled, session_id="s"), sample(ToolReturned, session_id="s"), said("all done"),
        SessionStopRequested(timestamp=AT, session_id="s"),
        SessionEnded(timestamp=AT, session_id="s", session_name="S"),
    )  # fmt: skip


async def events_of(client: httpx.AsyncClient, session_id: str = "s") -> list[dict[str, Any]]:
    found = (await client.get(f"/sessions/{session_id}/events")).json()["events"]
    return [{key: value for key, value in one.items() if key != "id"} for one in found]


def renamed(events: Iterable[dict[str, Any]], session_id: str) -> list[dict[str, Any]]:
    return [{**one, "session_id": session_id} for one in events]


async def test_a_session_is_the_same_in_the_lab_that_it_is_imported_into(
    another: Lab, client: httpx.AsyncClient, log: Log
) -> None:
    await a_session(client, log)
    answer = await client.get("/sessions/s/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    head, *records = [json.loads(line) for line in answer.content.splitlines()]
    assert (head["format"], head["version"], head["events"]) == ("benchwire-session", 1, 11)
    assert head["session"] == (await client.get("/sessions/s")).json()["session"]
    in_the_log = [one async for one in log.read(["bench.session.s.*"])]
    assert [one["id"] for one in records] == [one.id for one in in_the_log]
    assert records[0]["event"]["event_type"] == "session_requested"
    other, its_log = another
    answer = await other.post("/sessions/import", content=answer.content)
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True, "accepted": 9, "repeated": 0, "left_out": 2, "rejected": 0, "errors": [],
        "sessions": [{"session_id": "s", "imported_from": "s", "events": 9}],
    }  # fmt: skip
    for path in ("/sessions/s", "/sessions/s/result", "/sessions/s/status"):
        assert (await other.get(path)).json() == (await client.get(path)).json()
    assert await events_of(other) == await events_of(client)
    taken = [type(one.event) async for one in its_log.read(["bench.session.>"])]
    assert SessionRequested not in taken
    assert SessionClaimed not in taken


async def test_an_import_that_is_repeated_changes_nothing(another: Lab, client: httpx.AsyncClient, log: Log) -> None:
    await a_session(client, log)
    file = (await client.get("/sessions/s/export")).content
    other, its_log = another
    # It breaks off after some lines, comes twice at once, and then once more: each event is in the log once.
    await other.post("/sessions/import", content=b"".join(file.splitlines(keepends=True)[:6]))
    answers = await asyncio.gather(*(other.post("/sessions/import", content=file) for _ in range(2)))
    assert {answer.status_code for answer in answers} == {200}
    third = (await other.post("/sessions/import", content=file)).json()
    assert (third["accepted"], third["repeated"]) == (0, 9)
    assert len([one async for one in its_log.read(["bench.session.s.*"])]) == 9
    assert await events_of(other) == await events_of(client)
    assert (await other.get("/sessions/s")).json()["session"]["status"] == "finished"


async def test_a_session_that_is_here_already_is_left_alone(client: httpx.AsyncClient, log: Log) -> None:
    await a_session(client, log)
    file = (await client.get("/sessions/s/export")).content
    before = await log.last_sequence("bench.>")
    answer = await client.post("/sessions/import", content=file)
    assert (answer.status_code, answer.json()["status_code"]) == (409, 409)
    assert "another id" in answer.json()["detail"]
    assert await log.last_sequence("bench.>") == before
    copy = (await client.post("/sessions/import?session_id=copy", content=file)).json()
    assert copy["sessions"] == [{"session_id": "copy", "imported_from": "s", "events": 9}]
    assert await events_of(client, "copy") == renamed(await events_of(client), "copy")
    more = (await client.post("/sessions/import?prefix=old-", content=file)).json()
    assert more["sessions"][0]["session_id"] == "old-s"


async def test_a_session_that_was_deleted_can_be_imported_again(client: httpx.AsyncClient, log: Log) -> None:
    await a_session(client, log)
    before, file = await events_of(client), (await client.get("/sessions/s/export")).content
    for _ in range(2):  # a second time, the copies of the first import are the ones that were deleted
        assert (await client.delete("/sessions/s")).status_code == 200
        assert (await client.post("/sessions/import", content=file)).json()["accepted"] == 9
        assert await events_of(client) == before
    assert (await client.get("/sessions/s/export")).content.count(b"\n") == 10  # without the tombstone


async def test_what_was_running_is_closed_because_nobody_runs_it_here(
    another: Lab, client: httpx.AsyncClient, log: Log
) -> None:
    await put(client, log, SessionStarted(timestamp=AT, session_id="s", session_name="S"), said("working"))
    file = (await client.get("/sessions/s/export")).content
    other, its_log = another
    for _ in range(2):
        assert (await other.post("/sessions/import", content=file)).status_code == 200
    found = (await other.get("/sessions/s")).json()["session"]
    assert (found["status"], found["modified_at"]) == (
        "stopped",
        (await client.get("/sessions/s")).json()["session"]["modified_at"],
    )
    assert (await other.get("/sessions/s/status")).json()["reason"] == "imported while it was running"
    assert len([one async for one in its_log.read(["bench.session.s.stopped"])]) == 1
    assert (await client.get("/sessions/s/status")).json()["status"] == "running"
    # It ends there, and is taken over once more.
    await put(client, log, said("all done"), SessionEnded(timestamp=AT, session_id="s"))
    file = (await client.get("/sessions/s/export")).content
    for accepted in (2, 0):
        assert (await other.post("/sessions/import", content=file)).json()["accepted"] == accepted
    assert (await other.get("/sessions/s")).json()["session"]["status"] == "finished"
    assert (await other.get("/sessions/s/result")).json() == {"result": "all done"}


async def test_several_sessions_in_one_file_come_in_and_a_bad_one_does_not_take_the_others_along(
    client: httpx.AsyncClient,
) -> None:
    head = {**HEAD, "session": {"session_id": "t"}}
    file = ndjson(
        HEAD,
        record(1),
        {**head, "version": 9},
        record(2),
        {**HEAD, "session": {"session_id": "u"}},
        record(3, session_id="u"),
    )
    answer = await client.post("/sessions/import?prefix=x-", content=file)
    told = answer.json()
    assert (answer.status_code, told["accepted"], told["rejected"]) == (200, 2, 2)
    assert [one["line"] for one in told["errors"]] == [3, 4]
    assert [one["session_id"] for one in told["sessions"]] == ["x-s", "x-u"]
    only = await client.post(
        "/sessions/import?session_id=y", content=ndjson(HEAD, record(1), head, record(2, session_id="t"))
    )
    assert [one["session_id"] for one in only.json()["sessions"]] == ["y"]
    assert "prefix" in only.json()["errors"][0]["detail"]


async def test_a_line_that_cannot_land_is_named_with_the_reason(client: httpx.AsyncClient) -> None:
    lines = {
        b"{": "", b'"text"': "object", b"\xff": "", b"[" * 5000: "", json.dumps(record(1, role="cat")).encode(): "role",
        json.dumps(record(2, session_id="other")).encode(): "'s'",
        json.dumps(record(3, timestamp="yesterday")).encode(): "timestamp",
        json.dumps({"id": "e4", "event": {"event_type": "weather"}}).encode(): "weather",
        json.dumps(record(5, event_type="session_deleted")).encode(): "session_deleted",
        json.dumps(record(6, event_type="task_requested", task_id="t", kind="firmware")).encode(): "task_requested",
        json.dumps({"id": "e7", "event": None}).encode(): "could not be read",
        json.dumps({"id": "e8"}).encode(): "event",
        b'{"id":"e9","event":{"event_type":"message","text":"' + b"x" * (5 << 20) + b'"}}': "4 MiB",
        json.dumps(record(10, content=[{"type": "text", "text": "x" * (2 << 20)}])).encode(): "bytes",
    }  # fmt: skip
    answer = await client.post("/sessions/import", content=ndjson(HEAD, *lines, record(11)))
    told = answer.json()
    assert (answer.status_code, told["ok"], told["accepted"], told["rejected"]) == (200, False, 1, len(lines))
    assert [one["line"] for one in told["errors"]] == list(range(2, len(lines) + 2))
    for problem, words in zip(told["errors"], lines.values(), strict=True):
        assert words in problem["detail"]
        assert len(problem["detail"]) < 1000


async def test_a_file_of_which_nothing_can_be_taken_is_refused(client: httpx.AsyncClient) -> None:
    for body in (
        b"",
        b"\n\n",
        b"{}",
        ndjson(record(1)),
        ndjson({**HEAD, "format": "zip"}),
        ndjson({**HEAD, "session": {"session_id": "a b"}}),
    ):
        answer = await client.post("/sessions/import", content=body)
        assert (answer.status_code, answer.json()["status_code"]) == (400, 400), body
        assert answer.json()["detail"].startswith("nothing was imported"), body


async def test_a_file_that_was_cut_off_is_told_and_finished_by_the_whole_one(client: httpx.AsyncClient) -> None:
    whole = ndjson({**HEAD, "events": 3}, record(1), record(2), record(3))
    cut = (await client.post("/sessions/import", content=b"".join(whole.splitlines(keepends=True)[:3]))).json()
    assert (cut["ok"], cut["accepted"]) == (False, 2)
    assert "2 of the 3" in cut["errors"][0]["detail"]
    assert (await client.get("/sessions/s")).json()["session"]["status"] == "running"
    assert (await client.post("/sessions/import", content=whole)).json()["accepted"] == 1
    assert (await client.get("/sessions/s")).json()["session"]["status"] == "stopped"


async def test_a_long_session_comes_out_and_in_piece_by_piece(
    another: Lab, client: httpx.AsyncClient, log: Log
) -> None:
    words = "word " * 20
    body = ndjson(
        *(record(0, content=[{"type": "text", "text": f"{number} {words}"}])["event"] for number in range(2000))
    )
    assert (await client.post("/events", content=body, headers={"Content-Type": "application/x-ndjson"})).json()["ok"]
    other, _ = another
    async with client.stream("GET", "/sessions/s/export") as answer:
        told = (await other.post("/sessions/import", content=answer.aiter_bytes())).json()
        assert (told["accepted"], told["rejected"]) == (2000, 0)
        listed = (await other.get("/sessions/s/events?limit=3000")).json()["events"]
        assert [int(one["content"][0]["text"].split()[0]) for one in listed if one["event_type"] == "message"] == list(
            range(2000)
        )


async def test_only_what_is_there_is_exported(client: httpx.AsyncClient) -> None:
    answer = await client.get("/sessions/nobody/export")
    assert (answer.status_code, answer.json()["status_code"]) == (404, 404)
    assert (await client.get("/sessions/a.b/export")).status_code == 400
    assert (await client.post("/sessions/nobody")).status_code == 405


async def test_a_session_may_still_be_called_import(client: httpx.AsyncClient) -> None:
    await client.post("/sessions", json={"session_id": "import", "session_name": "I"})
    assert (await client.get("/sessions/import")).json()["session"]["session_name"] == "I"
    assert (await client.delete("/sessions/import")).status_code == 200


async def test_rows_of_imports_agents_and_forks_are_the_same_after_a_rebuild(
    nats: nats_server.Server, bus: Bus, tmp_path: Path
) -> None:
    log = Log(bus)
    own = Settings(nats_url=nats.url, data=tmp_path / "live", observability_port=0)
    again = Settings(nats_url=nats.url, data=tmp_path / "rebuilt", observability_port=0)
    async with (
        running(lambda ready: observe(own, on_ready=ready)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client,
    ):
        await a_session(client, log)
        file = (await client.get("/sessions/s/export")).content
        await client.post("/sessions/import?prefix=x-", content=file)
        await client.post("/sessions/s/fork", json={"session_id": "f"})
        await client.post("/agents", json={"name": "one", "tags": ["t"]})
        await client.patch("/agents/one", json={"tags": []})
    async with running(lambda ready: observe(again, on_ready=ready)):
        pass
    live, rebuilt = rows_of(own.projection_file), rows_of(again.projection_file)
    assert live == rebuilt
    assert len(live["blueprints"]) == 1
