"""A virtual STM32F405 under the real tools: gcc builds, pyocd flashes, QEMU runs, pyserial reads."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import serial

from benchwire.boards.virtual.registry import BoardRecord, is_alive, read_records

TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-objcopy", "qemu-system-arm", "setpriv")
PYOCD = Path(sys.executable).with_name("pyocd")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None] + [str(PYOCD)] * (not PYOCD.exists())

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

DEADLINE_S = 30.0
FLASH_BASE = 0x0800_0000
FLASH_BYTES = 1024 * 1024

SOURCE = r"""
#include <stdint.h>
#define REG(address) (*(volatile uint32_t *)(address))
#define USART1_SR REG(0x40011000)
#define USART1_DR REG(0x40011004)
#define USART1_CR1 REG(0x4001100C)
#ifdef PAD_BYTES
__attribute__((used)) const uint8_t pad[PAD_BYTES] = {[0 ... PAD_BYTES - 1] = 0x5A};
#endif
static void put(char c) { while (!(USART1_SR & 0x80)) {} USART1_DR = (uint8_t)c; }
static void say(const char *text) { while (*text) put(*text++); }
void reset_handler(void) {
    REG(0x40023844) |= 1u << 4;
    USART1_CR1 = 0x200C;
    say("BOOT " TAG "\r\n");
#ifdef FLOOD
    for (;;) say("flood flood flood flood flood flood\r\n");
#endif
#ifdef CRASH
    *(volatile uint32_t *)0xF0000000 = 1;
#endif
    for (;;) if (USART1_SR & 0x20) put((char)(USART1_DR + 1));
}
extern uint32_t stack_top;
__attribute__((section(".vectors"), used)) void *const vectors[16] = {&stack_top, (void *)reset_handler};
"""

LINKER_SCRIPT = """
MEMORY {
  FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 1024K
  RAM (rw) : ORIGIN = 0x20000000, LENGTH = 112K
}
stack_top = ORIGIN(RAM) + LENGTH(RAM);
SECTIONS { .text : { KEEP(*(.vectors)) *(.text*) KEEP(*(.rodata*)) } > FLASH }
"""

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compiles the firmware that says `tag`, once; further names become macros. Gives the path of the image."""

    @cache
    def compile_it(tag: str, **macros: int) -> Path:
        folder = tmp_path_factory.mktemp("firmware")
        (folder / "main.c").write_text(SOURCE)
        (folder / "flash.ld").write_text(LINKER_SCRIPT)
        compiler = [
            "arm-none-eabi-gcc",
            "-Os",
            "-Wall",
            "-Werror",
            "-ffreestanding",
            "-nostdlib",
            "-mcpu=cortex-m4",
            "-mthumb",
        ]
        named = [f'-DTAG="{tag}"', *(f"-D{name}={value}" for name, value in macros.items())]
        linked = ["main.c", "-T", "flash.ld", "-Wl,--no-warn-rwx-segments", "-o", "firmware.elf"]
        subprocess.run([*compiler, *named, *linked], cwd=folder, check=True)
        image = folder / f"{tag}.bin"
        subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", folder / "firmware.elf", image], check=True)
        return image

    return compile_it


class PluggedIn:
    """A running board process."""

    def __init__(self, process: subprocess.Popen[str], record: BoardRecord, run_dir: Path) -> None:
        self.process = process
        self.record = record
        self.run_dir = run_dir

    def ask(self, **command: Any) -> dict[str, Any]:
        """One command on the control socket."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(DEADLINE_S)
            control.connect(self.record.control)
            with control.makefile("rw") as lines:
                lines.write(json.dumps(command) + "\n")
                lines.flush()
                answer: dict[str, Any] = json.loads(lines.readline())
                return answer

    def pyocd(self, *arguments: str, ok: bool = True) -> str:
        """Run the pyocd command on this board; what it printed."""
        done = subprocess.run(self.pyocd_command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        output = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, output
        return output

    def pyocd_command(self, *arguments: str) -> list[str]:
        assert self.record.probe is not None
        return [str(PYOCD), *arguments, "-u", self.record.probe, "-t", "stm32f412xg"]

    def flash(self, image: Path) -> str:
        """`pyocd flash` of an image at the start of flash."""
        return self.pyocd("flash", f"{image}@{FLASH_BASE:#x}")

    @contextmanager
    def console(self) -> Iterator[serial.Serial]:
        with serial.Serial(self.record.tty, 115200, timeout=DEADLINE_S, exclusive=True) as port:
            yield port

    def qemu_pids(self) -> list[int]:
        """The processes that run this board's flash."""
        pids = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"qemu-system-arm" in command and str(self.run_dir).encode() in command:
                pids.append(int(path.parent.name))
        return pids


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)


def board_command(run_dir: Path, name: str, *more: str) -> list[str]:
    command = [sys.executable, "-m", "benchwire.boards.virtual", "stm32f405", "--name", name, "--run-dir", str(run_dir)]
    return [*command, *more]


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
    assert readable, "the board said nothing"
    assert process.stdout.readline().startswith("ready ")


@contextmanager
def plugged_in(run_dir: Path, name: str = "b1") -> Iterator[PluggedIn]:
    command = board_command(run_dir, name, "--die-with-parent")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until_ready(process)
            (record,) = [record for record in read_records(run_dir) if record.name == name]
            yield PluggedIn(process, record, run_dir)
        finally:
            process.terminate()
            process.communicate(timeout=DEADLINE_S)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[PluggedIn]:
    with plugged_in(tmp_path / "run") as plugged:
        yield plugged


def test_what_pyocd_flashes_runs_and_a_console_that_stays_open_sees_each_boot(board: PluggedIn, build: Build) -> None:
    with board.console() as console:
        board.flash(build("one"))
        assert console.readline() == b"BOOT one\r\n"
        board.flash(build("two"))
        assert console.readline() == b"BOOT two\r\n"
        console.write(b"HAL")
        assert console.read(3) == b"IBM"
    status = board.ask(do="status")
    assert (status["running"], status["core"], status["crash"]) == (True, "app", None)


def test_flashing_the_same_image_again_programs_nothing(board: PluggedIn, build: Build) -> None:
    image = build("one", PAD_BYTES=20_000)
    board.flash(image)
    programmed_bytes = board.ask(do="status")["programmed_bytes"]
    assert "programmed 0 bytes" in board.flash(image)
    assert board.ask(do="status")["programmed_bytes"] == programmed_bytes


def test_an_erased_board_runs_nothing_and_is_not_broken(board: PluggedIn, build: Build, tmp_path: Path) -> None:
    board.flash(build("one"))
    board.pyocd("erase", "--chip")
    assert board.ask(do="reset") == {"ok": True}
    status = board.ask(do="status")
    assert (status["running"], status["crash"], board.qemu_pids()) == (False, None, [])
    assert (tmp_path / "run" / "b1.flash").read_bytes() == b"\xff" * FLASH_BYTES
    with board.console() as console:
        board.flash(build("two"))
        assert console.readline() == b"BOOT two\r\n"


def test_what_is_read_back_is_what_was_written(board: PluggedIn, build: Build, tmp_path: Path) -> None:
    image = build("one", PAD_BYTES=100 * 1024)
    size = image.stat().st_size
    board.flash(image)
    saved = tmp_path / "saved.bin"
    output = board.pyocd(
        "cmd", "-c", f"savemem {FLASH_BASE:#x} {size} {saved}", "-c", f"compare {FLASH_BASE:#x} {image}"
    )
    assert saved.read_bytes() == image.read_bytes()
    assert "match" in output


def test_a_cell_that_fails_is_found_by_comparing(board: PluggedIn, build: Build) -> None:
    image = build("one", PAD_BYTES=20_000)
    assert board.ask(do="fault", kind="flip_bit", address=FLASH_BASE + 0x1234)["ok"]
    board.flash(image)  # pyocd doesn't read back what it programmed
    compare = ("cmd", "-c", f"compare {FLASH_BASE:#x} {image}")
    assert f"{FLASH_BASE + 0x1234:#010x}" in board.pyocd(*compare).lower()
    board.flash(image)
    assert "match" in board.pyocd(*compare)


def test_a_reset_on_the_control_socket_boots_again(board: PluggedIn, build: Build) -> None:
    with board.console() as console:
        board.flash(build("one"))
        assert console.readline() == b"BOOT one\r\n"
        assert board.ask(do="reset") == {"ok": True}
        assert console.readline() == b"BOOT one\r\n"
    refused = board.ask(do="reset", mode="download")
    assert refused["ok"] is False
    assert "debug probe" in refused["error"]


def test_halting_stops_the_firmware_and_going_on_starts_it_again(board: PluggedIn, build: Build) -> None:
    board.flash(build("one"))
    commands = ("reset halt", "reg pc", "status", "step", "reg pc", "rw 0xE0042000", "rh 0x1FFF7A22")
    options = ("-O", "resume_on_disconnect=false")
    output = board.pyocd("cmd", *options, *(word for command in commands for word in ("-c", command)))
    entry = int.from_bytes((board.run_dir / "b1.flash").read_bytes()[4:8], "little") & ~1
    assert f"pc = {entry:#010x}" in output
    assert f"pc = {entry + 2:#010x}" in output
    assert "Halted" in output
    assert "10076413" in output  # an STM32F405 ...
    assert "0400" in output  # ... with 1024 KiB
    assert board.ask(do="status")["core"] == "halted"
    with board.console() as console:
        board.pyocd("cmd", "-c", "go")
        assert console.readline() == b"BOOT one\r\n"


def test_a_debugger_can_connect_under_reset(board: PluggedIn, build: Build) -> None:
    with board.console() as console:
        board.flash(build("one"))
        assert console.readline() == b"BOOT one\r\n"
        assert "Halted" in board.pyocd("cmd", "-M", "under-reset", "-c", "status")
        assert (board.ask(do="status")["core"], board.qemu_pids()) == ("halted", [])
        assert board.ask(do="reset") == {"ok": True}
        assert console.readline() == b"BOOT one\r\n"


def test_an_access_to_nowhere_fails_and_the_session_can_be_repeated(board: PluggedIn) -> None:
    assert "transfer failed" in board.pyocd("cmd", "-c", "rw 0x30000000", ok=False)
    assert "ffffffff" in board.pyocd("cmd", "-c", f"rw {FLASH_BASE:#x}")


def test_attaching_leaves_the_firmware_alone(board: PluggedIn, build: Build) -> None:
    board.flash(build("one"))
    before = board.ask(do="status")
    board.pyocd("cmd", "-M", "attach", "-c", "status")
    after = board.ask(do="status")
    assert (after["boots"], after["app_pid"]) == (before["boots"], before["app_pid"])


def test_flash_survives_a_power_cycle_and_a_board_without_power_does_not_answer(board: PluggedIn, build: Build) -> None:
    board.flash(build("one"))
    assert board.ask(do="power", on=False) == {"ok": True}
    assert (board.ask(do="status")["powered"], board.qemu_pids()) == (False, [])
    board.pyocd("cmd", "-c", "status", ok=False)
    assert board.ask(do="reset")["error"] == "the board has no power"
    with board.console() as console:
        assert board.ask(do="power", on=True) == {"ok": True}
        assert console.readline() == b"BOOT one\r\n"


def test_flash_survives_the_process(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run") as board:
        board.flash(build("one"))
        serial_number = board.record.serial_number
    with plugged_in(tmp_path / "run") as board:
        assert board.record.serial_number == serial_number
        with board.console() as console:
            assert board.ask(do="reset")["ok"]
            assert b"BOOT one" in console.readline()


def test_a_probe_that_fell_off_refuses_connections_until_it_is_back(board: PluggedIn, build: Build) -> None:
    assert board.ask(do="fault", kind="disconnect") == {"ok": True}
    assert "refused" in board.pyocd("cmd", "-c", "status", ok=False)
    assert board.ask(do="fault", kind="reconnect") == {"ok": True}
    assert board.ask(do="status")["probe"] == board.record.probe
    board.flash(build("one"))


def test_a_second_session_is_refused_while_one_is_open(board: PluggedIn, build: Build) -> None:
    assert board.ask(do="fault", kind="slow", bytes_per_s=2000)["ok"]
    with subprocess.Popen(board.pyocd_command("flash", f"{build('one', PAD_BYTES=20_000)}@{FLASH_BASE:#x}")) as first:
        eventually(lambda: bool(board.ask(do="status")["programmed_bytes"] > 0))
        assert "in use" in board.pyocd("cmd", "-c", "status", ok=False)
        assert board.ask(do="fault", kind="slow", bytes_per_s=0)["ok"]
        assert first.wait(DEADLINE_S) == 0


def test_a_flash_that_is_killed_midway_can_be_repeated(board: PluggedIn, build: Build) -> None:
    image = build("one", PAD_BYTES=20_000)
    assert board.ask(do="fault", kind="slow", bytes_per_s=2000)["ok"]
    with subprocess.Popen(board.pyocd_command("flash", f"{image}@{FLASH_BASE:#x}")) as flashing:
        eventually(lambda: bool(board.ask(do="status")["programmed_bytes"] > 0))
        flashing.kill()
    assert not board.ask(do="status")["running"]
    assert board.ask(do="fault", kind="slow", bytes_per_s=0)["ok"]
    with board.console() as console:
        board.flash(image)
        assert console.readline() == b"BOOT one\r\n"


def test_a_firmware_that_crashes_is_reported_and_the_board_lives_on(board: PluggedIn, build: Build) -> None:
    with board.console() as console:
        board.flash(build("bad", CRASH=1))
        assert console.readline() == b"BOOT bad\r\n"
        eventually(lambda: not board.ask(do="status")["running"])
        status = board.ask(do="status")
        assert "Lockup" in status["crash"]
        assert status["core"] == "lockup"
        board.flash(build("good"))
        assert console.readline() == b"BOOT good\r\n"


def test_a_firmware_that_floods_its_port_does_not_stop_the_board(board: PluggedIn, build: Build) -> None:
    board.flash(build("loud", FLOOD=1))
    eventually(lambda: bool(board.ask(do="status")["dropped_uart_bytes"] > 0))
    with board.console() as console:
        board.flash(build("calm"))
        while not (line := console.readline()).endswith(b"BOOT calm\r\n"):
            assert line, "the calm firmware said nothing"


def test_an_idle_board_costs_no_cpu(board: PluggedIn) -> None:
    def cpu_ticks() -> int:
        fields = Path(f"/proc/{board.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = cpu_ticks()
    time.sleep(1)
    assert (cpu_ticks() - before) / os.sysconf("SC_CLK_TCK") < 0.05


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_board_without_remains(board: PluggedIn, build: Build, number: signal.Signals) -> None:
    board.flash(build("one"))
    assert board.qemu_pids()
    board.process.send_signal(number)
    assert board.process.wait(DEADLINE_S) == 0
    assert board.qemu_pids() == []
    assert [path.name for path in board.run_dir.iterdir()] == ["b1.flash"]


def test_a_killed_board_takes_its_emulator_along_and_is_no_longer_listed(board: PluggedIn, build: Build) -> None:
    board.flash(build("one"))
    assert board.qemu_pids()
    board.process.kill()
    board.process.wait(DEADLINE_S)
    eventually(lambda: board.qemu_pids() == [])
    assert read_records(board.run_dir) == []
    assert [path.name for path in board.run_dir.iterdir()] == ["b1.flash"]
    with plugged_in(board.run_dir) as again, again.console() as console:
        assert again.ask(do="reset")["ok"]
        assert b"BOOT one" in console.readline()


def test_unplugging_answers_and_ends_the_process(board: PluggedIn) -> None:
    assert board.ask(do="fault", kind="unplug") == {"ok": True}
    assert board.process.wait(DEADLINE_S) == 0
    assert [path.name for path in board.run_dir.iterdir()] == ["b1.flash"]


def test_a_board_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, flush=True); input()"
    command = [sys.executable, "-c", starter, *board_command(tmp_path, "b1", "--die-with-parent")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        eventually(lambda: [record.pid for record in read_records(tmp_path)] == [pid])
        parent.kill()
    eventually(lambda: not is_alive(pid))
    assert [path.name for path in tmp_path.iterdir()] == ["b1.flash"]


def test_two_boards_of_one_name_are_refused(board: PluggedIn) -> None:
    second = subprocess.run(
        board_command(board.run_dir, "b1"), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert second.returncode == 1
    assert "already plugged in" in second.stderr
    assert board.ask(do="status")["ok"]


def test_a_run_directory_that_is_too_deep_is_refused_in_words(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    refused = subprocess.run(board_command(deep, "b1"), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert refused.returncode == 1
    assert "use a shorter run directory" in refused.stderr


def test_a_flash_file_of_another_chip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b1.flash").write_bytes(bytes(4096))
    refused = subprocess.run(
        board_command(tmp_path, "b1"), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert refused.returncode == 1
    assert "4096 bytes" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["b1.flash"]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ({"kind": "flip_bit", "address": 0x2000_0000}, "an address in flash"),
        ({"kind": "flip_bit"}, "needs a whole number 'address'"),
        ({"kind": "slow", "bytes_per_s": -1}, "positive"),
        ({"kind": "earthquake"}, "it knows disconnect, flip_bit, reconnect, slow, unplug"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_in_words(
    board: PluggedIn, command: dict[str, Any], sentence: str
) -> None:
    refused = board.ask(do="fault", **command)
    assert refused["ok"] is False
    assert sentence in refused["error"]
