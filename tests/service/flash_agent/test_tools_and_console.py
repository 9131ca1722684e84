"""Flash tools that hang, serial ports that come and go, and the rows of a host: each with the real thing."""

import asyncio
import os
import socket
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from benchwire.events import catalog, flash
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.live import SerialLine
from benchwire.events.log import Log
from benchwire.events.projection import Projection, rows_of
from benchwire.events.testing.eventually import eventually
from benchwire.events.testing.samples import sample, samples
from benchwire.flash_agent import preparing, queries
from benchwire.flash_agent.console import Console
from benchwire.flash_agent.errors import ImageRefused, ToolDied, ToolFailed, ToolSilent
from benchwire.flash_agent.projection import schema
from benchwire.flash_agent.tools.process import SILENCE_LIMITS_S, Tool, working
from benchwire.flash_agent.tools.worker_protocol import EsptoolOrder, PyocdOrder


class Pty:
    """A serial port whose other end is this test. It leaves out modem lines and speed, as every pty does."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self.slave))

    def print(self, data: bytes) -> None:
        os.write(self.master, data)

    def close(self) -> None:
        self.link.unlink(missing_ok=True)
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def plugged(link: Path) -> Iterator[Pty]:
    pty = Pty(link)
    try:
        yield pty
    finally:
        pty.close()


@asynccontextmanager
async def monitored(link: Path) -> AsyncIterator[tuple[Console, list[SerialLine]]]:
    lines: list[SerialLine] = []

    async def send(line: SerialLine) -> None:
        lines.append(line)

    console = Console(host="lab-1", device="board-1", port=str(link), baud=115200, send=send)
    running = asyncio.create_task(console.run())
    try:
        yield console, lines
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_lines_are_numbered_and_a_prompt_without_end_comes_after_a_while(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        async with monitored(pty.link) as (console, lines):
            await eventually(lambda: console.is_open)
            pty.print(b"one\r\ntw")
            pty.print(b"o \xff\r\n> ")
            await eventually(lambda: len(lines) == 3)
    assert [(line.number, line.line) for line in lines] == [(1, "one"), (2, "two \\xff"), (3, "> ")]


async def test_a_port_that_goes_while_it_is_opened_does_not_take_the_agent_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyserial passes termios' own error on, which is no OSError."""
    flush, failed = termios.tcflush, asyncio.Event()

    def gone(fd: int, queue: int) -> None:
        if not failed.is_set():
            failed.set()
            raise termios.error(5, "Input/output error")
        flush(fd, queue)

    monkeypatch.setattr(termios, "tcflush", gone)
    with plugged(tmp_path / "tty") as pty:
        async with monitored(pty.link) as (console, _):
            await asyncio.wait_for(failed.wait(), 30)
            await eventually(lambda: console.is_open)


async def test_an_image_larger_than_the_flash_is_refused_before_it_is_fetched(bus: Bus) -> None:
    image = await Blobs(bus).put(b"x" * 100_000, name="image")
    request = sample(flash.FlashRequested, image=image)
    assert isinstance(request, flash.FlashRequested)
    with pytest.raises(ImageRefused, match="100000 bytes do not fit into 1000 bytes"):
        await preparing._image(request, Blobs(bus), 1000)


async def test_a_port_that_vanishes_and_comes_back_is_read_again(tmp_path: Path) -> None:
    async with monitored(tmp_path / "tty") as (console, lines):
        for text in (b"first\n", b"second\n"):
            with plugged(tmp_path / "tty") as pty:
                await eventually(lambda: console.is_open)
                pty.print(text)
                await eventually(lambda text=text: [one.line for one in lines][-1:] == [text.decode().strip()])  # type: ignore[misc]
            await eventually(lambda: not console.is_open)
    assert [line.number for line in lines] == [1, 2]


async def test_a_lent_port_is_free_and_what_comes_after_the_reset_has_the_job(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        async with monitored(pty.link) as (console, lines):
            await eventually(lambda: console.is_open)
            pty.print(b"old\nhalf")
            await eventually(lambda: len(lines) == 1)
            console.release()
            assert not console.is_open
            assert await console.resume()
            console.booting("job_1")
            pty.print(b"BOOT\n")
            await eventually(lambda: any(line.line == "BOOT" for line in lines))
    assert [(line.line, line.job_id) for line in lines] == [("old", None), ("half", None), ("BOOT", "job_1")]


async def to_the_end(tool: Tool) -> None:
    async for _ in tool.said():
        pass


async def test_esptool_on_a_mute_board_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        order = EsptoolOrder(address=0, size_bytes=4, port=str(pty.link), before="no-reset")
        async with working(order, b"1234", limits_s=SILENCE_LIMITS_S | {"connecting": 2.0}) as tool:
            with pytest.raises(ToolSilent, match="2 s while connecting"):
                await to_the_end(tool)
    assert not psutil.pid_exists(tool.pid)


async def test_pyocd_whose_probe_hangs_up_is_ended_although_it_spins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        probe = f"remote:127.0.0.1:{server.getsockname()[1]}"
        order = PyocdOrder(address=0x0800_0000, size_bytes=4, probe=probe, target="stm32f412xg")

        def hang_up() -> None:
            server.accept()[0].close()

        async with working(order, b"1234", limits_s=SILENCE_LIMITS_S | {"connecting": 4.0}) as tool:
            hanging_up = asyncio.create_task(asyncio.to_thread(hang_up))
            with pytest.raises((ToolSilent, ToolFailed)):
                await to_the_end(tool)
            await hanging_up
    assert not psutil.pid_exists(tool.pid)


async def test_a_port_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    order = EsptoolOrder(address=0, size_bytes=4, port=str(tmp_path / "nothing"), before="no-reset")
    async with working(order, b"1234") as tool:
        with pytest.raises(ToolFailed, match="nothing") as refused:
            await to_the_end(tool)
    assert tool.flash_state == "untouched"
    assert refused.value.code in ("connect_failed", "connection_lost")


async def test_a_tool_that_is_killed_says_what_killed_it(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        order = EsptoolOrder(address=0, size_bytes=4, port=str(pty.link), before="no-reset")
        async with working(order, b"1234") as tool:
            psutil.Process(tool.pid).kill()
            with pytest.raises(ToolDied, match="SIGKILL"):
                await to_the_end(tool)


async def test_the_rows_of_a_host_rebuilt_from_the_log_equal_the_live_ones(log: Log, bus: Bus, tmp_path: Path) -> None:
    path = tmp_path / "projection.sqlite"
    async with Projection(bus, path, schema("host-1")).running():
        for event in samples():
            if catalog.subject_of(event).startswith("bench."):
                await log.append(event)
        await log.append(sample(flash.FlashRequested, job_id="job-2"))
    live = Projection(bus, path, schema("host-1"))
    async with live.running():
        assert live.state.malformed == 0
        waiting = await live.read(queries.queue)
        over = await live.read(queries.history)
    assert [row.job_id for row in waiting] == ["job-2"]
    assert [(row.job_id, row.status) for row in over] == [("job_id-1", "completed")]
    before = rows_of(path)
    path.unlink()
    async with Projection(bus, path, schema("host-1")).running():
        pass
    assert rows_of(path) == before
