"""How a nats-server is seen to be stuck: one that ran out of room takes nothing any more, until it is started again."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchwire.deploy.health import Examiner
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


def written_down(store: Path, monitoring: str) -> None:
    ports = {"nats": ["nats://127.0.0.1:4222"], "monitoring": [monitoring]}
    (store / f"nats-server_{os.getpid()}.ports").write_text(json.dumps(ports))


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
        monkeypatch.setattr("benchwire.deploy.health._ROOM_BYTES", 1 << 62)
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
