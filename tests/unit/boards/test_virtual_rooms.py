"""Registration, control and serial port of a virtual board, without a board."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchwire.boards.virtual.board import BoardError, ResetMode
from benchwire.boards.virtual.control import MAX_PATH_BYTES, check_path, control_socket
from benchwire.boards.virtual.flash_file import claimed, flash_cells
from benchwire.boards.virtual.registry import BoardRecord, read_records, registered, serial_number_of
from benchwire.boards.virtual.uart import Uart
from benchwire.events import child

DEADLINE_S = 30.0


def record(run_dir: Path, name: str, pid: int) -> BoardRecord:
    return BoardRecord(
        name=name,
        profile="stm32f405",
        serial_number=serial_number_of(name),
        tty=str(run_dir / f"{name}.tty"),
        probe="remote:127.0.0.1:5601",
        control=str(run_dir / f"{name}.control"),
        pid=pid,
    )


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def dead_pid() -> int:
    process = subprocess.Popen(child.dying_with_owner([sys.executable, "-c", ""]))
    process.wait()
    return process.pid


def test_a_board_is_registered_for_as_long_as_it_is_plugged_in(tmp_path: Path) -> None:
    plugged = record(tmp_path, "b1", os.getpid())
    with registered(plugged, tmp_path):
        assert read_records(tmp_path) == [plugged]
    assert names_in(tmp_path) == []


def test_what_a_dead_board_left_behind_is_removed(tmp_path: Path) -> None:
    dead = record(tmp_path, "b1", dead_pid())
    (tmp_path / "b1.board.json").write_bytes(msgspec.json.encode(dead))
    (tmp_path / "b1.tty").symlink_to("/dev/pts/no-such-terminal")
    (tmp_path / "b1.control").touch()
    (tmp_path / "b1.flash").touch()
    assert read_records(tmp_path) == []
    assert names_in(tmp_path) == ["b1.flash"]


def test_a_process_that_ended_but_was_not_waited_for_counts_as_dead(tmp_path: Path) -> None:
    process = subprocess.Popen(child.dying_with_owner([sys.executable, "-c", ""]))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        (tmp_path / "b1.board.json").write_bytes(msgspec.json.encode(record(tmp_path, "b1", process.pid)))
        assert read_records(tmp_path) == []
    finally:
        process.wait()


def test_a_run_directory_that_does_not_exist_has_no_boards(tmp_path: Path) -> None:
    assert read_records(tmp_path / "nowhere") == []


def test_the_serial_number_follows_from_the_name() -> None:
    assert serial_number_of("b1") == serial_number_of("b1") != serial_number_of("b2")


def test_a_registration_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "b1.board.json").touch()
    with pytest.raises(msgspec.DecodeError, match=r"b1\.board\.json is no board's registration, remove it"):
        read_records(tmp_path)


def test_a_flash_file_is_claimed_by_one_board_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "of" / "b1.flash"
    with claimed(path):
        with pytest.raises(BoardError, match="already plugged in"), claimed(path):
            pass
        with flash_cells(path, 4096) as cells:
            assert cells[:] == b"\xff" * 4096
    with claimed(path):
        pass


@pytest.mark.parametrize("there", [b"", b"\xff" * 1000])
def test_a_flash_file_that_was_broken_off_while_it_was_made_is_completed(tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "b1.flash"
    path.write_bytes(there)
    with flash_cells(path, 4096) as cells:
        cells[:4] = b"kept"
    with flash_cells(path, 4096) as cells:
        assert cells[:] == b"kept" + b"\xff" * 4092


def test_a_flash_file_of_another_size_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "b1.flash"
    for there in (b"\xff" * 999 + b"\0", b"\xff" * 5000):
        path.write_bytes(there)
        with pytest.raises(BoardError, match=f"has {len(there)} bytes"), flash_cells(path, 4096):
            pass
        assert path.read_bytes() == there


def test_a_disk_that_is_full_is_told_in_words_and_every_byte_is_taken_from_it_at_once(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))  # writing fails here as it does on a full disk
    try:
        with pytest.raises(BoardError, match="b1 can't be made: "), flash_cells(tmp_path / "b1", 4096):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)
    with flash_cells(tmp_path / "b1", 1 << 20):
        assert (tmp_path / "b1").stat().st_blocks * 512 >= 1 << 20


def test_a_socket_path_that_is_too_long_is_refused_in_words() -> None:
    check_path(Path("/" + "x" * (MAX_PATH_BYTES - 1)))
    with pytest.raises(BoardError, match="use a shorter run directory"):
        check_path(Path("/" + "x" * MAX_PATH_BYTES))


class Bench:
    """Writes down what it is asked for, and refuses some of it."""

    probe = None

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.unplugged = asyncio.Event()

    async def reset(self, mode: ResetMode) -> None:
        self.asked.append(("reset", mode))

    async def power(self, on: bool) -> None:
        self.asked.append(("power", on))

    async def fault(self, kind: str, arguments: dict[str, Any]) -> None:
        if kind == "unheard-of":
            raise BoardError("no such fault")
        self.asked.append(("fault", kind, arguments))

    def status(self) -> dict[str, Any]:
        return {"running": True}


class StrappedBench(Bench):
    async def strap(self, mode: ResetMode) -> None:
        self.asked.append(("strap", mode))


async def ask(path: Path, *lines: str) -> list[dict[str, Any]]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        for line in lines:
            writer.write(line.encode() + b"\n")
        return [json.loads(await asyncio.wait_for(reader.readline(), DEADLINE_S)) for _ in lines]
    finally:
        writer.close()
        await writer.wait_closed()


async def test_commands_reach_the_board_and_are_answered_in_order(tmp_path: Path) -> None:
    bench = Bench()
    async with control_socket(tmp_path / "c", bench):
        answers = await ask(
            tmp_path / "c",
            '{"do":"status"}',
            '{"do":"reset"}',
            '{"do":"reset","mode":"download"}',
            '{"do":"power","on":false}',
            '{"do":"fault","kind":"slow","bytes_per_s":5}',
        )
    assert answers == [{"ok": True, "running": True}, *[{"ok": True}] * 4]
    assert bench.asked == [
        ("reset", "run"),
        ("reset", "download"),
        ("power", False),
        ("fault", "slow", {"bytes_per_s": 5}),
    ]
    assert names_in(tmp_path) == []


async def test_a_strapping_pin_is_held_where_there_is_one(tmp_path: Path) -> None:
    with_pin = StrappedBench()
    async with control_socket(tmp_path / "c", with_pin):
        held, sideways = await ask(
            tmp_path / "c", '{"do":"strap","mode":"download"}', '{"do":"strap","mode":"sideways"}'
        )
    assert (held["ok"], sideways["ok"]) == (True, False)
    assert with_pin.asked == [("strap", "download")]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("not json", "one JSON object per line"),
        ("[]", "one JSON object per line"),
        ('{"do":"dance"}', "unknown command 'dance'"),
        ('{"do":"reset","mode":"sideways"}', "the mode of a reset"),
        ('{"do":"strap","mode":"download"}', "no strapping pin"),
        ('{"do":"power","on":1}', "power needs"),
        ('{"do":"fault"}', "a fault needs"),
        ('{"do":"fault","kind":"unheard-of"}', "no such fault"),
    ],
)
async def test_a_refusal_is_a_sentence_and_the_connection_lives_on(tmp_path: Path, line: str, sentence: str) -> None:
    async with control_socket(tmp_path / "c", Bench()):
        refused, status = await ask(tmp_path / "c", line, '{"do":"status"}')
    assert refused["ok"] is False
    assert sentence in refused["error"]
    assert status["ok"] is True


async def test_the_control_socket_closes_under_a_connected_client(tmp_path: Path) -> None:
    async with control_socket(tmp_path / "c", Bench()):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "c")
        writer.write(b'{"do":"status"}\n')
        await asyncio.wait_for(reader.readline(), DEADLINE_S)
    assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b""
    writer.close()
    await writer.wait_closed()


async def test_what_the_board_prints_is_read_at_the_link_unchanged(tmp_path: Path) -> None:
    everything = bytes(range(256))
    with Uart.open(tmp_path / "tty") as uart:
        uart.write(everything)
        fd = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY)
        assert os.read(fd, 1024) == everything
        os.close(fd)
    assert names_in(tmp_path) == []


async def test_what_the_host_writes_reaches_the_board_unchanged(tmp_path: Path) -> None:
    everything = bytes(range(256))
    got = bytearray()
    arrived = asyncio.Event()

    def receive(data: bytes) -> None:
        got.extend(data)
        if len(got) == len(everything):
            arrived.set()

    with Uart.open(tmp_path / "tty") as uart:
        uart.on_receive(receive)
        fd = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY)
        os.write(fd, everything)
        await asyncio.wait_for(arrived.wait(), DEADLINE_S)
        os.close(fd)
    assert got == everything


async def test_a_board_that_nobody_reads_loses_its_oldest_bytes_and_counts_them(tmp_path: Path) -> None:
    sent = b"".join(b"%07d\n" % number for number in range(20_000))
    with Uart.open(tmp_path / "tty", buffer_bytes=8000) as uart:
        for start in range(0, len(sent), 800):
            uart.write(sent[start : start + 800])
        assert uart.dropped_bytes > 0
        fd = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        got = bytearray()
        async with asyncio.timeout(DEADLINE_S):
            while not got.endswith(sent[-8:]):
                try:
                    got += os.read(fd, 4096)
                except BlockingIOError:
                    await asyncio.sleep(0.001)
        os.close(fd)
        assert len(got) == len(sent) - uart.dropped_bytes


async def test_a_host_that_flushes_its_input_still_gets_what_comes_after(tmp_path: Path) -> None:
    with Uart.open(tmp_path / "tty") as uart:
        uart.write(b"x" * 100_000)
        fd = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        termios.tcflush(fd, termios.TCIFLUSH)
        uart.write(b"end")
        got = bytearray()
        async with asyncio.timeout(DEADLINE_S):
            while not got.endswith(b"end"):
                try:
                    got += os.read(fd, 4096)
                except BlockingIOError:
                    await asyncio.sleep(0.001)
        os.close(fd)


async def test_whoever_took_the_line_last_has_it_alone_until_they_leave(tmp_path: Path) -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    arrived: list[bytes] = []
    with Uart.open(tmp_path / "tty") as uart:
        uart.on_receive(arrived.append)
        with uart.taken(first.append) as one:
            uart.write(b"a")
            with uart.taken(second.append) as other:
                uart.write(b"b")
                one.send(b"lost")
                other.send(b"heard")
                assert (one.is_held, other.is_held) == (False, True)
            uart.write(b"c")
            one.send(b"again")
        uart.write(b"d")
        fd = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY)
        assert os.read(fd, 16) == b"d"
        os.close(fd)
    assert (first, second, arrived) == ([b"a", b"c"], [b"b"], [b"heard", b"again"])
