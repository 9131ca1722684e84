import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from benchwire.events.bus import Bus
from benchwire.events.device import DeviceAttached, DeviceLeased, DeviceReleased
from benchwire.events.event import Artifact, Event
from benchwire.events.flash import FlashCancelRequested, FlashRequested
from benchwire.events.log import Log
from benchwire.events.presence import Presence, Present
from benchwire.events.session import (
    SessionClaimed,
    SessionEnded,
    SessionRequested,
    SessionStarted,
    SessionStopped,
)
from benchwire.events.task import TaskCancelled, TaskCancelRequested, TaskClaimed, TaskFailed
from benchwire.events.testing.eventually import eventually

AT = "2026-01-17T12:00:00"
RUNNER = Present(service="agent", name="runner-1", version="0", pid=os.getpid())


def now() -> datetime:
    return datetime.now(UTC)


async def ask(client: httpx.AsyncClient, session_id: str) -> None:
    body = {"session_id": session_id, "session_name": session_id, "prompt": "do it"}
    (await client.post("/sessions", json=body)).raise_for_status()


async def types_of(log: Log, session_id: str) -> list[str]:
    found = [one async for one in log.read([f"bench.session.{session_id}.*"])]
    return [str(one.event.__struct_config__.tag) for one in found]


async def test_a_session_that_hooks_feed_is_stopped_at_once(client: httpx.AsyncClient, log: Log) -> None:
    await client.post("/events", json={"event_type": "session_start", "session_id": "s", "timestamp": AT})
    answer = await client.post("/sessions/s/stop")
    assert (answer.status_code, answer.json()["status"], answer.json()["success"]) == (200, "stopped", True)
    await client.post(
        "/events", json={"event_type": "session_stop", "session_id": "s", "timestamp": AT, "exit_code": 0}
    )
    assert (await client.get("/sessions/s")).json()["session"]["status"] == "stopped"
    assert await types_of(log, "s") == ["session_start", "session_stopped", "session_stop"]


async def test_a_session_that_nobody_took_is_stopped_at_once_and_is_not_taken_after(
    client: httpx.AsyncClient, log: Log
) -> None:
    await ask(client, "s")
    answer = await client.post("/sessions/s/stop")
    assert answer.json()["status"] == "stopped"
    assert await types_of(log, "s") == ["session_requested", "session_stopped"]


def kinds_of(seen: tuple[str, ...], event: Event) -> tuple[str, ...]:
    return (*seen, str(event.__struct_config__.tag))


async def take_and_obey(log: Log, session_id: str) -> None:
    """What a runner does: claims what is not stopped yet, and stops when it is asked to."""

    def claim(seen: tuple[str, ...]) -> SessionClaimed | None:
        if "session_stopped" in seen:
            return None
        return SessionClaimed(timestamp=now(), session_id=session_id, runner="runner-1")

    types = (SessionRequested, SessionClaimed, SessionStopped)
    nothing: tuple[str, ...] = ()
    claimed = await log.decide(types, nothing, kinds_of, claim, session_id=session_id)
    if claimed.event is None:
        return
    await eventually(lambda: log.last_sequence(f"bench.session.{session_id}.stop_requested"))
    await log.append(SessionStopped(timestamp=now(), session_id=session_id))


async def test_of_a_stop_and_a_claim_that_meet_one_is_first_and_nothing_is_left_in_between(
    client: httpx.AsyncClient, log: Log, bus: Bus
) -> None:
    async with Presence(bus).announced(RUNNER):
        for number in range(24):  # the claim comes a little later each time, so that some meet the stop in its middle
            session_id = f"s{number}"
            await ask(client, session_id)
            stopping = asyncio.create_task(client.post(f"/sessions/{session_id}/stop"))
            await asyncio.sleep(number / 2000)
            await take_and_obey(log, session_id)
            answer = await stopping
            assert answer.json()["status"] == "stopped"
            assert await types_of(log, session_id) in (
                ["session_requested", "session_stopped"],
                ["session_requested", "session_claimed", "session_stop_requested", "session_stopped"],
            )


async def test_a_runner_is_asked_and_its_answer_is_awaited(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    await ask(client, "s")
    async with Presence(bus).announced(RUNNER):
        await log.append(SessionClaimed(timestamp=now(), session_id="s", runner="runner-1"))
        await log.append(SessionStarted(timestamp=now(), session_id="s"))
        stopping = asyncio.create_task(client.post("/sessions/s/stop"))

        async def is_stopping() -> bool:
            return bool((await client.get("/sessions/s")).json()["session"]["status"] == "stopping")

        await eventually(is_stopping)
        await log.append(SessionStopped(timestamp=now(), session_id="s"))
        answer = (await stopping).json()
    assert answer["status"] == "stopped"
    assert answer["message"] == "Session stopped successfully"


async def test_a_runner_that_takes_its_time_is_not_waited_for_to_the_end(
    client: httpx.AsyncClient, log: Log, bus: Bus
) -> None:
    await ask(client, "s")
    async with Presence(bus).announced(RUNNER):
        await log.append(SessionClaimed(timestamp=now(), session_id="s", runner="runner-1"))
        answers = await asyncio.gather(*(client.post("/sessions/s/stop") for _ in range(3)))
        assert [answer.json()["status"] for answer in answers] == ["stopping"] * 3
        assert (await client.get("/sessions/s/status")).json()["status"] == "running"
        await log.append(SessionEnded(timestamp=now(), session_id="s"))


async def test_a_runner_that_is_gone_leaves_nothing_running(client: httpx.AsyncClient, log: Log) -> None:
    await ask(client, "s")
    sequence = await log.append(SessionClaimed(timestamp=now(), session_id="s", runner="runner-2"))
    answer = (await client.post("/sessions/s/stop")).json()
    assert answer["status"] == "stopped"
    assert "runner-2 is gone" in answer["message"]
    assert (await client.get("/sessions/s")).json()["session"]["status"] == "failed"
    assert sequence == 2
    assert (await types_of(log, "s"))[-1] == "session_failed"


@pytest.mark.parametrize("end", ["stop", "session_stop"])
async def test_what_is_unknown_or_over_cannot_be_stopped(client: httpx.AsyncClient, end: str) -> None:
    assert (await client.post("/sessions/s/stop")).status_code == 404
    await client.post("/events", json={"event_type": "session_start", "session_id": "s", "timestamp": AT})
    if end == "stop":
        await client.post("/sessions/s/stop")
    else:
        await client.post("/events", json={"event_type": end, "session_id": "s", "timestamp": AT})
    assert (await client.post("/sessions/s/stop")).status_code == 409


async def test_a_session_that_an_agent_works_on_is_stopped_before_it_is_deleted(
    client: httpx.AsyncClient, log: Log
) -> None:
    await ask(client, "s")
    answer = await client.delete("/sessions/s")
    assert answer.status_code == 200
    assert (await client.get("/sessions/s")).status_code == 404
    assert await types_of(log, "s") == ["session_deleted"]


# Tasks


async def started(client: httpx.AsyncClient) -> str:
    answer = await client.post("/tasks", json={"prompt": "blink", "board": "stm32f405"})
    assert answer.status_code == 200
    return str(answer.json()["task_id"])


async def test_a_task_that_nobody_took_is_cancelled_at_once(client: httpx.AsyncClient) -> None:
    task_id = await started(client)
    assert (await client.post(f"/tasks/{task_id}/cancel")).json()["status"] == "cancelled"
    assert (await client.delete(f"/tasks/{task_id}")).status_code == 409
    assert (await client.post(f"/tasks/{task_id}/intervene", json={"guidance": "g"})).status_code == 409


async def test_a_task_that_runs_is_cancelled_by_its_runner(client: httpx.AsyncClient, log: Log, bus: Bus) -> None:
    task_id = await started(client)
    async with Presence(bus).announced(RUNNER):
        await log.append(TaskClaimed(timestamp=now(), task_id=task_id, runner="runner-1"))
        cancelling = asyncio.create_task(client.delete(f"/tasks/{task_id}"))
        await eventually(lambda: log.last_sequence(f"bench.task.{task_id}.cancel_requested"))
        await log.append(TaskCancelled(timestamp=now(), task_id=task_id))
        assert (await cancelling).json()["status"] == "cancelled"


async def test_a_task_whose_runner_is_gone_is_closed(client: httpx.AsyncClient, log: Log) -> None:
    task_id = await started(client)
    await log.append(TaskClaimed(timestamp=now(), task_id=task_id, runner="runner-2"))
    await log.append(TaskCancelRequested(timestamp=now(), task_id=task_id))
    answer = (await client.post(f"/tasks/{task_id}/cancel")).json()
    assert answer["status"] == "failed"
    assert "runner-2 is gone" in answer["message"]


async def test_a_task_whose_runner_is_gone_gives_its_board_and_its_flash_job_back(
    client: httpx.AsyncClient, log: Log
) -> None:
    """They stayed for the rest of the lease, more than three minutes, for a task that was over."""
    task_id = await started(client)
    on: dict[str, Any] = {"timestamp": now(), "host": "lab-1", "device": "board-1"}
    image = Artifact(digest="0" * 64, size_bytes=1, name="firmware.bin")
    lease = DeviceLeased(lease_id="l", holder=f"{task_id}/n", expires_at=now() + timedelta(minutes=3), **on)
    await log.append(TaskClaimed(timestamp=now(), task_id=task_id, runner="runner-2"))
    await log.append(DeviceAttached(**on))
    await log.append(lease)
    sequence = await log.append(FlashRequested(job_id="job_1", image=image, address=0, task_id=task_id, **on))
    assert (await client.post(f"/tasks/{task_id}/cancel")).json()["status"] == "failed"
    left = [one.event async for one in log.read(["bench.>"], after=sequence)]
    assert [type(one) for one in left] == [TaskCancelRequested, TaskFailed, FlashCancelRequested, DeviceReleased]
    assert (await client.get("/api/devices")).json()["devices"][0]["lease"] is None
