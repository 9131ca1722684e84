"""What clients see of flash jobs while they run, and what flashers outside of the lab report of theirs."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from benchwire.events import nats_server
from benchwire.events.event import Artifact, Event
from benchwire.events.flash import (
    FlashCompleted,
    FlashPauseDeferred,
    FlashReported,
    FlashRequested,
    FlashRetried,
    FlashStarted,
    FlashThrottled,
)
from benchwire.events.host import HostStarted
from benchwire.events.live import FlashProgress
from benchwire.events.log import Log
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import AT
from benchwire.observability.boards import reports
from benchwire.observability.main import observe
from benchwire.observability.settings import Settings
from benchwire.web import tokens
from benchwire.web.testing import running
from benchwire.web.tokens import Scope

IMAGE = Artifact(digest="0" * 64, size_bytes=4096, name="a.bin")


async def next_frame(socket: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 30.0))
    return frame


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """The frames up to the first of that kind."""
    seen = [await next_frame(socket)]
    while seen[-1]["type"] != kind:
        seen.append(await next_frame(socket))
    return seen


async def say(socket: ClientConnection, kind: str, job_id: str = "test_job_123", **more: Any) -> None:
    told = {"jobId": job_id, "deviceId": "TEST_DEVICE", "timestamp": int(time.time() * 1000)}
    await socket.send(json.dumps({"type": kind, **told, **more}))


def of(job_id: str) -> dict[str, Any]:
    return {"timestamp": AT, "host": "lab-1", "job_id": job_id, "device": "d"}


def sample(stage: str, done: int = 0, total: int = 0, attempt: int = 1) -> FlashProgress:
    return FlashProgress(**of("job_1"), stage=stage, done_bytes=done, total_bytes=total, attempt=attempt)


# Of the lab's own jobs


async def test_progress_never_goes_back_and_is_whole_only_when_it_is_verified(log: Log, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/flash-progress/job_1") as socket:
        await log.append(FlashRequested(**of("job_1"), image=IMAGE, address=0))
        await log.append(FlashStarted(**of("job_1"), total_bytes=4096, driver="esptool"))
        await until(socket, "flash_started")
        steps = [
            sample("connecting"), sample("erasing", 10, 100), sample("writing", 1024, 4096), sample("writing", 512, 4096),
            sample("erasing", 90, 100), sample("writing", 4096, 4096), sample("verifying", 1, 4096), sample("resetting"),
        ]  # fmt: skip
        for one in steps:
            await log.sample(one)
        seen = [(frame["stage"], frame["progress"]) for frame in [await next_frame(socket) for _ in steps]]
        assert seen == [
            ("connecting", 0.0), ("erasing", 0.0), ("writing", 25.0), ("writing", 25.0), ("erasing", 25.0), ("writing", 99.9),
            ("verifying", 99.9), ("resetting", 100.0),
        ]  # fmt: skip


async def test_a_retry_begins_anew_and_what_comes_late_of_the_attempt_before_is_not_shown(log: Log, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/flash-progress") as socket:
        await log.append(FlashStarted(**of("job_1"), total_bytes=4096, driver="esptool"))
        await until(socket, "flash_started")
        await log.sample(sample("writing", 2048, 4096))
        await until(socket, "flash_progress")
        await log.append(
            FlashRetried(**of("job_1"), attempt=1, code="cable", error="the cable", flash_state="partial", wait_s=1.0)
        )
        await log.append(FlashStarted(**of("job_1"), total_bytes=4096, driver="esptool", attempt=2))
        retried, begun = (await until(socket, "flash_retried"))[-1], (await until(socket, "flash_started"))[-1]
        assert (retried["attempt"], retried["error"], retried["flashState"], retried["wait"]) == (
            1,
            "the cable",
            "partial",
            1.0,
        )
        assert begun["attempt"] == 2
        await log.sample(sample("writing", 4000, 4096, attempt=1))
        await log.sample(sample("writing", 1024, 4096, attempt=2))
        frame = await next_frame(socket)
        assert (frame["progress"], frame["attempt"]) == (25.0, 2)
    async with connect(f"ws://127.0.0.1:{port}/flash-progress") as late:
        begun, progress = [await next_frame(late) for _ in range(2)]
        assert (begun["type"], begun["attempt"], progress["progress"]) == ("flash_started", 2, 25.0)


async def test_what_a_job_says_to_a_wish_is_told(log: Log, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/flash-progress") as socket:
        await log.append(FlashStarted(**of("job_1"), total_bytes=4096, driver="esptool"))
        await log.append(FlashPauseDeferred(**of("job_1"), stage="erasing", until="the first block is written"))
        await log.append(FlashThrottled(**of("job_1"), max_bytes_per_s=2000))
        deferred = (await until(socket, "flash_pause_deferred"))[-1]
        assert (deferred["stage"], deferred["until"]) == ("erasing", "the first block is written")
        assert (await until(socket, "flash_throttled"))[-1]["maxBytesPerS"] == 2000


async def test_clients_that_come_back_in_storms_find_every_job_and_slow_nobody(
    client: httpx.AsyncClient, log: Log, port: int
) -> None:
    """Some dashboards reconnect many times a second, and cut their sockets off without a word."""
    for number in range(5):
        await log.append(FlashStarted(**of(f"job_{number}"), total_bytes=4096, driver="esptool"))

    async def visit(*, politely: bool) -> None:
        socket = await connect(f"ws://127.0.0.1:{port}/flash-progress")
        known: set[str] = set()
        while len(known) < 5:
            frame = await next_frame(socket)
            assert frame["type"] == "flash_started" or frame["jobId"] in known
            known.add(frame["jobId"])
        if politely:
            await socket.close()
        else:
            socket.transport.abort()

    async with connect(f"ws://127.0.0.1:{port}/flash-progress") as watching:
        await until(watching, "flash_started")
        for number in range(6):
            await asyncio.gather(*(visit(politely=one % 2 == 0) for one in range(40)))
            await log.sample(sample("writing", 100 * (number + 1), 4096))
        progress = (await until(watching, "flash_progress"))[-1]
        assert progress["jobId"] == "job_1"

    async def nobody_is_left() -> bool:
        return bool((await client.get("/health")).json()["clients"] == 0)

    await eventually(nobody_is_left)


# Of outside flashers


async def facts(log: Log) -> list[Event]:
    return [one.event async for one in log.read(["bench.flash.*.*.reported"])]


async def test_a_flasher_outside_of_the_lab_is_seen_by_everybody(client: httpx.AsyncClient, port: int) -> None:
    """What the simulator in the frontends' guide sends, as it sends it."""
    url = f"ws://127.0.0.1:{port}/flash-progress"
    async with connect(url) as flasher, connect(url) as watching:
        await watching.send('{"type":"ping"}')
        await until(watching, "pong")
        await say(flasher, "flash_started", totalBytes=1_000_000)
        frames = await until(watching, "flash_started")
        for percent in range(0, 101, 20):
            await say(
                flasher, "flash_progress", progress=percent, stage=f"Writing... {percent}%", bytesTransferred=percent * 10_000,
                totalBytes=1_000_000, transferSpeed=10_000, estimatedTimeRemaining=100 - percent,
            )  # fmt: skip
            frames += await until(watching, "flash_progress")
            await asyncio.sleep(0.15)  # its samples are taken ten times a second
        await say(flasher, "flash_paused")
        await say(flasher, "flash_resumed")
        await say(flasher, "flash_completed")
        frames += await until(watching, "flash_completed")
        assert frames[0]["type"] == "flash_started"
        assert {(one["jobId"], one["deviceId"], one["host"]) for one in frames} == {
            ("test_job_123", "TEST_DEVICE", "outside")
        }
        shown = [one["progress"] for one in frames if one["type"] == "flash_progress"]
        assert shown == [0.0, 20.0, 40.0, 60.0, 80.0, 99.9]
        assert [one["type"] for one in frames if one["type"] not in ("flash_started", "flash_progress")] == [
            "flash_paused", "flash_resumed", "flash_completed"
        ]  # fmt: skip
        await say(flasher, "flash_progress", progress=1)
        assert "is over, it is completed" in (await until(flasher, "error"))[-1]["error"]
    job = (await client.get("/api/flash/jobs/test_job_123")).json()
    assert (job["status"], job["outside"], job["totalBytes"], job["host"]) == ("completed", True, 1_000_000, "outside")
    assert [one["jobId"] for one in (await client.get("/api/flash/history")).json()["history"]] == ["test_job_123"]
    assert (await client.get("/api/flash/analytics")).json()["total"]["jobs"] == 0


async def test_who_comes_in_the_middle_of_a_reported_job_is_told_how_it_stands(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/flash-progress?host=bench-pc") as flasher:
        await say(flasher, "flash_started", totalBytes=100)
        await say(flasher, "flash_progress", bytesTransferred=50, totalBytes=100)
        await until(flasher, "flash_progress")
        await say(flasher, "flash_paused")
        await until(flasher, "flash_paused")
        async with connect(f"ws://127.0.0.1:{port}/flash-progress") as late:
            kinds = [await next_frame(late) for _ in range(3)]
        assert [(one["type"], one["host"]) for one in kinds] == [
            ("flash_started", "bench-pc"), ("flash_progress", "bench-pc"), ("flash_paused", "bench-pc")
        ]  # fmt: skip
    async with connect(f"ws://127.0.0.1:{port}/flash-progress?host=bench-pc") as again:
        await say(again, "flash_started", totalBytes=100)  # its connection broke, and it begins where it was
        await say(again, "flash_failed", error="USB connection lost during transfer")
        failed = (await until(again, "flash_failed"))[-1]
        assert (failed["error"], failed["code"]) == ("USB connection lost during transfer", "reported")


@contextlib.asynccontextmanager
async def guarded(settings: Settings, *scopes: Scope) -> AsyncIterator[tuple[str, str]]:
    """The service with a token of these scopes: where it is, and the token."""
    settings.data.mkdir(parents=True, exist_ok=True)
    token = tokens.create(settings.tokens_path, "flasher", scopes, now=AT)
    async with running(lambda ready: observe(settings, on_ready=ready)) as port:
        yield f"ws://127.0.0.1:{port}/flash-progress", token


@pytest.mark.parametrize(("scope", "is_taken"), [(Scope.READ, False), (Scope.WRITE, False), (Scope.CONTROL, True)])
async def test_who_may_not_control_may_not_report(settings: Settings, log: Log, scope: Scope, is_taken: bool) -> None:
    async with guarded(settings, scope) as (url, token), connect(f"{url}?token={token}") as socket:
        await say(socket, "flash_started", totalBytes=1)
        frame = await next_frame(socket)
        assert (frame["type"], "scope control" in frame.get("error", "")) == (
            ("flash_started", False) if is_taken else ("error", True)
        )
        assert len(await facts(log)) == int(is_taken)
        await socket.send('{"type":"ping"}')
        assert (await next_frame(socket))["type"] == "pong"


async def test_what_is_no_report_is_answered_with_an_error_and_the_socket_lives_on(log: Log, port: int) -> None:
    await log.append(HostStarted(timestamp=AT, host="lab-1", version="1"))
    await log.append(FlashRequested(**of("ours"), image=IMAGE, address=0))
    wrong = [
        ("", "like"), ("[", "like"), ('{"type":"flash_exploded"}', "flash_exploded"), ('{"type":"flash_started"}', "jobId"), ("x" * 20_000, "16384"),
        ('{"type":"flash_started","jobId":3,"deviceId":"d"}', "jobId"), ('{"type":"flash_started","jobId":"a.b","deviceId":"d"}', "jobId"),
        ('{"type":"flash_started","jobId":"\\ud800","deviceId":"d"}', "jobId"), ('{"type":"flash_paused","jobId":"j","deviceId":"d"}', "begin"),
        ('{"type":"flash_progress","jobId":"j","deviceId":"d","progress":"much"}', "progress"), ("[" * 16_000, "like"),
        ('{"type":"flash_failed","jobId":"ours","deviceId":"d"}', "a job of this lab"),
    ]  # fmt: skip
    async with connect(f"ws://127.0.0.1:{port}/flash-progress") as socket:
        await until(socket, "flash_queued")
        for text, word in wrong:
            await socket.send(text)
            frame = await next_frame(socket)
            assert frame["type"] == "error", text[:60]
            assert word in frame["error"], (text[:60], frame)
        await socket.send(b"\xff\x00")
        await say(socket, "flash_started", "theirs", totalBytes=9)
        assert (await next_frame(socket))["jobId"] == "theirs"
    async with connect(f"ws://127.0.0.1:{port}/flash-progress?host=lab-1") as disguised:
        await say(disguised, "flash_started", "another")
        assert "host of this lab" in (await until(disguised, "error"))[-1]["error"]
    async with connect(f"ws://127.0.0.1:{port}/flash-progress?host=another") as other:
        await say(other, "flash_completed", "theirs")
        assert "reported by outside" in (await until(other, "error"))[-1]["error"]
    assert len(await facts(log)) == 1


async def test_a_flood_of_reports_is_bounded_and_slows_nobody(
    log: Log, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_OPEN", 5)
    async with (
        connect(f"ws://127.0.0.1:{port}/flash-progress") as flood,
        connect(f"ws://127.0.0.1:{port}/flash-progress/job_1") as quiet,
    ):
        await quiet.send('{"type":"ping"}')
        await until(quiet, "pong")
        for number in range(400):
            await say(flood, "flash_started", f"flood_{number}", totalBytes=1)
        await flood.send('{"type":"ping"}')
        frames = await until(flood, "pong")
        refusals = [one["error"] for one in frames if one["type"] == "error"]
        assert any("too many at once" in one for one in refusals)
        await log.append(FlashStarted(**of("job_1"), total_bytes=4096, driver="esptool"))
        done: dict[str, Any] = {"total_bytes": 1, "duration_s": 1.0, "verified_by": "crc"}
        await log.append(FlashCompleted(**of("job_1"), **done))
        assert [one["type"] for one in await until(quiet, "flash_completed")] == ["flash_started", "flash_completed"]
    assert len(await facts(log)) == 5


async def test_a_job_of_which_nothing_is_heard_any_more_is_closed(
    nats: nats_server.Server, tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_LOOK_EVERY_S", 0.1)
    own = Settings(nats_url=nats.url, data=tmp_path / "own", observability_port=0, orphaned_after_s=0.5)
    async with running(lambda ready: observe(own, on_ready=ready)) as port:
        async with connect(f"ws://127.0.0.1:{port}/flash-progress") as flasher:
            await say(flasher, "flash_started")
            await until(flasher, "flash_started")
        async with connect(f"ws://127.0.0.1:{port}/flash-progress") as watching:
            failed = (await until(watching, "flash_failed"))[-1]
            assert "nothing was heard" in failed["error"]
    kinds = [one.status for one in await facts(log) if isinstance(one, FlashReported)]
    assert kinds == ["started", "failed"]
