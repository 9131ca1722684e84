"""Boards from a shell and from a lab's own tests, as a user has them: a real lab, a virtual board, commands.

What takes its time, or hears of a signal, is a process. The others run in this one, which spares their start.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from benchwire.boards import profile as profiles
from benchwire.deploy import lab_file
from benchwire.deploy.app import app
from benchwire.events import child

BOARD = "stm32f405-1"


@pytest.fixture
def shell(lab_data: Path, quiet_environment: dict[str, str], tmp_path: Path) -> "Shell":
    lab = lab_file.read(lab_data)
    assert lab is not None
    environment = {**quiet_environment, "BENCHWIRE_DATA": str(lab_data), "BENCHWIRE_URL": lab.observability_url}
    return Shell(environment, tmp_path)


class Shell:
    """Runs commands beside the lab."""

    def __init__(self, environment: dict[str, str], cwd: Path) -> None:
        self.environment = environment
        self.cwd = cwd

    def start(self, *argv: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", *argv]
        return subprocess.Popen(
            child.dying_with_owner(command),
            env=self.environment,
            cwd=self.cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        with self.start(*argv) as process:
            out, err = process.communicate(timeout=90)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def listeners(self) -> int:
        """How many are connected to the lab, to hear what happens."""
        return int(httpx.get(f"{self.environment['BENCHWIRE_URL']}/health", trust_env=False).json()["clients"])

    def benchwire(self, *argv: str) -> Result:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            return CliRunner().invoke(app, argv, env=self.environment)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@pytest.fixture
def firmware(tmp_path: Path, echo_source: str) -> Path:
    """An image that prints a line, and then says again what it is told."""
    profile = profiles.load("stm32f405")
    (tmp_path / "main.c").write_text(echo_source)
    sources = [str(tmp_path / "main.c"), *(str(profiles.ROOT / one) for one in profile.support_sources)]
    elf, image = tmp_path / "app.elf", tmp_path / "app.bin"
    linker = str(profiles.ROOT / profile.linker_script)
    argv = profile.compile_argv(sources, include=str(profiles.ROOT / "common"), linker_script=linker, output=str(elf))
    subprocess.run(child.dying_with_owner(argv), check=True, capture_output=True)
    convert = [profile.compiler.objcopy, "-O", "binary", str(elf), str(image)]
    subprocess.run(child.dying_with_owner(convert), check=True)
    return image


def test_a_board_is_found_flashed_and_heard(shell: Shell, firmware: Path) -> None:
    [device] = [json.loads(line) for line in shell.benchwire("devices", "--json").stdout.splitlines()]
    assert (device["device_id"], device["board_type"]) == (BOARD, "stm32f405")
    assert BOARD in shell.benchwire("devices", "--profile", "stm32f405").stdout
    assert BOARD not in shell.benchwire("devices", "--label", "rack=2").stdout

    others = shell.listeners()
    with shell.start("benchwire.deploy", "monitor", BOARD, "--until", "^READY", "--timeout", "60") as monitor:
        _until(lambda: shell.listeners() > others)
        flashed = shell.run("benchwire.deploy", "flash", str(firmware), "--device", BOARD)
        assert flashed.returncode == 0, flashed.stderr
        assert "verified by" in flashed.stdout
        heard, complaint = monitor.communicate(timeout=60)
    assert (monitor.returncode, complaint) == (0, "")
    assert heard.splitlines()[-1] == "READY"

    [job, *_] = [json.loads(line) for line in shell.benchwire("jobs", "--json").stdout.splitlines()]
    assert (job["status"], job["deviceId"]) == ("completed", BOARD)
    assert job["jobId"] in shell.benchwire("jobs", "show", job["jobId"]).stdout
    assert json.loads(shell.benchwire("jobs", "stats").stdout)


def test_what_cannot_be_flashed_is_said(shell: Shell, tmp_path: Path) -> None:
    junk = str(tmp_path / "junk.bin")
    Path(junk).write_bytes(b"\xff" * 100)
    refused = shell.benchwire("flash", junk, "--device", BOARD)
    assert refused.exit_code == 1
    assert "was not flashed (failed)" in refused.stderr
    nowhere = shell.benchwire("flash", junk, "--device", "nobody")
    assert (nowhere.exit_code, "nobody" in nowhere.stderr) == (1, True)
    which = shell.benchwire("flash", junk)
    assert (which.exit_code, "which board?" in which.stderr) == (2, True)
    missing = shell.benchwire("flash", "none.bin", "--device", BOARD)
    assert (missing.exit_code, "none.bin" in missing.stderr) == (1, True)


def test_a_lease_keeps_others_out_and_its_queue_is_in_order(shell: Shell, firmware: Path) -> None:
    taken = shell.benchwire("lease", "take", "--device", BOARD, "--holder", "ann", "--for", "300", "--wait", "30")
    assert taken.exit_code == 0, taken.stderr
    lease = taken.stdout.strip()
    kept_out = shell.benchwire("flash", str(firmware), "--device", BOARD)
    assert (kept_out.exit_code, "ann" in kept_out.stderr) == (1, True)
    with shell.start(
        "benchwire.deploy", "lease", "take", "--profile", "stm32f405", "--holder", "bob", "--wait", "60"
    ) as waiting:
        _until(lambda: '"waiting"' in shell.benchwire("lease", "list", "--state", "waiting", "--json").stdout)
        assert shell.benchwire("flash", str(firmware), "--device", BOARD, "--lease", lease).exit_code == 0
        assert shell.benchwire("lease", "release", lease).exit_code == 0
        second, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert shell.benchwire("lease", "release", second.strip()).exit_code == 0


def test_a_command_runs_with_a_board_of_its_own(shell: Shell) -> None:
    command = ("sh", "-c", "echo $BENCHWIRE_DEVICE; exit 7")
    ran = shell.run("benchwire.deploy", "lease", "run", "--profile", "stm32f405", "--", *command)
    assert (ran.returncode, ran.stdout.strip()) == (7, BOARD)
    [device] = [json.loads(line) for line in shell.benchwire("devices", "--json").stdout.splitlines()]
    assert device["lease"] is None


def test_ctrl_c_cancels_the_job(shell: Shell, firmware: Path) -> None:
    with shell.start(
        "benchwire.deploy", "flash", str(firmware), "--device", BOARD, "--limit", "100", "--json"
    ) as flashing:
        assert flashing.stdout is not None
        for line in flashing.stdout:
            if json.loads(line).get("stage") == "writing":
                break
        flashing.send_signal(signal.SIGINT)
        _, said = flashing.communicate(timeout=60)
    assert flashing.returncode == 130
    assert "is cancelled; the flash of" in said
    [device] = [json.loads(line) for line in shell.benchwire("devices", "--json").stdout.splitlines()]
    assert device["needs_flash"] is True


TESTS = """
import pytest

@pytest.mark.board("stm32f405")
def test_says_again_what_it_is_told(flash, serial):
    job = flash("app.bin")
    assert job.verified_by
    serial.expect("READY")
    serial.write("ping")
    serial.expect("heard: ping")

@pytest.mark.board("stm32f405")
def test_fails_with_what_was_heard(device, serial):
    device.reset()
    serial.expect("READY")
    serial.expect("what it never says", timeout_s=0.2)

@pytest.mark.board("stm32f405", camera="yes")
def test_needs_a_camera(flash):
    pass
"""


def test_a_labs_own_tests_run_on_its_boards(shell: Shell, firmware: Path) -> None:
    (shell.cwd / "test_board.py").write_text(TESTS)
    ran = shell.run(
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--benchwire-missing",
        "skip",
        "--benchwire-patience",
        "5",
        "-rs",
        ".",
    )
    assert "1 failed, 1 passed, 1 skipped" in ran.stdout, ran.stdout + ran.stderr
    assert "no line with 'what it never says' came within 0.2 s; the board printed:" in ran.stdout
    assert "camera=yes" in ran.stdout
    assert '"held"' not in shell.benchwire("lease", "list", "--state", "held", "--json").stdout


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end


def test_any_board_with_the_label_will_do(shell: Shell) -> None:
    data = shell.cwd / "data.bin"
    data.write_bytes(b"\x00" + bytes(range(1, 200)))
    added = shell.benchwire(
        "board", "add", "--virtual", "esp32c3", "--name", "seen", "--label", "camera=yes", "--label", "rack=2"
    )
    assert added.exit_code == 0, added.stderr
    try:
        _until(lambda: "seen" in shell.benchwire("devices", "--label", "rack=2").stdout)
        flashed = shell.benchwire("flash", f"{data}@0x20000", "--label", "rack=2", "--label", "camera=yes", "--erase")
        assert (flashed.exit_code, flashed.stdout.split(" on ")[0]) == (0, "seen"), flashed.stderr
        nowhere = shell.benchwire("flash", f"{data}@0x20000", "--label", "rack=3")
        assert (nowhere.exit_code, "rack=3" in nowhere.stderr) == (1, True)
    finally:
        assert shell.benchwire("board", "remove", "seen").exit_code == 0
