"""`benchwire up` as a user has it: the real command, the real services, two virtual boards."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from benchwire.events import child, nats_server
from benchwire.events.bus import connected
from benchwire.events.presence import Presence
from benchwire.events.settings import NatsSettings
from benchwire.events.testing.eventually import eventually

pytestmark = pytest.mark.timeout(240)

UP_IN_S = 60.0
PARTS = {
    "nats": "nats-server --addr",
    "observability": "-m benchwire.observability",
    "documents": "-m benchwire.documents",
    "agent": "-m benchwire.agent",
    "flash-agent": "-m benchwire.flash_agent",
    "board-stm32f405-1": "--name stm32f405-1",
    "board-esp32c3-1": "--name esp32c3-1",
    "scripted-model": "-m benchwire.deploy.scripted",
}
ANY_PORT = ("--observability-port", "0", "--documents-port", "0", "--nats-port", "0")
BOARDS = ("--virtual", "stm32f405", "--virtual", "esp32c3")


class Up:
    """One run of the command. All that it starts inherits a mark, by which it is found again wherever it went."""

    def __init__(self, data: Path, *options: str, **environment: str) -> None:
        self.data = data
        self.mark = uuid.uuid4().hex
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANTHROPIC_", "BENCHWIRE_"))
        }
        self.env = {**inherited, "BENCHWIRE_TEST_MARK": self.mark, "TMPDIR": str(data.parent), **environment}
        self.argv = [sys.executable, "-m", "benchwire.deploy", "up", "--data", str(data), "--host", "bench", *options]
        self.lines: list[str] = []
        self.process: asyncio.subprocess.Process

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Up"]:
        async with child.spawn(
            self.argv, env=self.env, stdout=child.PIPE, stderr=child.PIPE, grace_s=6.0
        ) as self.process:
            reading = asyncio.create_task(self._read())
            try:
                yield self
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().rstrip())

    async def is_up(self) -> dict[str, str]:
        """Waits for the line with the addresses, and returns them by name."""

        async def line() -> str | None:
            if self.process.returncode is not None and self.process.stderr is not None:
                pytest.fail(f"up ended: {(await self.process.stderr.read()).decode()}")
            return next((one for one in self.lines if one.startswith("benchwire is up:")), None)

        found = await eventually(line, within_s=UP_IN_S, what="the line with the addresses")
        return dict(re.findall(r"(\w+)=(\S+)", found))

    async def ended(self, within_s: float = 30.0) -> tuple[int, str]:
        """The exit code and what was written to stderr."""
        assert self.process.stderr is not None
        text, _ = await asyncio.wait_for(asyncio.gather(self.process.stderr.read(), self.process.wait()), within_s)
        return self.process.returncode or 0, text.decode()

    def left(self) -> list[str]:
        """The command lines of what is still there of this run."""
        there = []
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if one.environ().get("BENCHWIRE_TEST_MARK") == self.mark and one.status() != psutil.STATUS_ZOMBIE:
                    there.append(" ".join(one.cmdline()))
        return there

    def pid(self, part: str) -> int | None:
        for one in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if PARTS[part] in " ".join(one.cmdline()) and not one.cmdline()[0].endswith(("sh", "setpriv")):
                    return one.pid
        return None


def run_dirs(folder: Path) -> list[Path]:
    """The directories for sockets that are left, in the data directory or in what the command took for the temporary one."""
    return [*folder.glob("data/run"), *folder.glob("benchwire-*")]


async def everything_answers(urls: dict[str, str]) -> bool:
    """Both HTTP services say that they are healthy, and all four services are present."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        try:
            codes = [(await http.get(f"{urls[name]}/health")).status_code for name in ("observability", "documents")]
        except httpx.HTTPError:
            return False
    async with connected(NatsSettings(nats_url=urls["nats"], nats_connect_timeout_s=30), name="test") as bus:
        there = {one.service for one in await Presence(bus).everyone()}
    return codes == [200, 200] and there >= {"observability", "documents", "agent", "flash-agent"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """One lab for the tests that only kill parts of it."""
    async with Up(tmp_path_factory.mktemp("lab") / "data", *ANY_PORT, *BOARDS).running() as up:
        await up.is_up()
        yield up


@pytest.mark.asyncio(loop_scope="module")
async def test_up_says_on_one_line_where_everything_is(lab: Up) -> None:
    urls = await lab.is_up()
    assert set(urls) == {"observability", "documents", "nats", "data"}
    await eventually(lambda: everything_answers(urls))
    assert sum("benchwire is up" in line for line in lab.lines) == 1
    assert sum("scripted model" in line for line in lab.lines) == 1
    assert {path.stem for path in (lab.data / "logs").glob("*.log")} >= set(PARTS)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_second_up_on_the_same_data_is_refused_with_the_pid_of_the_first(lab: Up) -> None:
    async with Up(lab.data, *ANY_PORT).running() as second:
        code, said = await second.ended()
    assert code == 1
    assert str(lab.process.pid) in said
    assert str(lab.data) in said
    assert said.count("\n") == 1
    urls = await lab.is_up()
    await eventually(lambda: everything_answers(urls), what="the first to go on")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("part", list(PARTS))
async def test_a_part_that_is_killed_comes_back_and_everything_is_healthy_again(lab: Up, part: str) -> None:
    urls = await lab.is_up()
    victim = lab.pid(part)
    assert victim is not None
    before = len(lab.lines)
    os.kill(victim, signal.SIGKILL)
    await eventually(lambda: f"{part} is healthy again" in lab.lines[before:], what=f"{part} back")
    assert lab.pid(part) not in (None, victim)
    assert any(line.startswith(f"{part} was killed by signal 9") for line in lab.lines[before:])
    await eventually(lambda: everything_answers(urls), what="everything healthy")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_part_that_hangs_is_reported_and_so_is_its_recovery(lab: Up) -> None:
    await lab.is_up()
    frozen = lab.pid("documents")
    assert frozen is not None
    before = len(lab.lines)
    os.kill(frozen, signal.SIGSTOP)
    try:
        unwell = "documents is unwell"
        await eventually(lambda: any(line.startswith(unwell) for line in lab.lines[before:]), what=unwell)
    finally:
        os.kill(frozen, signal.SIGCONT)
    await eventually(lambda: "documents is healthy again" in lab.lines[before:], what="documents back")
    assert lab.pid("documents") == frozen


async def test_told_to_stop_it_ends_and_leaves_nothing(tmp_path: Path) -> None:
    async with Up(tmp_path / "data", *ANY_PORT, *BOARDS).running() as up:
        await up.is_up()
        up.process.send_signal(signal.SIGINT)
        code, said = await up.ended()
        assert (code, said) == (0, "")
        assert up.left() == []
        assert run_dirs(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "after_s"),
    [
        (signal.SIGTERM, 0.2),
        (signal.SIGINT, 0.5),
        (signal.SIGHUP, 0.8),
        (signal.SIGTERM, 1.1),
        (signal.SIGINT, 1.5),
        (signal.SIGHUP, 2.0),
        (signal.SIGTERM, 3.0),
    ],
)
async def test_interrupted_at_any_moment_it_leaves_nothing(
    tmp_path: Path, number: signal.Signals, after_s: float
) -> None:
    async with Up(tmp_path / "data", *ANY_PORT, *BOARDS).running() as up:
        await asyncio.sleep(after_s)
        up.process.send_signal(number)
        await up.ended()
    assert up.left() == []
    assert run_dirs(tmp_path) == []


@pytest.mark.parametrize("after_s", [0.8, 1.2, 1.6, None])
async def test_when_up_itself_is_killed_all_its_processes_go(tmp_path: Path, after_s: float | None) -> None:
    async with Up(tmp_path / "data", *ANY_PORT, *BOARDS).running() as up:
        if after_s is None:
            await up.is_up()
        else:
            await asyncio.sleep(after_s)
        up.process.kill()
        await up.process.wait()
        await eventually(lambda: up.left() == [], what="no process left")


async def test_a_lab_starts_again_after_it_was_killed(tmp_path: Path) -> None:
    """The lock goes with its owner, and the sockets of the killed lab are cleared away."""
    async with Up(tmp_path / "data", *ANY_PORT).running() as up:
        await up.is_up()
        up.process.kill()
        await up.process.wait()
        await eventually(lambda: up.left() == [])
    async with Up(tmp_path / "data", *ANY_PORT).running() as again:
        await again.is_up()


@pytest.mark.parametrize("part", ["observability", "documents", "nats"])
async def test_a_taken_port_is_named_with_its_holder(tmp_path: Path, part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        async with Up(tmp_path / "data", *ANY_PORT, f"--{part}-port", str(port)).running() as up:
            code, said = await up.ended()
    assert code == 1
    assert f"{part}: port {port} is taken by" in said
    assert f"process {os.getpid()}" in said
    assert up.left() == []


async def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    async with Up(tmp_path / "data", *ANY_PORT).running() as up:
        code, said = await up.ended()
    assert code == 1
    assert f"the data directory {tmp_path / 'data'} cannot be used" in said


@pytest.mark.parametrize(
    ("options", "environment", "named"),
    [
        (("--virtual", "toaster"), {}, "toaster"),
        (("--host", "a.b"), {}, "a.b"),
        ((), {"BENCHWIRE_NATS_PORT": "many"}, "BENCHWIRE_NATS_PORT"),
        (("--nats-url", "nats://127.0.0.1:9"), {}, "no NATS at nats://127.0.0.1:9"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, options: tuple[str, ...], environment: dict[str, str], named: str
) -> None:
    ports = ANY_PORT[:4] if environment else ANY_PORT
    async with Up(tmp_path / "data", *ports, *options, **environment).running() as up:
        code, said = await up.ended()
    assert code == 1
    assert named in said
    assert said.count("\n") == 1
    assert up.left() == []


async def test_a_part_that_dies_at_its_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "documents").write_text("in the way")
    async with Up(tmp_path / "data", *ANY_PORT).running() as up:
        code, said = await up.ended()
    assert code == 1
    assert said.startswith("benchwire up: documents ended with exit code")
    assert "documents.log" in said
    assert len(said.splitlines()) > 2
    assert up.left() == []


async def test_with_a_server_given_none_is_started(tmp_path: Path) -> None:
    async with nats_server.running(tmp_path / "nats") as server:
        async with Up(tmp_path / "data", *ANY_PORT, "--nats-url", server.url).running() as up:
            urls = await up.is_up()
            assert urls["nats"] == server.url
            assert up.pid("nats") is None
            up.process.terminate()
            assert (await up.ended())[0] == 0
        assert server.process.returncode is None
