"""`benchwire demo`, run as a user would."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from websockets.asyncio.client import connect

from benchwire.deploy import tail
from benchwire.deploy.feed import Heard
from benchwire.events import child, codec
from benchwire.events.catalog import subject_of
from benchwire.events.event import Event

_DEMO = [sys.executable, "-m", "benchwire.deploy", "demo"]
_MARK = "BENCHWIRE_TEST_MARK"


class Started:
    """A demo that runs; everything it starts inherits a mark in the environment, by which it can be found."""

    def __init__(self, environment: dict[str, str], temporary: Path, *options: str) -> None:
        self.mark = uuid.uuid4().hex
        self.temporary = temporary
        ports = {f"BENCHWIRE_{name}_PORT": "0" for name in ("OBSERVABILITY", "DOCUMENTS", "NATS")}
        self.process = subprocess.Popen(
            child.dying_with_owner([*_DEMO, *options]),
            env=ports | environment | {_MARK: self.mark, "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until(self, text: str) -> list[str]:
        """The lines up to one that has ``text`` in it."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if text in line:
                return lines
        raise AssertionError(f"{text!r} never came:\n{''.join(lines)}")

    def left(self) -> list[str]:
        """What still runs of it, and what still lies in its temporary directory."""
        processes = [str(one) for one in psutil.process_iter() if self._is_ours(one)]
        return processes + [str(path) for path in self.temporary.iterdir()]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self.mark
        except psutil.Error:
            return False

    def end(self) -> None:
        """Makes sure that nothing of it outlives the test, however that ended."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A short temporary directory: sockets will live in it."""
    path = Path(tempfile.mkdtemp(prefix="bt-"))
    yield path
    shutil.rmtree(path)


@pytest.mark.timeout(200)
def test_the_demo_happens_from_the_request_to_the_boards_own_words(
    quiet_environment: dict[str, str], temporary: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "demo.svg"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = {"BENCHWIRE_OBSERVABILITY_PORT": str(taken.getsockname()[1])}
        demo = Started(quiet_environment | usual, temporary, "--picture", str(picture))
        try:
            told, _ = demo.process.communicate(timeout=150)
        finally:
            demo.end()
    assert demo.process.returncode == 0, told
    lines = told.splitlines()
    assert "the scripted model answers" in lines[0]
    assert "not both free" in lines[1]
    assert lines[-1].startswith("all of it happened")
    assert "MISSING" not in told
    assert "does not build: main.c:14:24: error" in told
    assert demo.left() == []
    drawn = picture.read_text()
    assert "SELFTEST&#160;PASS" in drawn
    assert "@font-face" not in drawn


@pytest.mark.timeout(120)
@pytest.mark.parametrize("moment", ["scripted model answers", "the lab is up", "node_compiled", "with pyocd"])
def test_an_interrupted_demo_leaves_nothing(quiet_environment: dict[str, str], temporary: Path, moment: str) -> None:
    demo = Started(quiet_environment, temporary)
    try:
        demo.until(moment)
        os.kill(demo.process.pid, signal.SIGINT)
        told, _ = demo.process.communicate(timeout=30)
    finally:
        demo.end()
    assert demo.process.returncode == 130, told
    assert "Traceback" not in told
    assert demo.left() == []


@pytest.mark.timeout(120)
def test_with_a_data_directory_of_its_own_the_demo_keeps_what_happened(
    quiet_environment: dict[str, str], temporary: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    demo = Started(quiet_environment, temporary, "--data", str(data), "--keep")
    try:
        demo.until("stays up")
        os.kill(demo.process.pid, signal.SIGTERM)
        demo.process.communicate(timeout=30)
    finally:
        demo.end()
    assert demo.left() == []
    assert (data / "nats").is_dir()
    assert not (data / "lab.json").exists()


@pytest.mark.timeout(120)
def test_a_demo_whose_lines_nobody_reads_any_more_leaves_nothing(
    quiet_environment: dict[str, str], temporary: Path
) -> None:
    demo = Started(quiet_environment, temporary)
    try:
        demo.until("the lab is up")
        assert demo.process.stdout is not None
        demo.process.stdout.close()
        demo.process.wait(timeout=60)
    finally:
        demo.end()
    assert demo.left() == []


@pytest.mark.timeout(150)
async def test_a_second_terminal_and_a_websocket_tell_the_story_of_the_demo_event_by_event(
    quiet_environment: dict[str, str], temporary: Path
) -> None:
    demo = Started(quiet_environment, temporary, "--keep")
    try:
        where = demo.until("the lab is up")[-1].split()
        http, nats = where[4], where[6]
        from_tail, from_socket = await asyncio.gather(_told_by_tail(nats), _told_by_websocket(http))
    finally:
        os.kill(demo.process.pid, signal.SIGTERM)
        demo.process.communicate(timeout=30)
        demo.end()
    assert [sequence for sequence, _ in from_socket] == sorted({sequence for sequence, _ in from_socket})
    assert from_tail == [line for _, line in from_socket]
    story = [line.split("  ")[2] for line in from_tail if "  task " in line]
    assert story[:3] == ["requested", "claimed", "planned"]
    assert story[-1] == "finished"
    assert story.count("node_retried") == 3
    assert demo.left() == []


async def _told_by_tail(nats_url: str) -> list[str]:
    """What `benchwire tail` shows, until the task has finished."""
    argv = [sys.executable, "-m", "benchwire.deploy", "tail", "--nats-url", nats_url, "--since", "all"]
    lines: list[str] = []
    async with asyncio.timeout(90), child.spawn(argv, stdout=child.PIPE, stderr=child.PIPE) as process:
        assert process.stdout is not None
        while not lines or not _is_the_end(lines[-1]):
            lines.append((await process.stdout.readline()).decode().rstrip("\n"))
            assert lines[-1], f"tail ended after {lines}"
    return lines


async def _told_by_websocket(url: str) -> list[tuple[int, str]]:
    """What a client on ``/ws`` gets, each fact as tail would tell it, with its place in the log, until the task has finished."""
    lines: list[tuple[int, str]] = []
    async with asyncio.timeout(90), connect(f"{url.replace('http', 'ws')}/ws?since=0", proxy=None) as socket:
        while not lines or not _is_the_end(lines[-1][1]):
            frame = msgspec.json.decode(await socket.recv(), type=dict[str, Any])
            assert frame["type"] == "fact", frame
            event = codec.decode(msgspec.json.encode(frame["data"]))
            assert isinstance(event, Event)
            heard = Heard(subject=subject_of(event), at=event.timestamp, body=b"", event=event)
            lines.append((frame["seq"], tail.line(heard).plain))
    return lines


def _is_the_end(line: str) -> bool:
    told = line.split("  ")
    return len(told) > 2 and told[1].startswith("task ") and told[2] in ("finished", "failed", "cancelled")
