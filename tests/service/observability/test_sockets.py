import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchwire.events import nats_server
from benchwire.events.event import Artifact
from benchwire.events.flash import FlashCompleted, FlashPaused, FlashRequested, FlashStarted
from benchwire.events.live import FlashProgress, SerialLine
from benchwire.events.log import Log
from benchwire.events.session import SessionClaimed
from benchwire.events.testing.eventually import eventually
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web.testing import running

AT = "2026-01-17T12:00:00"


def now() -> datetime:
    return datetime.now(UTC)


async def next_frame(socket: ClientConnection, *, within_s: float = 30.0) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), within_s))
    return frame


async def next_array(socket: ClientConnection) -> list[dict[str, Any]]:
    array: list[dict[str, Any]] = json.loads(await asyncio.wait_for(socket.recv(), 30.0))
    assert isinstance(array, list)
    return array


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while (frame := await next_frame(socket))["type"] != kind:
        pass
    return frame


async def close_code(socket: ClientConnection) -> int | None:
    """The code that ``socket`` is closed with, whatever comes before."""
    try:
        while True:
            await asyncio.wait_for(socket.recv(), 30.0)
    except ConnectionClosed:
        return socket.close_code


async def say(client: httpx.AsyncClient, session_id: str, text: str) -> None:
    block = {"type": "text", "text": text}
    hook = {"event_type": "message", "session_id": session_id, "timestamp": AT, "role": "user", "content": [block]}
    (await client.post("/events", json=hook)).raise_for_status()


async def start(client: httpx.AsyncClient, session_id: str) -> None:
    hook = {"event_type": "session_start", "session_id": session_id, "session_name": session_id, "timestamp": AT}
    (await client.post("/events", json=hook)).raise_for_status()


async def test_what_a_client_sees_on_the_socket_it_can_fetch(client: httpx.AsyncClient, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
        assert (await next_frame(socket))["type"] == "init"
        posting = asyncio.gather(*(say(client, f"s{number}", "x") for number in range(20)))
        for _ in range(20):
            frame = await until(socket, "event")
            seen = (await client.get(f"/events/{frame['data']['session_id']}")).json()["events"]
            assert frame["data"] in seen
            assert frame["seq"] == frame["data"]["id"]
        await posting


async def test_a_client_that_comes_in_the_middle_misses_nothing_and_sees_nothing_twice(
    client: httpx.AsyncClient, port: int
) -> None:
    await start(client, "s")
    stop = asyncio.Event()
    count = 0

    async def talk() -> None:
        nonlocal count
        while not stop.is_set():
            await say(client, "s", f"{count}")
            count += 1

    talking = asyncio.create_task(talk())
    for _ in range(5):
        before = (await client.get("/events/s")).json()["events"][-1]["id"]
        async with connect(f"ws://127.0.0.1:{port}/ws?since={before}") as socket:
            seen = [(await until(socket, "event"))["seq"] for _ in range(15)]
        told = (await client.get(f"/events/s?after={before}&limit=15")).json()["events"]
        assert seen == [event["id"] for event in told]
    stop.set()
    await talking


async def test_an_init_and_what_follows_meet_without_a_gap(client: httpx.AsyncClient, port: int) -> None:
    async def many() -> None:
        for number in range(60):
            await start(client, f"s{number}")

    making = asyncio.create_task(many())
    await eventually(lambda: making.done() or True)
    for _ in range(6):
        async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
            known = {one["session_id"] for one in (await next_frame(socket))["sessions"]}
            while len(known) < 60:
                frame = await until(socket, "session_created")
                assert frame["session"]["session_id"] not in known
                known.add(frame["session"]["session_id"])
    await making


async def test_what_was_missed_is_replayed_also_deletions(client: httpx.AsyncClient, port: int) -> None:
    await start(client, "old")
    await start(client, "gone")
    async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
        sequence = (await next_frame(socket))["seq"]
    await client.delete("/sessions/gone")
    await client.post("/sessions/old/stop")
    await start(client, "new")
    async with connect(f"ws://127.0.0.1:{port}/ws?since={sequence}") as socket:
        frames = [await next_frame(socket) for _ in range(5)]
    assert [frame["type"] for frame in frames] == [
        "session_deleted", "event", "session_updated", "session_created", "event"
    ]  # fmt: skip
    assert frames[0]["session_id"] == "gone"
    assert frames[2]["session"]["status"] == "stopped"
    assert frames[3]["session"]["session_id"] == "new"
    assert [frame["seq"] for frame in frames] == sorted(frame["seq"] for frame in frames)


async def test_frames_that_share_their_place_in_the_log_are_all_replayed_to_who_saw_only_the_first(
    client: httpx.AsyncClient, port: int
) -> None:
    """A start is told twice, as a new session and as an event: who was cut off between the two never heard of the second."""
    await start(client, "old")
    async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
        await next_frame(socket)
        await start(client, "new")
        await client.post("/sessions/old/stop")
        frames = [await next_frame(socket) for _ in range(4)]
    assert [frame["type"] for frame in frames] == ["session_created", "event", "event", "session_updated"]
    for seen in range(4):
        async with connect(f"ws://127.0.0.1:{port}/ws?since={frames[seen]['place']}") as socket:
            assert [await next_frame(socket) for _ in frames[seen + 1 :]] == frames[seen + 1 :]
            await say(client, "old", "last")
            assert (await next_frame(socket))["data"]["content"][0]["text"] == "last"


async def test_a_client_may_follow_one_session_only(client: httpx.AsyncClient, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws?session_id=b") as socket:
        assert (await next_frame(socket))["sessions"] == []
        await start(client, "a")
        await start(client, "b")
        frame = await next_frame(socket)
        assert (frame["type"], frame["session"]["session_id"]) == ("session_created", "b")


async def test_who_asks_for_batches_is_told_the_same_in_arrays_also_what_he_missed(
    client: httpx.AsyncClient, port: int
) -> None:
    await start(client, "s")
    async with connect(f"ws://127.0.0.1:{port}/ws") as single, connect(f"ws://127.0.0.1:{port}/ws?batch=1") as many:
        first = await next_array(many)
        assert [one["type"] for one in first] == ["init"]
        assert first == [await next_frame(single)]
        events = [
            {
                "event_type": "message",
                "session_id": "s",
                "timestamp": AT,
                "role": "user",
                "content": [{"type": "text", "text": str(number)}],
            }
            for number in range(300)
        ]
        (await client.post("/events", json=events)).raise_for_status()
        expected = [await next_frame(single) for _ in range(300)]
        arrays: list[list[dict[str, Any]]] = []
        while sum(map(len, arrays)) < len(expected):
            arrays.append(await next_array(many))
        assert [one for array in arrays for one in array] == expected
        assert len(arrays) < len(expected) // 3
        await many.send('{"type": "ping"}')
        assert await next_array(many) == [{"type": "pong"}]
    since = expected[99]["place"]
    async with connect(f"ws://127.0.0.1:{port}/ws?batch=1&since={since}&session_id=s") as again:
        missed: list[dict[str, Any]] = []
        while len(missed) < 200:
            missed += await next_array(again)
        assert missed == expected[100:]


async def test_who_asks_for_batches_is_refused_and_answered_in_arrays_too(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws/no-such-task?batch=1") as socket:
        assert [one["type"] for one in await next_array(socket)] == ["ERROR"]
        assert await close_code(socket) == 4404
    async with connect(f"ws://127.0.0.1:{port}/flash-progress?batch=1") as socket:
        await socket.send('{"type": "flash_started"}')
        assert [one["type"] for one in await next_array(socket)] == ["error"]


async def test_a_ping_is_answered_and_nonsense_is_not_taken_amiss(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
        await next_frame(socket)
        for nonsense in ("", "[", "null", '{"type": 3}', "[" * 10_000, '"\\ud800"', "x" * 100_000):
            await socket.send(nonsense)
        await socket.send(b"\xff\x00")
        await socket.send('{"type":"ping"}')
        assert await next_frame(socket) == {"type": "pong"}


@pytest.mark.parametrize("path", ["/ws", "/ws?batch=1"])
async def test_a_slow_client_is_told_and_dropped_and_slows_nobody(
    client: httpx.AsyncClient, port: int, path: str
) -> None:
    big = "x" * 100_000
    async with connect(f"ws://127.0.0.1:{port}/ws") as quick:
        slow = await connect(f"ws://127.0.0.1:{port}{path}", max_queue=1)
        await next_frame(quick)
        for number in range(120):  # 12 MB, beyond what sockets hold and what is kept for a client
            await say(client, "s", f"{number}{big}")
            frame = await until(quick, "event")
            assert frame["data"]["content"][0]["text"] == f"{number}{big}"
        assert await close_code(slow) == 1013
        assert (await client.get("/health")).json()["clients"] == 1


async def test_the_service_ends_with_sockets_open(settings: Settings) -> None:
    async with running(lambda ready: observe(settings, on_ready=ready)) as port:
        sockets = [await connect(f"ws://127.0.0.1:{port}/ws") for _ in range(20)]
    assert {await close_code(socket) for socket in sockets} == {1012}


# Flash


IMAGE = Artifact(digest="0" * 64, size_bytes=4096, name="a.bin")


def requested(job_id: str) -> FlashRequested:
    return FlashRequested(timestamp=now(), host="h", job_id=job_id, device="d", image=IMAGE, address=0)


def started(job_id: str) -> FlashStarted:
    return FlashStarted(timestamp=now(), host="h", job_id=job_id, device="d", total_bytes=4096, driver="pyocd")


def progress(job_id: str, done: int) -> FlashProgress:
    return FlashProgress(
        timestamp=now(), host="h", job_id=job_id, device="d", stage="writing", done_bytes=done, total_bytes=4096
    )


async def test_a_flash_is_seen_from_its_request_to_its_end(log: Log, port: int) -> None:
    async with (
        connect(f"ws://127.0.0.1:{port}/flash-progress") as all_jobs,
        connect(f"ws://127.0.0.1:{port}/flash-progress/job_2") as only_two,
    ):
        for socket in (all_jobs, only_two):  # that it is answered shows that it is listened for
            await socket.send('{"type":"ping"}')
            assert set(await next_frame(socket)) == {"type", "timestamp"}
        for job_id in ("job_1", "job_2"):
            await log.append(requested(job_id))
            await log.append(started(job_id))
            await log.sample(progress(job_id, 1024))
            await log.append(
                FlashCompleted(
                    timestamp=now(),
                    host="h",
                    job_id=job_id,
                    device="d",
                    total_bytes=4096,
                    duration_s=1.0,
                    verified_by="crc",
                )
            )
            kinds = [(await next_frame(all_jobs))["type"] for _ in range(3)]
            assert kinds[:2] == ["flash_queued", "flash_started"]
            if kinds[2] == "flash_progress":
                assert (await next_frame(all_jobs))["type"] == "flash_completed"
        first = await next_frame(only_two)
        assert (first["type"], first["jobId"], first["totalBytes"]) == ("flash_queued", "job_2", 4096)


async def test_progress_that_is_quicker_than_the_start_is_told_after_it(log: Log, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws/flash-progress") as socket:
        await log.sample(progress("job_1", 2048))
        await log.append(started("job_1"))
        assert (await next_frame(socket))["type"] == "flash_started"
        frame = await next_frame(socket)
        assert (frame["type"], frame["progress"], frame["bytesTransferred"]) == ("flash_progress", 50.0, 2048)


async def test_who_comes_in_the_middle_of_a_flash_is_told_how_it_stands(
    log: Log, port: int, client: httpx.AsyncClient
) -> None:
    async with connect(f"ws://127.0.0.1:{port}/flash-progress") as watching:
        for job_id in ("job_1", "job_2", "job_3"):
            await log.append(requested(job_id))
        for job_id in ("job_1", "job_2"):
            await log.append(started(job_id))
            await log.sample(progress(job_id, 1024))
        await log.append(FlashPaused(timestamp=now(), host="h", job_id="job_2", device="d"))
        seen: set[tuple[str, str]] = set()
        while not {("flash_paused", "job_2"), ("flash_progress", "job_1"), ("flash_progress", "job_2")} <= seen:
            frame = await next_frame(watching)
            seen.add((frame["type"], frame["jobId"]))
    async with connect(f"ws://127.0.0.1:{port}/flash-progress") as late:
        frames = [await next_frame(late) for _ in range(6)]
    assert [(frame["type"], frame["jobId"]) for frame in frames] == [
        ("flash_started", "job_1"), ("flash_progress", "job_1"), ("flash_started", "job_2"), ("flash_progress", "job_2"),
        ("flash_paused", "job_2"), ("flash_queued", "job_3"),
    ]  # fmt: skip
    jobs = (await client.get("/api/flash/jobs")).json()["jobs"]
    assert [(job["jobId"], job["status"]) for job in jobs] == [
        ("job_3", "queued"), ("job_2", "paused"), ("job_1", "flashing")
    ]  # fmt: skip


async def test_a_storm_of_clients_that_come_and_go_leaves_nothing_behind(client: httpx.AsyncClient, port: int) -> None:
    async def visit() -> None:
        async with connect(f"ws://127.0.0.1:{port}/flash-progress") as socket:
            await socket.send('{"type":"ping"}')
            await next_frame(socket)

    for _ in range(5):
        await asyncio.gather(*(visit() for _ in range(40)))

    async def nobody_is_left() -> bool:
        return bool((await client.get("/health")).json()["clients"] == 0)

    await eventually(nobody_is_left)


async def test_what_boards_print_is_heard(log: Log, port: int, client: httpx.AsyncClient) -> None:
    async with connect(f"ws://127.0.0.1:{port}/ws/serial") as socket:

        async def listening() -> bool:
            return bool((await client.get("/health")).json()["clients"] == 1)

        await eventually(listening)
        await log.sample(SerialLine(timestamp=now(), host="h", device="d", line="Hello", number=1, job_id="job_1"))
        frame = await next_frame(socket)
        assert (frame["line"], frame["deviceId"], frame["jobId"]) == ("Hello", "d", "job_1")


async def test_a_status_that_changes_in_the_log_is_told(log: Log, client: httpx.AsyncClient, port: int) -> None:
    await client.post("/sessions", json={"session_id": "q", "session_name": "Q", "prompt": "p"})
    await log.append(SessionClaimed(timestamp=now(), session_id="q", runner="r"))
    async with connect(f"ws://127.0.0.1:{port}/ws?session_id=q") as socket:
        (one,) = (await next_frame(socket))["sessions"]
        assert one["status"] == "running"
        stopping = asyncio.create_task(client.post("/sessions/q/stop"))
        assert (await until(socket, "session_updated"))["session"]["status"] in ("stopping", "failed")
        await stopping


async def test_a_wrong_token_closes_with_1008_and_a_right_one_opens(nats: nats_server.Server, tmp_path: Path) -> None:
    settings = Settings(nats_url=nats.url, data=tmp_path / "guarded", observability_port=0, token="s3cret")  # type: ignore[arg-type]
    async with running(lambda ready: observe(settings, on_ready=ready)) as port:
        for path in ("/ws", "/ws?token=wrong", "/ws/task-1", "/flash-progress?token=", "/nowhere"):
            socket = await connect(f"ws://127.0.0.1:{port}{path}")
            assert await close_code(socket) == 1008
        bearer = {"Authorization": "Bearer s3cret"}
        async with (
            connect(f"ws://127.0.0.1:{port}/ws?token=s3cret") as by_query,
            connect(f"ws://127.0.0.1:{port}/ws", additional_headers=bearer) as by_header,
        ):
            assert (await next_frame(by_query))["type"] == (await next_frame(by_header))["type"] == "init"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/sessions")).status_code == 401
            assert (await client.get("/sessions", headers={"Authorization": "Bearer nope"})).status_code == 401
            assert (await client.get("/sessions?token=s3cret")).status_code == 401
            assert (await client.get("/nowhere")).status_code == 401
            assert (await client.get("/sessions", headers=bearer)).status_code == 200
            assert (await client.get("/health")).status_code == 200


async def test_facts_of_the_lab_come_in_the_order_of_the_log_and_are_replayed_to_who_missed_them(
    client: httpx.AsyncClient, port: int, log: Log
) -> None:
    image = Artifact(digest="0" * 64, size_bytes=8, name="a.bin")
    requested = FlashRequested(timestamp=now(), host="h", job_id="job_1", device="d", image=image, address=0)
    started = FlashStarted(timestamp=now(), host="h", job_id="job_1", device="d", total_bytes=8, driver="pyocd")
    async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
        since = (await next_frame(socket))["seq"]
        await log.append(requested)
        await say(client, "s", "between")
        await log.append(started)
        live = [await until(socket, kind) for kind in ("fact", "event", "fact")]
    assert [one["data"]["event_type"] for one in live] == ["flash_requested", "message", "flash_started"]
    assert live[0]["data"]["job_id"] == "job_1"
    async with connect(f"ws://127.0.0.1:{port}/ws?since={since}") as socket:
        again = [await until(socket, kind) for kind in ("fact", "event", "fact")]
    assert again == live
