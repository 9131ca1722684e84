"""The monitor of a serial port: a pty whose other end the test holds, and ports behind the network."""

import asyncio
import fcntl
import os
import random
import select
import socket
import struct
import termios
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import serial
from serial import rfc2217

from benchwire.events.bus import LIVE, Bus
from benchwire.events.expect import line_of
from benchwire.events.follow import newest
from benchwire.events.live import SerialLine
from benchwire.events.log import Log
from benchwire.events.testing.eventually import eventually
from benchwire.flash_agent import console as consoles
from benchwire.flash_agent.console import Console, Send
from benchwire.flash_agent.errors import PortBusy, PortClosed, WriteBroke
from benchwire.flash_agent.ports import file_port
from benchwire.flash_agent.ports.opening import opened
from benchwire.flash_agent.testing import plugged


@asynccontextmanager
async def monitored(port: str, send: Send | None = None) -> AsyncIterator[tuple[Console, list[SerialLine]]]:
    lines: list[SerialLine] = []

    async def take(some: Sequence[SerialLine]) -> int:
        lines.extend(some)
        return len(some)

    console = Console(
        host="lab-1", device="board-1", port=port, baud=115200, send=send or take, tap=lambda data, lost_bytes: None
    )
    running = asyncio.create_task(console.run())
    try:
        yield console, lines
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_lines_are_numbered_and_a_prompt_without_end_comes_after_a_while(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link)) as (console, lines):
            await eventually(lambda: console.is_open)
            pty.print(b"one\r\ntw")
            pty.print(b"o \xff\r\n> ")
            await eventually(lambda: len(lines) == 3)
    assert [(line.number, line.line, line.data) for line in lines] == [
        (1, "one", None), (2, "two \\xff", b"two \xff"), (3, "> ", None)
    ]  # fmt: skip


async def test_a_port_that_goes_while_it_is_opened_does_not_take_the_agent_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyserial passes termios' own error on, which is no OSError."""
    flush, failed = termios.tcflush, threading.Event()

    def gone(fd: int, queue: int) -> None:
        if not failed.is_set():
            failed.set()
            raise termios.error(5, "Input/output error")
        flush(fd, queue)

    monkeypatch.setattr(termios, "tcflush", gone)
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link)) as (console, _):
            await eventually(failed.is_set)
            await eventually(lambda: console.is_open)


async def test_a_port_that_vanishes_and_comes_back_is_read_again(tmp_path: Path) -> None:
    async with monitored(str(tmp_path / "tty")) as (console, lines):
        for text in (b"first\n", b"second\n"):
            with plugged(tmp_path / "tty") as pty:
                await eventually(lambda: console.is_open)
                pty.print(text)
                await eventually(lambda text=text: [one.line for one in lines][-1:] == [text.decode().strip()])  # type: ignore[misc]
            await eventually(lambda: not console.is_open)
    assert [line.number for line in lines] == [1, 2]


async def test_a_lent_port_is_free_and_what_comes_after_the_reset_has_the_job(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link)) as (console, lines):
            await eventually(lambda: console.is_open)
            pty.print(b"old\nhalf")
            await eventually(lambda: len(lines) == 1)
            console.release()
            assert not console.is_open
            with pytest.raises(PortBusy, match="a flash tool has the serial port of board-1"):
                await console.write(b"x")
            assert await console.resume()
            console.booting("job_1")
            pty.print(b"BOOT\n")
            await eventually(lambda: any(line.line == "BOOT" for line in lines))
    assert [(line.line, line.job_id) for line in lines] == [("old", None), ("half", None), ("BOOT", "job_1")]


async def test_a_board_that_is_gone_does_not_take_the_port_of_the_one_that_follows(tmp_path: Path) -> None:
    """A job gives the port back in the moment in which its board vanishes, and another appears at the same path."""
    link = tmp_path / "tty"
    async with monitored(str(link)) as (before, _):
        with plugged(link):
            await eventually(lambda: before.is_open)
            before.release()
        back = asyncio.create_task(before.resume(timeout_s=30.0))
        await asyncio.sleep(0)
        before.end()
        with plugged(link) as pty:
            assert not await back
            async with monitored(str(link)) as (after, lines):
                await eventually(lambda: after.is_open)
                pty.print(b"here\n")
                await eventually(lambda: [line.line for line in lines] == ["here"])
    assert not before.is_open


# Floods


def flood(seed: int, size_bytes: int) -> bytes:
    """Lines of 20 to 80 bytes, each with its number."""
    chance = random.Random(seed)
    lines, size = list[bytes](), 0
    while size < size_bytes:
        lines.append(b"%08d %s" % (len(lines) + 1, b"x" * chance.randint(10, 70)))
        size += len(lines[-1]) + 2
    return b"\r\n".join([*lines, b""])


async def test_a_flood_comes_whole_and_in_order_through_the_samples(bus: Bus, log: Log, tmp_path: Path) -> None:
    said = flood(1, 1 << 20)
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link), log.samples) as (console, _):
            await eventually(lambda: console.is_open)
            await asyncio.to_thread(_print_all, pty.master, said)
            wanted = said.decode().split("\r\n")[:-1]

            async def all_there() -> bool:
                return int((await bus.js.stream_info(LIVE)).state.messages) == len(wanted)

            await eventually(all_there, within_s=30)
            last = await newest(bus, "live.serial.lab-1.board-1.line", 1000, stream=LIVE)
    lines = [line for message in last if (line := line_of(message)) is not None]
    assert [line.line for line in lines] == wanted[-1000:]
    assert [line.number for line in lines] == list(range(len(wanted) - 999, len(wanted) + 1))


async def test_while_nobody_takes_lines_the_port_is_read_and_what_is_dropped_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consoles, "_LATER_S", 0.001)
    said = flood(2, 8 << 20)  # twice as much as may wait
    taken: list[SerialLine] = []
    away, chance = asyncio.Event(), random.Random(3)
    away.set()

    async def send(lines: Sequence[SerialLine]) -> int:
        if away.is_set():
            return 0
        some = lines[: chance.randint(0, len(lines))]
        taken.extend(some)
        return len(some)

    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link), send) as (console, _):
            await eventually(lambda: console.is_open)
            await asyncio.to_thread(_print_all, pty.master, said)
            away.clear()
            lines = said.decode().split("\r\n")[:-1]
            await eventually(lambda: bool(taken) and taken[-1].number == len(lines), within_s=30)
    assert len(taken) < len(lines), "some were dropped"
    assert [(line.number, line.line) for line in taken] == [
        (line.number, lines[line.number - 1]) for line in sorted(taken, key=lambda one: one.number)
    ]
    assert sum(len(line.line) + line.lost_bytes for line in taken) == sum(map(len, lines))
    for before, line in zip([None, *taken], taken, strict=False):
        first = 1 if before is None else before.number + 1
        assert line.lost_bytes == sum(map(len, lines[first - 1 : line.number - 1]))


def _print_all(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view[:4096]) :]


async def test_what_the_driver_says_that_it_lost_is_told_with_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pty has no such counters: here they are the test's."""
    ioctl, overruns = fcntl.ioctl, 3

    def counted(number: int, request: int, *more: Any) -> Any:
        if request != file_port.TIOCGICOUNT:
            return ioctl(number, request, *more)
        return file_port.ICOUNT.pack(*(overruns if place == file_port.OVERRUN else 0 for place in range(20)))

    monkeypatch.setattr(fcntl, "ioctl", counted)
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link)) as (console, lines):
            await eventually(lambda: console.is_open)
            for number in (1, 2):
                pty.print(b"line\n")
                await eventually(lambda number=number: len(lines) == number)  # type: ignore[misc]
                overruns += 4
    assert [line.lost_bytes for line in lines] == [0, 4]


# Writing


async def test_what_is_written_arrives_whole_and_in_order(tmp_path: Path) -> None:
    pieces = [bytes([number]) * 3000 for number in range(20)]
    heard = b""
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link)) as (console, _):
            await eventually(lambda: console.is_open)
            writing = asyncio.gather(*(console.write(piece) for piece in pieces))

            def all_heard() -> bool:
                nonlocal heard
                heard += pty.received()
                return len(heard) >= 60_000

            await eventually(all_heard)
            await writing
    assert heard == b"".join(pieces)


async def test_a_port_that_takes_nothing_more_is_given_up_and_the_sentence_tells_how_much_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_port, "STUCK_S", 0.2)
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link)) as (console, _):
            await eventually(lambda: console.is_open)
            with pytest.raises(WriteBroke, match=r"was not sent all of 100000 bytes: the port took \d+ bytes"):
                await console.write(b"x" * 100_000)
            written = len(pty.received())
            assert 0 < written < 100_000
            await console.write(b"again")
            assert pty.received() == b"again"


async def test_a_port_that_is_lent_in_the_middle_of_a_write_ends_the_write(tmp_path: Path) -> None:
    with plugged(tmp_path / "tty") as pty:
        async with monitored(str(pty.link)) as (console, _):
            await eventually(lambda: console.is_open)
            writing = asyncio.create_task(console.write(b"x" * 100_000))
            await eventually(lambda: bool(select.select([pty.master], [], [], 0)[0]))
            console.release()
            with pytest.raises(WriteBroke, match="closed"):
                await writing
    async with monitored(str(tmp_path / "nothing")) as (console, _):
        with pytest.raises(PortClosed, match="board-1 cannot be written to"):
            await console.write(b"x")


# Ports behind the network


async def test_a_port_behind_a_socket_is_read_written_and_taken_again() -> None:
    clients: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *streams: clients.put_nowait(streams), "127.0.0.1", 0)
    async with server, monitored(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}") as (console, lines):
        for text in (b"one\n", b"two\n"):
            reader, writer = await asyncio.wait_for(clients.get(), 30)
            await eventually(lambda: console.is_open)
            writer.write(text)
            await eventually(lambda text=text: [one.line for one in lines][-1:] == [text.decode().strip()])  # type: ignore[misc]
            await console.write(b"hello")
            assert await asyncio.wait_for(reader.readexactly(5), 30) == b"hello"
            writer.close()
            await writer.wait_closed()
            await eventually(lambda: not console.is_open)
    assert [line.number for line in lines] == [1, 2]


async def test_a_connection_that_was_reset_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[socket.socket] = []
    made = serial.serial_for_url

    def kept(*values: Any, **named: Any) -> Any:
        device: Any = made(*values, **named)
        connections.append(device._socket)
        return device

    monkeypatch.setattr(serial, "serial_for_url", kept)
    gone = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        port = await opened(url, 115200, lambda _: None, lambda _: gone.set())
        other, _ = server.accept()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its close is a reset
        other.close()
        await asyncio.wait_for(gone.wait(), 30)
        port.close()
        await eventually(lambda: connections[0].fileno() == -1)


class Bridge:
    """A terminal server that speaks RFC 2217 for one port: pyserial's own other half, with a port that only remembers what it is told."""

    def __init__(self) -> None:
        self.baudrate, self.bytesize, self.parity, self.stopbits = 0, 8, "N", 1
        self.rtscts = self.xonxoff = self.cts = self.dsr = self.ri = self.cd = self.break_condition = False
        self.dtr: bool | None = None
        self.rts: bool | None = None
        self.heard = b""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._server.getsockname()[1]}"
        self._connection: socket.socket | None = None
        self._manager: Any = None
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            self._connection, _ = self._server.accept()
            self._manager = rfc2217.PortManager(cast("Any", self), cast("Any", self))
            while data := self._connection.recv(1024):
                self.heard += b"".join(self._manager.filter(data))

    def write(self, data: bytes) -> None:
        """What the protocol has to say."""
        assert self._connection is not None
        self._connection.sendall(data)

    def print(self, data: bytes) -> None:
        self.write(b"".join(self._manager.escape(data)))

    def reset_input_buffer(self) -> None:
        """There is none."""

    reset_output_buffer = reset_input_buffer

    def close(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)


@pytest.mark.filterwarnings("ignore:set:DeprecationWarning")  # pyserial 3.5
async def test_a_port_behind_rfc_2217_is_read_and_written_and_its_lines_are_moved() -> None:
    bridge = Bridge()
    try:
        async with monitored(bridge.url) as (console, lines):
            await eventually(lambda: console.is_open)
            assert bridge.baudrate == 115200
            bridge.print(b"one \xff\ntwo\n")
            await eventually(lambda: len(lines) == 2)
            assert (lines[0].data, lines[1].line) == (b"one \xff", "two")
            await console.write(b"\xff\x00hello")
            await eventually(lambda: bridge.heard == b"\xff\x00hello")
            await console.pull_lines([(False, True, 0.0)])
            await eventually(lambda: (bridge.dtr, bridge.rts) == (False, True))
            bridge.close()
            await eventually(lambda: not console.is_open)
    finally:
        bridge.close()
