"""How a nats-server is seen to be stuck: one that ran out of room takes nothing any more, until it is started again."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchwire.deploy.health import Examiner
from benchwire.deploy.hosts import watch
from benchwire.deploy.parts import Served, WritesPorts
from benchwire.events import child, nats_server
from benchwire.events.testing.eventually import eventually

# As nats-server 2.15.1 answered on a full disk, and afterwards.
STUCK = {
    "status": "unavailable",
    "error": "JetStream stream '$G > BENCH' write error: write /data/nats/jetstream/$G/streams/BENCH/msgs/1.blk: no space left on device",
}


@pytest.fixture
async def examiner() -> AsyncIterator[Examiner]:
    async with Examiner() as examiner:
        yield examiner


@contextlib.asynccontextmanager
async def answering(status: int, body: object) -> AsyncIterator[str]:
    """An HTTP server that says this to everybody."""
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + text)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())


def written_down(store: Path, monitoring: str, pid: int | None = None) -> None:
    ports = {"nats": ["nats://127.0.0.1:4222"], "monitoring": [monitoring]}
    (store / f"nats-server_{pid or os.getpid()}.ports").write_text(json.dumps(ports))


async def test_a_server_that_takes_what_is_written_is_well(examiner: Examiner, tmp_path: Path) -> None:
    argv = nats_server.command(tmp_path, port=0, monitored=True)
    async with child.spawn(argv, stdout=child.DEVNULL, stderr=child.DEVNULL, grace_s=3.0) as process:
        health = WritesPorts(tmp_path)
        await eventually(lambda: nats_server.monitoring_of(tmp_path, process.pid))
        assert await examiner.ailment(health, process.pid) == ""
        assert not await examiner.is_stuck(health, process.pid)


async def test_a_server_that_could_not_write_is_unwell_and_stuck_once_there_is_room(
    examiner: Examiner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    health = WritesPorts(tmp_path)
    async with answering(503, STUCK) as url:
        written_down(tmp_path, url)
        assert "no space left on device" in await examiner.ailment(health, os.getpid())
        assert await examiner.is_stuck(health, os.getpid())
        monkeypatch.setattr("benchwire.events.nats_health._ROOM_BYTES", 1 << 62)
        assert not await examiner.is_stuck(health, os.getpid())


async def test_a_server_that_says_something_else_or_nothing_is_not_started_again(
    examiner: Examiner, tmp_path: Path
) -> None:
    health = WritesPorts(tmp_path)
    async with answering(503, {"status": "unavailable", "error": "JetStream is not current"}) as url:
        written_down(tmp_path, url)
        assert await examiner.ailment(health, os.getpid()) == "JetStream is not current"
        assert not await examiner.is_stuck(health, os.getpid())
    assert await examiner.ailment(health, os.getpid()) == ""
    assert not await examiner.is_stuck(Served(url), os.getpid())


async def test_beside_a_server_that_systemd_keeps_the_watch_ends_it_once_it_is_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = nats_server.command(tmp_path, port=0, monitored=True)
    async with child.spawn(argv, stdout=child.DEVNULL, stderr=child.DEVNULL, grace_s=3.0) as process:
        await eventually(lambda: nats_server.monitoring_of(tmp_path, process.pid))
        assert await asyncio.to_thread(watch.ended_if_stuck, tmp_path) == []
        async with answering(503, STUCK) as url:
            written_down(tmp_path, url)  # of this process, which is no server
            written_down(tmp_path, url, process.pid)
            with monkeypatch.context() as full:
                full.setattr("benchwire.events.nats_health._ROOM_BYTES", 1 << 62)
                assert await asyncio.to_thread(watch.ended_if_stuck, tmp_path) == []
            assert await asyncio.to_thread(watch.ended_if_stuck, tmp_path) == [process.pid]
        assert await child.exited(process) == -signal.SIGKILL, "after exit code 0 systemd would leave it at that"


async def test_in_a_container_the_health_check_says_what_is_wrong_and_ends_a_server_that_is_stuck(
    tmp_path: Path,
) -> None:
    async def checked() -> tuple[int, str]:
        argv = [sys.executable, "-m", "benchwire.events.nats_health", str(tmp_path)]
        async with child.spawn(argv, stderr=child.PIPE) as check:
            assert check.stderr is not None
            told = await check.stderr.read()
            return await child.exited(check), told.decode()

    assert (await checked())[0] == 1
    argv = nats_server.command(tmp_path, port=0, monitored=True)
    async with child.spawn(argv, stdout=child.DEVNULL, stderr=child.DEVNULL, grace_s=3.0) as process:
        await eventually(lambda: nats_server.monitoring_of(tmp_path, process.pid))
        assert await checked() == (0, "")
        async with answering(503, STUCK) as url:
            written_down(tmp_path, url, process.pid)
            code, told = await checked()
        assert (code, "no space left on device" in told) == (1, True)
        assert await child.exited(process) == -signal.SIGKILL
