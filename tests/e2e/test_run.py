"""`benchwire run`, by a person without a model, against a lab that runs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import httpx
import pytest

from benchwire.deploy import lab_file
from benchwire.events import child

_RUN = [sys.executable, "-m", "benchwire.deploy", "run"]
_SCRIPTED = resources.files("benchwire.deploy.scripted")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with a firmware that passes its own test."""
    folder = tmp_path / "firmware"
    folder.mkdir()
    with resources.as_file(_SCRIPTED / "stm32f405_3.c") as file:
        shutil.copy(file, folder / "main.c")
    return folder


@pytest.fixture
def told(quiet_environment: dict[str, str], lab_data: Path) -> dict[str, str]:
    """An environment in which the running lab is found."""
    return quiet_environment | {"BENCHWIRE_DATA": str(lab_data)}


def run(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [*_RUN, "--board", "stm32f405", *map(str, arguments)]
    return subprocess.run(
        child.dying_with_owner(argv), env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def test_sources_are_built_simulated_flashed_and_heard(told: dict[str, str], sources: Path) -> None:
    done = run(told, sources, "--expect", "SELFTEST PASS", "--assert", "/^count 5$/")
    assert done.returncode == 0, done.stderr
    assert "stm32f405-1 printed: SELFTEST PASS" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("finished in")


def test_the_first_firmware_of_the_readme_runs(told: dict[str, str]) -> None:
    hello = Path(__file__).parents[2] / "docs" / "hello"
    done = run(told, hello, "--expect", "SELFTEST PASS")
    assert done.returncode == 0, done.stderr
    assert "stm32f405-1 printed: SELFTEST PASS" in done.stdout


def test_sources_that_do_not_build_end_with_the_compilers_words(told: dict[str, str], sources: Path) -> None:
    (sources / "main.c").write_text("int main(void) { return x; }\n")
    done = run(told, sources, "--no-deploy")
    assert done.returncode == 1
    assert "error: 'x' undeclared" in done.stderr


def test_an_output_without_the_asserted_text_ends_with_what_was_printed(told: dict[str, str], sources: Path) -> None:
    done = run(told, sources, "--no-deploy", "--assert", "NEVER PRINTED")
    assert done.returncode == 1
    assert "not shown by the simulation: prints NEVER PRINTED" in done.stderr
    assert "| SELFTEST PASS" in done.stderr


def test_a_line_that_the_board_does_not_print_is_a_failure(told: dict[str, str], sources: Path) -> None:
    done = run(told, sources, "--expect", "NEVER PRINTED", "--assert", "SELFTEST PASS")
    assert done.returncode == 1
    assert "did not print 'NEVER PRINTED'" in done.stderr


def test_a_task_that_takes_too_long_is_cancelled(told: dict[str, str], lab_data: Path, sources: Path) -> None:
    done = run(told, sources, "--no-deploy", "--assert", "NEVER PRINTED", "--timeout", "2")
    assert done.returncode == 1
    assert "did not end within 2 s" in done.stderr
    assert is_cancelled(lab_data, done.stdout.split()[0])


def test_an_interrupted_run_leaves_no_task_behind(told: dict[str, str], lab_data: Path, sources: Path) -> None:
    argv = [*_RUN, "--board", "stm32f405", str(sources), "--no-deploy", "--assert", "NEVER PRINTED"]
    with subprocess.Popen(
        child.dying_with_owner(argv), env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        task_id = process.stdout.readline().split()[0]
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.startswith(f"{task_id}: Task is ")
    assert is_cancelled(lab_data, task_id)


def test_without_a_lab_one_sentence_says_so(quiet_environment: dict[str, str], sources: Path) -> None:
    done = run(quiet_environment, sources, "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == "benchwire run: no lab answers at http://127.0.0.1:9; `benchwire up` starts one here\n"


def test_bad_input_is_refused_before_any_lab_is_asked(quiet_environment: dict[str, str], tmp_path: Path) -> None:
    done = run(quiet_environment, tmp_path / "gone", "--url", "http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (2, f"benchwire run: {tmp_path / 'gone'} is not there\n")


def is_cancelled(data: Path, task_id: str) -> bool:
    """Whether the task is, within a few seconds: its runner has to let go of it first."""
    lab = lab_file.read(data)
    assert lab is not None
    end = time.monotonic() + 30
    while time.monotonic() < end:
        status = httpx.get(f"{lab.observability_url}/tasks/{task_id}", trust_env=False).json()["status"]
        if status != "cancelling":
            return bool(status == "cancelled")
        time.sleep(0.1)
    return False
