"""`benchwire tail`, as somebody who watches a lab."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchwire.deploy import lab_file
from benchwire.events import child, nats_server
from benchwire.events.bus import Bus, connected
from benchwire.events.live import SerialLine
from benchwire.events.log import Log
from benchwire.events.session import SessionStarted, SessionStopped
from benchwire.events.settings import NatsSettings
from benchwire.events.task import TaskFinished
from benchwire.events.testing.samples import AT

_TAIL = [sys.executable, "-m", "benchwire.deploy", "tail"]
_DEADLINE_S = 20.0


class Tail:
    """One that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line on stdout."""
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), _DEADLINE_S)).decode().rstrip("\n")

    async def says(self, text: str) -> None:
        """Waits for a line on stderr that has ``text`` in it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(_DEADLINE_S):
            while text not in (line := await self.process.stderr.readline()).decode():
                assert line, f"{text!r} was never said"

    async def interrupted(self) -> int:
        """Its exit code after Ctrl-C."""
        os.kill(self.process.pid, signal.SIGINT)
        return await asyncio.wait_for(self.process.wait(), _DEADLINE_S)


@asynccontextmanager
async def tailing(*arguments: str) -> AsyncIterator[Tail]:
    async with child.spawn([*_TAIL, *arguments], stdout=child.PIPE, stderr=child.PIPE) as process:
        tail = Tail(process)
        await tail.says("listening to")
        yield tail


async def test_facts_come_in_order_from_the_beginning(nats: nats_server.Server, log: Log) -> None:
    await log.append(SessionStarted(timestamp=AT, session_id="s1", session_name="first"))
    await log.append(SessionStopped(timestamp=AT, session_id="s1", reason="enough"))
    async with tailing("--nats-url", nats.url, "--since", "all") as tail:
        assert (await tail.line()).endswith("session s1  started  first")
        assert (await tail.line()).endswith("session s1  stopped  enough")
        await log.append(TaskFinished(timestamp=AT, task_id="t1", duration_s=2.0))
        assert (await tail.line()).endswith("task t1  finished  every node succeeded, after 2.0 s")
        assert await tail.interrupted() == 0


async def test_ctrl_c_ends_it_without_a_word(nats: nats_server.Server) -> None:
    async with tailing("--nats-url", nats.url) as tail:
        assert await tail.interrupted() == 0
        assert await _rest(tail) == b""


async def test_when_nobody_reads_any_more_it_ends_well(nats: nats_server.Server, log: Log) -> None:
    for number in range(3):
        await log.append(SessionStarted(timestamp=AT, session_id=f"s{number}"))
    reading, writing = os.pipe()
    os.close(reading)
    argv = [*_TAIL, "--nats-url", nats.url, "--since", "all"]
    try:
        async with child.spawn(argv, stdout=writing, stderr=child.PIPE) as process:
            tail = Tail(process)
            await tail.says("listening to")
            assert await asyncio.wait_for(process.wait(), _DEADLINE_S) == 0
            assert await _rest(tail) == b""
    finally:
        os.close(writing)


async def _rest(tail: Tail) -> bytes:
    """What else it said."""
    assert tail.process.stderr is not None
    return await tail.process.stderr.read()


async def test_a_sequence_is_where_it_starts_and_a_subject_narrows_it(nats: nats_server.Server, log: Log) -> None:
    for number in range(1, 6):
        await log.append(SessionStarted(timestamp=AT, session_id=f"s{number}"))
        await log.append(TaskFinished(timestamp=AT, task_id=f"t{number}", duration_s=1.0))
    async with tailing("bench.session.>", "--nats-url", nats.url, "--since", "5") as tail:
        assert "session s3  started" in await tail.line()
        assert "session s4  started" in await tail.line()


async def test_samples_and_facts_of_several_subjects_come_together(nats: nats_server.Server, log: Log) -> None:
    async with tailing("live.serial.>", "bench.task.>", "bench.>", "--nats-url", nats.url) as tail:
        await log.sample(SerialLine(timestamp=AT, host="lab", device="b", line="\x1b[2JBOOT", number=1))
        assert (await tail.line()).endswith(r"serial lab/b  line  \x1b[2JBOOT")
        await log.append(TaskFinished(timestamp=AT, task_id="t", duration_s=1.0))
        assert "task t  finished" in await tail.line()
        await log.append(SessionStarted(timestamp=AT, session_id="s"))
        assert "session s  started" in await tail.line()


async def test_what_cannot_be_read_is_shown_raw_and_stops_nothing(nats: nats_server.Server, bus: Bus, log: Log) -> None:
    async with tailing("--nats-url", nats.url) as tail:
        await bus.js.publish("bench.session.s.started", b'{"event_type":"session_start"}')
        assert "session s  started  (malformed" in await tail.line()
        await bus.js.publish("bench.robot.r.danced", b'{"event_type":"danced"}')
        assert (await tail.line()).endswith('robot r  danced  (unknown, danced version 1) {"event_type":"danced"}')
        await log.append(SessionStarted(timestamp=AT, session_id="s"))
        assert "session s  started" in await tail.line()


async def test_when_nats_is_gone_it_says_so_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    async with nats_server.running(tmp_path / "nats") as server:
        url, port = server.url, server.port
        async with tailing("--nats-url", url) as tail:
            await server_stopped(server)
            await tail.says("the connection to NATS is gone")
            async with nats_server.running(tmp_path / "nats", port=port) as again:
                await tail.says("connected to NATS again")
                async with connected(NatsSettings(nats_url=again.url), name="test") as bus:
                    await Log(bus).append(SessionStarted(timestamp=AT, session_id="back"))
                assert "session back  started" in await tail.line()
                assert await tail.interrupted() == 0


async def server_stopped(server: nats_server.Server) -> None:
    await child.stop_tree(server.process)


async def test_without_nats_it_waits_until_there_is_one(tmp_path: Path) -> None:
    async with nats_server.running(tmp_path / "nats") as server:
        port = server.port
    argv = [*_TAIL, "--nats-url", f"nats://127.0.0.1:{port}"]
    async with child.spawn(argv, stdout=child.PIPE, stderr=child.PIPE) as process:
        tail = Tail(process)
        await tail.says("waiting for it")
        async with nats_server.running(tmp_path / "nats", port=port):
            await tail.says("listening to")
            assert await tail.interrupted() == 0


async def test_a_lab_that_runs_is_found_by_its_data_directory(lab_data: Path) -> None:
    lab = lab_file.read(lab_data)
    assert lab is not None
    async with tailing("--data", str(lab_data), "--since", "all", "bench.host.>") as tail:
        assert "host bench  started" in await tail.line()
        assert await tail.interrupted() == 0


async def test_bad_input_is_one_sentence_and_2(tmp_path: Path) -> None:
    for arguments, told in (
        (["--since", "yesterday"], "--since is 'yesterday'"),
        (["ask.host.scan"], "nothing travels on"),
        (["--data", str(tmp_path)], "no lab runs on"),
    ):
        async with child.spawn([*_TAIL, *arguments], stdout=child.PIPE, stderr=child.PIPE) as process:
            _, errors = await asyncio.wait_for(process.communicate(), _DEADLINE_S)
        assert process.returncode == 2
        assert told in errors.decode()
        assert len(errors.decode().splitlines()) == 1
