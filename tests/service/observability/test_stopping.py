"""Stops as they are seen from outside: who is told, what races with what, and what ends together."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect

from benchwire.events import nats_server
from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.session import (
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    ToolApprovalRequested,
)
from benchwire.events.task import TaskClaimed
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

AT = "2026-01-17T12:00:00"
RUNNER = Present(service="agent", name="runner-1", version="0", pid=os.getpid())

Running = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


def now() -> datetime:
    return datetime.now(UTC)


async def hook(client: httpx.AsyncClient, event_type: str, session_id: str, **more: Any) -> None:
    body = {"event_type": event_type, "session_id": session_id, "timestamp": AT, **more}
    (await client.post("/events", json=body)).raise_for_status()


async def says(client: httpx.AsyncClient, session_id: str) -> None:
    await hook(client, "message", session_id, role="assistant", content=[{"type": "text", "text": "x"}])


async def ask(client: httpx.AsyncClient, session_id: str, **more: Any) -> None:
    body = {"session_id": session_id, "session_name": session_id, "prompt": "do it", **more}
    (await client.post("/sessions", json=body)).raise_for_status()


async def stop(client: httpx.AsyncClient, session_id: str) -> dict[str, Any]:
    answer = await client.post(f"/sessions/{session_id}/stop")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def status(client: httpx.AsyncClient, session_id: str) -> str:
    return str((await client.get(f"/sessions/{session_id}")).json()["session"]["status"])


async def types_of(log: Log, session_id: str) -> list[str]:
    found = [one async for one in log.read([f"bench.session.{session_id}.*"])]
    return [str(one.event.__struct_config__.tag) for one in found]


@pytest.fixture
def service(settings: Settings) -> Running:
    """The service with other settings than usual."""

    @asynccontextmanager
    async def served(**changed: Any) -> AsyncIterator[httpx.AsyncClient]:
        other = msgspec.structs.replace(settings, **changed)
        async with (
            running(lambda ready: observe(other, on_ready=ready)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client,
        ):
            yield client

    return served


# Clients outside


async def test_a_client_outside_is_told_of_its_stop_wherever_it_listens(
    client: httpx.AsyncClient, port: int, bus: Bus
) -> None:
    await hook(client, "session_start", "s")
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(message: Any) -> None:
        heard.put_nowait(message.data)

    await bus.nc.subscribe("bench.session.s.stopped", cb=hear)
    await bus.nc.flush()
    async with connect(f"ws://127.0.0.1:{port}/ws?session_id=s") as socket:
        assert json.loads(await socket.recv())["sessions"][0]["status"] == "running"
        streaming = asyncio.create_task(_until_stopped(client))
        await stop(client, "s")
        frames = [json.loads(await asyncio.wait_for(socket.recv(), 10)) for _ in range(2)]
        await asyncio.wait_for(streaming, 10)
    assert [frame["type"] for frame in frames] == ["event", "session_updated"]
    assert frames[0]["data"]["event_type"] == "session_stopped"
    assert frames[1]["session"]["status"] == "stopped"
    assert json.loads(await asyncio.wait_for(heard.get(), 10))["event_type"] == "session_stopped"
    told = (await client.get("/sessions/s/status")).json()
    assert (told["status"], told["reason"]) == ("stopped", "stopped on request")


async def _until_stopped(client: httpx.AsyncClient) -> None:
    async with client.stream("GET", "/sessions/s/stream") as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:") and '"status":"stopped"' in line:
                return


async def test_what_comes_late_does_not_revive_a_stopped_session_and_a_new_start_does(
    client: httpx.AsyncClient,
) -> None:
    await hook(client, "session_start", "s")
    await stop(client, "s")
    await says(client, "s")
    await hook(client, "pre_tool", "s", tool_name="t")
    await hook(client, "session_stop", "s", exit_code=0)
    assert await status(client, "s") == "stopped"
    await hook(client, "session_start", "s")
    assert await status(client, "s") == "running"
    await stop(client, "s")
    assert await status(client, "s") == "stopped"


async def test_of_many_stops_at_once_one_is_written_and_all_are_answered(client: httpx.AsyncClient, log: Log) -> None:
    await hook(client, "session_start", "s")
    answers = await asyncio.gather(*(client.post("/sessions/s/stop") for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {200, 409}  # one that came when it was over is told so
    assert {answer.json()["status"] for answer in answers if answer.status_code == 200} == {"stopped"}
    assert await types_of(log, "s") == ["session_start", "session_stopped"]


async def test_a_stop_and_an_end_that_meet_agree_on_who_was_first(client: httpx.AsyncClient, log: Log) -> None:
    for number in range(12):
        session_id = f"s{number}"
        await hook(client, "session_start", session_id)
        answer, _ = await asyncio.gather(
            client.post(f"/sessions/{session_id}/stop"), hook(client, "session_stop", session_id)
        )
        types = await types_of(log, session_id)
        first = "stopped" if types[1] == "session_stopped" else "finished"
        assert await status(client, session_id) == first
        assert (answer.status_code, first) == (409, "finished") or answer.json()["session_status"] == first
        assert types.count("session_stopped") == (1 if first == "stopped" else 0)


async def test_a_client_that_never_stops_talking_is_stopped(client: httpx.AsyncClient) -> None:
    await hook(client, "session_start", "s")
    talking = [asyncio.create_task(_talk(client)) for _ in range(4)]
    try:
        assert (await stop(client, "s"))["status"] == "stopped"
    finally:
        for one in talking:
            one.cancel()
        await asyncio.wait(talking)
    assert await status(client, "s") == "stopped"


async def _talk(client: httpx.AsyncClient) -> None:
    while True:
        await says(client, "s")


async def test_a_session_that_never_said_that_it_began_is_stopped(client: httpx.AsyncClient) -> None:
    await says(client, "s")
    assert (await stop(client, "s"))["status"] == "stopped"
    await client.delete("/sessions/s")
    assert (await client.post("/sessions/s/stop")).status_code == 404
    await says(client, "s")  # its client has not heard of it
    assert (await stop(client, "s"))["status"] == "stopped"
    assert await status(client, "s") == "stopped"


async def test_while_nats_is_gone_a_stop_says_503_and_nothing_of_it_happens_later(tmp_path: Path) -> None:
    """What was published while the connection was gone used to be sent when it came back, after the caller was told that it failed."""
    async with nats_server.running(tmp_path / "nats") as first:
        nats_port = first.port
        settings = Settings(nats_url=first.url, data=tmp_path / "data", observability_port=0)
        service = running(lambda ready: observe(settings, on_ready=ready))
        port = await service.__aenter__()
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0)
        await hook(client, "session_start", "outside", parent_session_id="queued")
        await ask(client, "queued")
    try:

        async def away() -> bool:
            return bool((await client.get("/health")).json()["nats"] == "gone")

        await eventually(away)
        answer = await client.post("/sessions/queued/stop")
        assert (answer.status_code, set(answer.json())) == (503, {"detail", "status_code"})
        assert answer.headers["retry-after"]
        async with nats_server.running(tmp_path / "nats", port=nats_port):

            async def healthy() -> bool:
                return (await client.get("/health")).status_code == 200

            await eventually(healthy)
            await hook(client, "session_start", "after")
            assert [await status(client, one) for one in ("outside", "queued")] == ["running", "running"]
            told = await stop(client, "queued")
            assert (told["status"], told["children_stopped"]) == ("stopped", ["outside"])
    finally:
        await client.aclose()
        await service.__aexit__(None, None, None)


# Runners that are gone


async def test_what_a_gone_runner_left_is_closed_without_anybody_asking(service: Running, log: Log, bus: Bus) -> None:
    async with service(orphaned_after_s=0.5) as client, Presence(bus).announced(RUNNER):
        for session_id, runner in (("left", "runner-2"), ("held", "runner-1"), ("queued", None)):
            await ask(client, session_id)
            if runner:
                await log.append(SessionClaimed(timestamp=now(), session_id=session_id, runner=runner))

        async def closed() -> bool:
            return await status(client, "left") == "failed"

        await eventually(closed, within_s=20)
        assert "runner-2 is gone" in (await client.get("/sessions/left/status")).json()["reason"]
        assert [await status(client, one) for one in ("held", "queued")] == ["running", "running"]


async def test_of_two_services_that_see_a_runner_gone_one_closes_what_it_left(
    service: Running, settings: Settings, log: Log
) -> None:
    many = [f"s{number}" for number in range(8)]
    elsewhere = settings.data / "elsewhere"
    async with service(orphaned_after_s=0.5) as one, service(orphaned_after_s=0.5, data=elsewhere) as other:
        for session_id in many:
            await ask(one, session_id)
            await log.append(SessionClaimed(timestamp=now(), session_id=session_id, runner="runner-2"))

        async def closed() -> bool:
            told = [await status(client, session_id) for client in (one, other) for session_id in many]
            return set(told) == {"failed"}

        await eventually(closed, within_s=30)
        assert [(await types_of(log, session_id)).count("session_failed") for session_id in many] == [1] * 8


async def test_a_task_that_a_gone_runner_left_is_closed_and_gives_its_board_back(service: Running, log: Log) -> None:
    async with service(orphaned_after_s=0.5) as client:
        task_id = (await client.post("/tasks", json={"prompt": "blink", "board": "stm32f405"})).json()["task_id"]
        on: dict[str, Any] = {"timestamp": now(), "host": "lab-1", "device": "board-1"}
        await log.append(DeviceAttached(**on))
        await log.append(
            DeviceLeased(lease_id="l", holder=f"{task_id}/n", expires_at=now() + timedelta(minutes=3), **on)
        )
        await log.append(TaskClaimed(timestamp=now(), task_id=task_id, runner="runner-2"))

        async def closed() -> bool:
            devices = (await client.get("/api/devices")).json()["devices"]
            freed = [one["lease"] for one in devices] == [None]
            return freed and (await client.get(f"/tasks/{task_id}")).json()["status"] == "failed"

        await eventually(closed, within_s=20)


async def test_a_runner_that_is_lost_after_it_was_asked_to_stop_does_not_leave_the_session_stopping(
    service: Running, log: Log, bus: Bus
) -> None:
    async with service(orphaned_after_s=0.5) as client:
        await ask(client, "s")
        async with Presence(bus).announced(RUNNER):
            await log.append(SessionClaimed(timestamp=now(), session_id="s", runner="runner-1"))
            assert (await stop(client, "s"))["status"] == "stopping"

        async def closed() -> bool:
            return await status(client, "s") == "failed"

        await eventually(closed, within_s=30)
        assert (await types_of(log, "s"))[-1] == "session_failed"


# Families


async def test_a_stop_takes_along_a_child_that_somebody_went_on_with_and_what_it_asks_for(
    client: httpx.AsyncClient, log: Log
) -> None:
    await ask(client, "p")
    await ask(client, "c", parent_session_id="p")
    await log.append(SessionEnded(timestamp=now(), session_id="c"))
    said = (await client.post("/sessions/c/messages", json={"text": "Go on."})).json()
    assert said["status"] == "resumed"
    asked = ToolApprovalRequested(
        timestamp=now(), session_id="c", tool_use_id="toolu_1", tool_name="bash", expires_at=now() + timedelta(hours=1)
    )
    await log.append(asked)

    async def waits() -> bool:
        return bool((await client.get("/sessions/c")).json()["session"]["approvals"] == 1)

    await eventually(waits)
    assert (await stop(client, "p"))["children_stopped"] == ["c"]
    (approval,) = (await client.get("/sessions/c/approvals")).json()["approvals"]
    assert approval["state"] == "void"


async def test_a_stop_takes_along_all_that_runs_below(client: httpx.AsyncClient) -> None:
    await hook(client, "session_start", "p", session_name="Parent")
    await hook(client, "session_start", "by-id", parent_session_id="p")
    await ask(client, "by-name", parent_session_name="Parent")
    await hook(client, "session_start", "by-id-as-name", parent_session_name="p")
    await hook(client, "session_start", "ended", parent_session_id="p")
    await hook(client, "session_stop", "ended")
    await ask(client, "below-ended", parent_session_id="ended")
    await hook(client, "session_start", "other", parent_session_id="nobody")
    told = await stop(client, "p")
    assert sorted(told["children_stopped"]) == ["below-ended", "by-id", "by-id-as-name", "by-name"]
    assert told["children_not_stopped"] == []
    for session_id in ("p", *told["children_stopped"]):
        assert await status(client, session_id) == "stopped"
    assert [await status(client, one) for one in ("ended", "other")] == ["finished", "running"]
    reason = (await client.get("/sessions/by-id/status")).json()["reason"]
    assert reason == "its parent p was stopped"


async def test_sessions_that_are_each_others_parents_all_stop(client: httpx.AsyncClient) -> None:
    for session_id, parent in (("a", "c"), ("b", "a"), ("c", "b"), ("self", "self")):
        await hook(client, "session_start", session_id, parent_session_id=parent)
    assert sorted((await stop(client, "a"))["children_stopped"]) == ["b", "c"]
    assert (await stop(client, "self"))["children_stopped"] == []


async def test_a_name_that_several_sessions_have_stops_nobody_and_the_answer_says_so(client: httpx.AsyncClient) -> None:
    await hook(client, "session_start", "monday", session_name="nightly")
    await hook(client, "session_start", "tuesday", session_name="nightly")
    await hook(client, "session_start", "child", parent_session_name="nightly")
    await hook(client, "session_start", "meant", parent_session_name="nightly", parent_session_id="tuesday")
    told = await stop(client, "tuesday")
    assert told["children_stopped"] == ["meant"]
    assert [one["session_id"] for one in told["children_not_stopped"]] == ["child"]
    assert "several sessions are called 'nightly'" in told["children_not_stopped"][0]["detail"]
    assert await status(client, "child") == "running"


async def test_a_child_whose_runner_does_not_answer_is_named(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await hook(client, "session_start", "p")
    await ask(client, "child", parent_session_id="p")
    async with Presence(bus).announced(RUNNER):
        await log.append(SessionClaimed(timestamp=now(), session_id="child", runner="runner-1"))
        told = await stop(client, "p")
        assert (told["status"], told["children_stopped"]) == ("stopped", [])
        assert told["children_not_stopped"] == [
            {"session_id": "child", "detail": "it is asked to stop; its runner has not answered yet"}
        ]
        await log.append(SessionStopped(timestamp=now(), session_id="child"))


async def test_what_a_parent_begins_in_its_last_moment_is_stopped_too(
    client: httpx.AsyncClient, log: Log, bus: Bus
) -> None:
    await ask(client, "p")
    async with Presence(bus).announced(RUNNER):
        await log.append(SessionClaimed(timestamp=now(), session_id="p", runner="runner-1"))
        await log.append(SessionStarted(timestamp=now(), session_id="p"))
        stopping = asyncio.create_task(stop(client, "p"))
        await eventually(lambda: log.last_sequence("bench.session.p.stop_requested"))
        late = SessionRequested(
            timestamp=now(), session_id="late", session_name="late", prompt="x", parent_session_id="p"
        )
        await log.append(late)
        await log.append(SessionStopped(timestamp=now(), session_id="p"))
        told = await stopping
    assert (told["status"], told["children_stopped"]) == ("stopped", ["late"])
    assert await types_of(log, "late") == ["session_requested", "session_stopped"]


async def test_children_outlive_the_deletion_of_their_parent(client: httpx.AsyncClient, log: Log) -> None:
    await ask(client, "p")
    await hook(client, "session_start", "child", parent_session_id="p")
    (await client.delete("/sessions/p")).raise_for_status()
    child = (await client.get("/sessions/child")).json()["session"]
    assert (child["status"], child["parent_session_id"]) == ("running", "p")
    assert [type(one.event) async for one in log.read(["bench.session.p.*"])] == [SessionDeleted]
