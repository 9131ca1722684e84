"""Virtual Cortex-M boards under the real tools: gcc builds, pyocd flashes, an emulator runs, pyserial reads."""

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import serial

from benchwire.boards import profile as profiles
from benchwire.boards.virtual.registry import BoardRecord, is_alive, read_records
from benchwire.events import child

TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-objcopy", "qemu-system-arm", "setpriv")
PYOCD = Path(sys.executable).with_name("pyocd")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None] + [str(PYOCD)] * (not PYOCD.exists())

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

DEADLINE_S = 30.0
FLASH_BASE = 0x0800_0000
FLASH_BYTES = 1024 * 1024

HELLO = Path(__file__).parents[3] / "docs/hello/main.c"

SOURCE = r"""
#include "board.h"
#ifdef PAD_BYTES
__attribute__((used)) const uint8_t pad[PAD_BYTES] = {[0 ... PAD_BYTES - 1] = 0x5A};
#endif
int main(void)
{
    board_init();
    uart_puts("BOOT " TAG "\r\n");
#ifdef FLOOD
    for (;;) uart_puts("flood flood flood flood flood flood\r\n");
#endif
#ifdef CRASH
    *(volatile uint32_t *)0xF0000000 = 1;
#endif
#ifdef PAD_BYTES
    if (*(const volatile uint8_t *)pad != 0x5A) return 1;
#endif
    for (;;) {
        int c = uart_getc_nonblocking();
        if (c >= 0) uart_putc((char)(c + 1));
    }
}
"""

Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compiles the firmware that says `tag`, once; further names become macros. Gives the path of the image; its ELF and hex lie beside."""

    @cache
    def compile_it(tag: str, board: str = "stm32f405", source: str = SOURCE, **macros: int) -> Path:
        profile = profiles.load(board)
        folder = tmp_path_factory.mktemp("firmware")
        (folder / "main.c").write_text(source)
        for file in (*profile.support, profile.linker_script):
            shutil.copyfile(profiles.ROOT / file, folder / PurePosixPath(file).name)
        sources = ["main.c", *(PurePosixPath(file).name for file in profile.support_sources)]
        argv = profile.compile_argv(
            sources, include=".", linker_script=PurePosixPath(profile.linker_script).name, output=f"{tag}.elf"
        )
        named = [f'-DTAG="{tag}"', *(f"-D{name}={value}" for name, value in macros.items())]
        subprocess.run(child.dying_with_owner([*argv, *named]), cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for form, ending in (("binary", "bin"), ("ihex", "hex")):
            convert = [profile.compiler.objcopy, "-O", form, f"{tag}.elf", f"{tag}.{ending}"]
            subprocess.run(child.dying_with_owner(convert), cwd=folder, check=True)
        return folder / f"{tag}.bin"

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
        command = self.pyocd_command(*arguments)
        done = subprocess.run(child.dying_with_owner(command), capture_output=True, text=True, timeout=60, check=False)
        output = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, output
        return output

    def pyocd_command(self, *arguments: str) -> list[str]:
        assert self.record.probe is not None
        return [str(PYOCD), *arguments, "-u", self.record.probe, "-t", self.driver.target]

    @property
    def driver(self) -> profiles.Pyocd:
        driver = profiles.load(self.record.profile).driver
        assert isinstance(driver, profiles.Pyocd)
        return driver

    def commander(self, *commands: str, options: Sequence[str] = (), ok: bool = True) -> str:
        """One session of `pyocd cmd`, which is cheaper than a command line for each."""
        return self.pyocd("cmd", *options, *(word for command in commands for word in ("-c", command)), ok=ok)

    def flash(self, image: Path) -> str:
        """`pyocd flash` of an image at the start of flash."""
        return self.pyocd("flash", f"{image}@{self.driver.address:#x}")

    def cycle_power(self) -> None:
        for on in (False, True):
            assert self.ask(do="power", on=on)["ok"]

    @contextmanager
    def probe_line(self) -> Iterator[socket.socket]:
        """The line that pyocd talks on."""
        assert self.record.probe is not None
        _, host, port = self.record.probe.split(":")
        with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as line:
            yield line

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


def simulated(profile: profiles.Profile, image: Path, size_bytes: int) -> bytes:
    """The first bytes that the profile's simulator prints for `image`."""
    simulator = profile.simulator
    assert simulator is not None
    if isinstance(simulator, profiles.Qemu):
        argv = simulator.argv(str(image))
    else:
        argv = [sys.executable, "-m", simulator.module, str(image), "--timeout-s", "30"]
    with subprocess.Popen(
        child.dying_with_owner(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            return process.stdout.read(size_bytes)
        finally:
            process.kill()


def told_by(probe: socket.socket, request: str, *arguments: int) -> dict[str, Any]:
    """What the probe answers to one request, as pyocd would send it."""
    with probe.makefile("rw") as lines:
        lines.write(json.dumps({"id": 1, "request": request, "arguments": arguments}) + "\n")
        lines.flush()
        answer: dict[str, Any] = json.loads(lines.readline())
        return answer


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)


def board_command(run_dir: Path, name: str, *more: str, profile: str = "stm32f405") -> list[str]:
    command = [sys.executable, "-m", "benchwire.boards.virtual", profile, "--name", name, "--run-dir", str(run_dir)]
    return [*command, *more]


def wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
    assert readable, "the board said nothing"
    assert process.stdout.readline().startswith("ready ")


@contextmanager
def plugged_in(
    run_dir: Path, name: str = "b1", profile: str = "stm32f405", *, holds: Path | None = None
) -> Iterator[PluggedIn]:
    """A board that was just plugged in; its flash holds the image `holds`, as if somebody had flashed that before."""
    if holds is not None:
        run_dir.mkdir(exist_ok=True)
        (run_dir / f"{name}.flash").write_bytes(holds.read_bytes().ljust(FLASH_BYTES, b"\xff"))
    command = board_command(run_dir, name, "--die-with-parent", profile=profile)
    with subprocess.Popen(
        child.dying_with_owner(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
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


@pytest.mark.parametrize("profile", ["stm32f405", "stm32f103", "stm32l475", "nrf51822"])
def test_each_chip_is_flashed_runs_that_and_is_erased(tmp_path: Path, build: Build, profile: str) -> None:
    hello, two = build("hello", profile, source=HELLO.read_text()), build("two", profile, PAD_BYTES=20_000)
    with plugged_in(tmp_path / "run", profile=profile) as board, board.console() as console:
        board.pyocd("flash", str(hello.with_suffix(".elf")))
        printed = f"HELLO from {profile}\r\nSELFTEST PASS\r\nalive for 0 s\r\n".encode()
        assert console.read(len(printed)) == printed == simulated(profiles.load(profile), hello, len(printed))

        base, saved, erased = board.driver.address, tmp_path / "saved.bin", tmp_path / "erased.bin"
        size = two.stat().st_size
        output = board.commander(
            f"load {two.with_suffix('.hex')}",
            f"savemem {base:#x} {size} {saved}",
            f"compare {base:#x} {two}",
            f"load {two} {base:#x}",
            f"erase {base:#x} 1",
            f"savemem {base:#x} {size} {erased}",
            "erase",
            options=("-v",),
        )
        assert "match" in output
        assert "programmed 0 bytes" in output  # pyocd compares checksums that the chip itself works out
        assert saved.read_bytes() == two.read_bytes()
        sector = len(erased.read_bytes()) - len(erased.read_bytes().lstrip(b"\xff"))
        assert sector in (1024, 2048, 16384)
        assert erased.read_bytes()[sector:] == two.read_bytes()[sector:]
        flash = (tmp_path / "run" / "b1.flash").read_bytes()
        assert flash.count(0xFF) == len(flash)


def test_a_firmware_that_is_flashed_over_another_one_is_heard_and_hears(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("loud", FLOOD=1)) as board, board.console() as console:
        board.flash(build("two"))
        while not (line := console.readline()).endswith(b"BOOT two\r\n"):
            assert line, "the second firmware said nothing"
        console.write(b"HAL")
        assert console.read(3) == b"IBM"
        status = board.ask(do="status")
        assert (status["running"], status["core"], status["crash"]) == (True, "app", None)


def test_boards_are_listed_and_chosen_by_serial_number_without_naming_their_target(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pyocd(*arguments: str) -> str:
        command = [str(PYOCD), *arguments]
        done = subprocess.run(child.dying_with_owner(command), capture_output=True, text=True, timeout=60, check=True)
        return done.stdout + done.stderr

    monkeypatch.setenv("BENCHWIRE_VIRTUAL_DIR", str(tmp_path))
    with plugged_in(tmp_path, "left", "stm32f103") as left, plugged_in(tmp_path, "right", "nrf51822") as right:
        listed = pyocd("list")
        for board in (left, right):
            assert board.record.serial_number in listed
            assert board.driver.target in listed
        pyocd("flash", "-u", right.record.serial_number, str(build("one", "nrf51822").with_suffix(".elf")))
        assert (left.ask(do="status")["programmed_bytes"], right.ask(do="status")["running"]) == (0, True)


@pytest.mark.parametrize("count", [0, pytest.param(8, marks=pytest.mark.long)])
def test_as_many_boards_are_listed_as_are_plugged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setenv("BENCHWIRE_VIRTUAL_DIR", str(tmp_path))
    with ExitStack() as bench:
        plugged = [bench.enter_context(plugged_in(tmp_path, f"b{number}")) for number in range(count)]
        command = [str(PYOCD), "list"]
        done = subprocess.run(child.dying_with_owner(command), capture_output=True, text=True, timeout=60, check=True)
    listed = [word for word in done.stdout.split() if re.fullmatch("[0-9A-F]{12}", word)]
    assert sorted(listed) == sorted(board.record.serial_number for board in plugged)
    assert ("No available debug probes" in done.stdout + done.stderr) is (count == 0)


def test_an_erased_board_runs_nothing_and_is_not_broken(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board:
        eventually(lambda: bool(board.qemu_pids()))
        board.pyocd("erase", "--chip")
        assert board.ask(do="reset") == {"ok": True}
        status = board.ask(do="status")
        assert (status["running"], status["crash"], board.qemu_pids()) == (False, None, [])
        assert (tmp_path / "run" / "b1.flash").read_bytes() == b"\xff" * FLASH_BYTES


def test_a_cell_that_fails_is_found_by_comparing(board: PluggedIn, build: Build) -> None:
    image = build("one", PAD_BYTES=6000)
    assert board.ask(do="fault", kind="flip_bit", address=FLASH_BASE + 0x1234)["ok"]
    # pyocd doesn't read back what it programmed
    load, compare = f"load {image} {FLASH_BASE:#x}", f"compare {FLASH_BASE:#x} {image}"
    compared = board.commander(load, compare, load, compare).lower()
    assert compared.count(f"{FLASH_BASE + 0x1234:#010x}") == 1
    assert compared.count("bytes match") == 1


@pytest.mark.parametrize("plugin", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_cable_that_goes_at_a_byte_leaves_half_an_image_and_no_board(
    tmp_path: Path, build: Build, monkeypatch: pytest.MonkeyPatch, plugin: bool
) -> None:
    """pyocd's own client of remote probes spins for ever when the other side is gone; through the plugin it ends."""
    monkeypatch.setenv("BENCHWIRE_VIRTUAL_DIR", str(tmp_path))
    image = build("one", "stm32f103", PAD_BYTES=20_000)
    with plugged_in(tmp_path, profile="stm32f103") as board:
        assert board.ask(do="fault", kind="drop", after_bytes=12_000) == {"ok": True}
        uid = board.record.serial_number if plugin else board.record.probe
        command = [str(PYOCD), "flash", "-u", str(uid), "-t", "stm32f103rc", str(image)]
        with subprocess.Popen(child.dying_with_owner(command), stderr=subprocess.PIPE, text=True) as flashing:
            assert board.process.wait(DEADLINE_S) == 0
            if plugin:
                assert "b1 was unplugged" in flashing.communicate(timeout=DEADLINE_S)[1]
                assert flashing.returncode != 0
            else:
                flashing.kill()
        assert read_records(tmp_path) == []
        flash = (tmp_path / "b1.flash").read_bytes()
        assert flash.startswith(image.read_bytes()[:2048])
        assert not flash.startswith(image.read_bytes())


def test_faults_of_the_chip_last_until_its_power_is_cycled(tmp_path: Path, build: Build) -> None:
    image = build("one", "stm32f103", PAD_BYTES=4096)
    commands = ("rw 0xE0042000", f"load {image} {FLASH_BASE:#x}")
    with plugged_in(tmp_path, profile="stm32f103") as board:
        assert board.ask(do="fault", kind="bad_sector", address=FLASH_BASE + 0x900)["ok"]
        assert board.ask(do="fault", kind="wrong_chip", chip="stm32l475")["ok"]
        output = board.commander(*commands, ok=False)
        assert "10076415" in output
        assert "failure (address 0x08000800" in output
        board.cycle_power()
        with board.console() as console:
            assert "10010414" in board.commander(*commands, "reset")
            while not (line := console.readline()).endswith(
                b"BOOT one\r\n"
            ):  # half an image may have said something, too
                assert line, "the firmware said nothing"


def test_a_mute_probe_answers_nothing_until_the_power_is_cycled(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board, board.console() as console:
        assert console.readline() == b"BOOT one\r\n"
        assert board.ask(do="fault", kind="mute")["ok"]
        console.write(b"H")
        with board.probe_line() as probe:
            probe.settimeout(0.5)
            with pytest.raises(TimeoutError):
                told_by(probe, "hello", 1)
        assert console.in_waiting == 0
        board.cycle_power()
        assert console.readline() == b"BOOT one\r\n"
        with board.probe_line() as probe:
            assert told_by(probe, "hello", 1)["status"] == 0


def test_firmware_that_fits_the_chip_but_not_its_simulator_is_flashed_and_not_run(tmp_path: Path, build: Build) -> None:
    flash = tmp_path / "b1.flash"
    flash.write_bytes(build("one", "stm32f103").read_bytes().ljust(140 * 1024, b"\x5a").ljust(256 * 1024, b"\xff"))
    with plugged_in(tmp_path, profile="stm32f103") as board:
        status = board.ask(do="status")
        assert status["running"] is False
        assert "it is flashed, but not run" in status["crash"]


def test_a_reset_on_the_control_socket_boots_again(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board, board.console() as console:
        assert console.readline() == b"BOOT one\r\n"
        assert board.ask(do="reset") == {"ok": True}
        assert console.readline() == b"BOOT one\r\n"
        assert "debug probe" in board.ask(do="reset", mode="download")["error"]
        assert "no strapping pin" in board.ask(do="strap", mode="download")["error"]


def test_halting_stops_the_firmware_and_going_on_starts_it_again(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board:
        output = board.commander(
            *("reset halt", "reg pc", "status", "step", "reg pc", "rw 0xE0042000", "rh 0x1FFF7A22"),
            options=("-O", "resume_on_disconnect=false"),
        )
        entry = int.from_bytes((board.run_dir / "b1.flash").read_bytes()[4:8], "little") & ~1
        assert f"pc = {entry:#010x}" in output
        assert f"pc = {entry + 2:#010x}" in output
        assert "Halted" in output
        assert "10076413" in output  # an STM32F405 ...
        assert "0400" in output  # ... with 1024 KiB
        assert board.ask(do="status")["core"] == "halted"
        with board.console() as console:
            console.reset_input_buffer()
            board.commander("go")
            assert console.readline() == b"BOOT one\r\n"


def test_a_debugger_can_connect_under_reset_or_leave_the_firmware_alone(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board, board.console() as console:
        assert console.readline() == b"BOOT one\r\n"
        before = board.ask(do="status")
        output = board.commander("status", "rw 0x30000000", options=("-M", "attach"), ok=False)
        assert "Running" in output
        assert "transfer failed" in output  # there is nothing
        after = board.ask(do="status")
        assert (after["boots"], after["app_pid"]) == (before["boots"], before["app_pid"])
        assert "Halted" in board.commander("status", options=("-M", "under-reset"))
        assert (board.ask(do="status")["core"], board.qemu_pids()) == ("halted", [])
        assert board.ask(do="reset") == {"ok": True}
        assert console.readline() == b"BOOT one\r\n"


def test_flash_survives_a_power_cycle_and_a_board_without_power_does_not_answer(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board, board.console() as console:
        assert console.readline() == b"BOOT one\r\n"
        assert board.ask(do="power", on=False) == {"ok": True}
        assert (board.ask(do="status")["powered"], board.qemu_pids()) == (False, [])
        with board.probe_line() as probe:
            assert "no power" in told_by(probe, "read_dp", 0)["error"]
        assert board.ask(do="reset")["error"] == "the board has no power"
        assert board.ask(do="power", on=True) == {"ok": True}
        assert console.readline() == b"BOOT one\r\n"


def test_a_probe_that_fell_off_refuses_connections_until_it_is_back(board: PluggedIn) -> None:
    assert board.ask(do="fault", kind="disconnect") == {"ok": True}
    with pytest.raises(ConnectionRefusedError), board.probe_line():
        pass
    assert board.ask(do="fault", kind="reconnect") == {"ok": True}
    assert board.ask(do="status")["probe"] == board.record.probe
    with board.probe_line() as probe:
        assert told_by(probe, "hello", 1)["status"] == 0


@pytest.mark.parametrize("killed", ["pyocd", "board"])
def test_a_flash_that_is_killed_midway_keeps_what_was_programmed_and_can_be_repeated(
    tmp_path: Path, build: Build, killed: str
) -> None:
    image, flash = build("one", PAD_BYTES=20_000), tmp_path / "b1.flash"
    with plugged_in(tmp_path) as board:
        assert board.ask(do="fault", kind="slow", bytes_per_s=2000)["ok"]
        command = board.pyocd_command("flash", f"{image}@{FLASH_BASE:#x}")
        with subprocess.Popen(child.dying_with_owner(command)) as flashing:
            eventually(lambda: bool(board.ask(do="status")["programmed_bytes"] >= 512))
            if killed == "pyocd":
                with board.probe_line() as probe:
                    assert "in use" in told_by(probe, "open")["error"]  # one session at a time
                flashing.kill()
            else:
                board.process.kill()
                board.process.wait(DEADLINE_S)
                flashing.kill()  # it waits for ever: see the test of the cable
        assert flash.read_bytes().startswith(image.read_bytes()[:512])
        assert not flash.read_bytes().startswith(image.read_bytes())
        if killed == "pyocd":
            assert not board.ask(do="status")["running"]
            assert board.ask(do="fault", kind="slow", bytes_per_s=0)["ok"]
            with board.console() as console:
                board.flash(image)
                assert console.readline() == b"BOOT one\r\n"
            return
    programmed = flash.read_bytes()
    with plugged_in(tmp_path) as again, again.console() as console:
        assert flash.read_bytes() == programmed
        again.flash(image)
        while not (line := console.readline()).endswith(b"BOOT one\r\n"):  # half an image may have said something, too
            assert line, "the firmware said nothing"


def test_a_firmware_that_crashes_is_reported_and_the_board_lives_on(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("bad", CRASH=1)) as board, board.console() as console:
        assert console.readline() == b"BOOT bad\r\n"
        eventually(lambda: not board.ask(do="status")["running"])
        status = board.ask(do="status")
        assert "Lockup" in status["crash"]
        assert status["core"] == "lockup"
        assert board.ask(do="reset") == {"ok": True}
        while (line := console.readline()) != b"BOOT bad\r\n":  # after what the fault handler says
            assert line, "the board did not boot again"


def test_a_firmware_that_floods_its_port_does_not_stop_the_board(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("loud", FLOOD=1)) as board:
        eventually(lambda: bool(board.ask(do="status")["dropped_uart_bytes"] > 0))
        assert board.ask(do="power", on=False) == {"ok": True}
        assert board.qemu_pids() == []


def test_an_idle_board_costs_no_cpu(board: PluggedIn) -> None:
    def cpu_ticks() -> int:
        fields = Path(f"/proc/{board.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def is_idle() -> bool:
        before = cpu_ticks()
        time.sleep(1)
        return (cpu_ticks() - before) / os.sysconf("SC_CLK_TCK") < 0.05

    eventually(is_idle)  # its start may have left something to do


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_board_without_remains(tmp_path: Path, build: Build, number: signal.Signals) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board:
        eventually(lambda: bool(board.qemu_pids()))
        board.process.send_signal(number)
        assert board.process.wait(DEADLINE_S) == 0
        assert board.qemu_pids() == []
        assert [path.name for path in board.run_dir.iterdir()] == ["b1.flash"]


def test_a_killed_board_takes_its_emulator_along_and_is_no_longer_listed(tmp_path: Path, build: Build) -> None:
    with plugged_in(tmp_path / "run", holds=build("one")) as board:
        eventually(lambda: bool(board.qemu_pids()))
        board.process.kill()
        board.process.wait(DEADLINE_S)
        eventually(lambda: board.qemu_pids() == [])
        assert read_records(board.run_dir) == []
        assert [path.name for path in board.run_dir.iterdir()] == ["b1.flash"]
    with plugged_in(tmp_path / "run") as again, again.console() as console:
        assert again.record.serial_number == board.record.serial_number
        assert again.ask(do="reset")["ok"]
        assert b"BOOT one" in console.readline()


def test_a_board_that_nobody_can_find_any_more_ends_and_says_why(tmp_path: Path) -> None:
    with plugged_in(tmp_path / "run", profile="rp2040") as board:
        shutil.rmtree(tmp_path / "run")
        _, said = board.process.communicate(timeout=DEADLINE_S)
    assert board.process.returncode == 1
    assert re.fullmatch(r"benchwire-virtual-board: somebody removed [^\n]*\n", said)


def test_unplugging_answers_and_ends_the_process(board: PluggedIn) -> None:
    assert board.ask(do="fault", kind="unplug") == {"ok": True}
    assert board.process.wait(DEADLINE_S) == 0
    assert [path.name for path in board.run_dir.iterdir()] == ["b1.flash"]


def test_a_board_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL).pid, flush=True); input()"
    command = [sys.executable, "-c", starter, *board_command(tmp_path, "b1", "--die-with-parent")]
    with subprocess.Popen(
        child.dying_with_owner(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        eventually(lambda: [record.pid for record in read_records(tmp_path)] == [pid])
        parent.kill()
    eventually(lambda: not is_alive(pid))
    assert [path.name for path in tmp_path.iterdir()] == ["b1.flash"]


def test_two_boards_of_one_name_are_refused(board: PluggedIn) -> None:
    command = board_command(board.run_dir, "b1")
    second = subprocess.run(
        child.dying_with_owner(command), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert second.returncode == 1
    assert "already plugged in" in second.stderr
    assert board.ask(do="status")["ok"]


def test_of_two_boards_of_one_name_that_are_started_together_one_is_there(tmp_path: Path) -> None:
    command = board_command(tmp_path, "b1", "--die-with-parent", profile="rp2040")
    twins = [
        subprocess.Popen(child.dying_with_owner(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        eventually(lambda: any(one.poll() is not None for one in twins))
        (refused,) = [one for one in twins if one.poll() is not None]
        (there,) = [one for one in twins if one is not refused]
        assert "already plugged in" in refused.communicate(timeout=DEADLINE_S)[1]
        wait_until_ready(there)
        (record,) = read_records(tmp_path)
        assert record.pid == there.pid
        assert Path(record.tty).exists()
    finally:
        for one in twins:
            one.kill()
            one.communicate(timeout=DEADLINE_S)


def test_a_run_directory_that_is_too_deep_is_refused_in_words(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    command = board_command(deep, "b1")
    refused = subprocess.run(
        child.dying_with_owner(command), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert refused.returncode == 1
    assert "use a shorter run directory" in refused.stderr


def test_a_flash_file_of_another_chip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b1.flash").write_bytes(bytes(4096))
    command = board_command(tmp_path, "b1")
    refused = subprocess.run(
        child.dying_with_owner(command), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert refused.returncode == 1
    assert "4096 bytes" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["b1.flash"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kind": "flip_bit", "address": 0x2000_0000}, "an address in flash"),
    ({"kind": "flip_bit"}, "needs a whole number 'address'"),
    ({"kind": "slow", "bytes_per_s": -1}, "can't be negative"),
    ({"kind": "flip_bit", "address": FLASH_BASE, "bit": 8}, "the bits 0 to 7"),
    ({"kind": "bad_sector", "address": 0x3000_0000}, "an address in flash"),
    ({"kind": "wrong_chip", "chip": "z80"}, "one of stm32f405, stm32f103, stm32l475, nrf51822"),
    ({"kind": "drop"}, "needs a whole number 'after_bytes'"),
    (
        {"kind": "earthquake"},
        "this board knows bad_sector, disconnect, drop, flip_bit, mute, reconnect, slow, unplug, wrong_chip",
    ),
]


def test_a_fault_that_makes_no_sense_is_refused_in_words(board: PluggedIn) -> None:
    answers = [board.ask(do="fault", **command) for command, _ in REFUSED]
    assert not any(answer["ok"] for answer in answers)
    told = [answer["error"] for answer in answers]
    assert [sentence for (_, sentence), error in zip(REFUSED, told, strict=True) if sentence not in error] == []
