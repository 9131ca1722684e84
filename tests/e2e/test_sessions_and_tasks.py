"""`benchwire session` and `benchwire task`, by a person, against a lab that runs; a cassette is in the model's place."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from benchwire.deploy import lab_file
from benchwire.deploy.app import app
from benchwire.events import child

pytestmark = pytest.mark.timeout(180)

_BENCHWIRE = [sys.executable, "-m", "benchwire.deploy"]
_WITHIN_S = 90.0

MODULE = '''"""Looks at e-mail addresses."""


def is_address(text: str) -> bool:
    """Whether ``text`` looks like an address."""
    name, at, host = text.partition("@")
    return bool(name and at and "." in host)
'''
TESTS = '''"""Tests."""

from validator import is_address


def test_an_address_has_a_name_and_a_host() -> None:
    assert is_address("a@b.c")
    assert not is_address("a@b")
    assert not is_address("@b.c")
'''
WRONG = MODULE.replace("bool(name and at", "bool(at")
OUTLINE = {
    "summary": "One module.",
    "modules": [{"name": "validator.py", "description": "is_address(text: str) -> bool", "depends_on": []}],
}


def written(module: str) -> str:
    return f"```python validator.py\n{module}```\n\n```python test_validator.py\n{TESTS}```"


CASSETTE: dict[str, Any] = {
    "cassette": 1,
    "conversation": [
        {"name": "plan", "structured": True, "contains": "e-mail", "turn": [{"text": json.dumps(OUTLINE)}]},
        {"name": "code", "contains": "Write validator.py:", "turn": [{"text": written(WRONG)}, {"text": written(MODULE)}]},
        {"name": "firmware", "contains": "Board profile: stm32f405", "turn": [{"text_file": "main.c"}]},
        {
            "name": "hello",
            "first": "say hello",
            "turn": [
                {
                    "text": "I look, and write it down.",
                    "tool": [
                        {"name": "bash", "input": {"command": "echo one; echo two"}},
                        {"name": "write_file", "input": {"path": "note.txt", "content": "hello\n"}},
                    ],
                },
                {"text": "It is written down."},
                {"text": "And now it is over."},
            ],
        },
        {
            "name": "forbidden",
            "first": "try it",
            "turn": [{"tool": {"name": "bash", "input": {"command": "rm -rf ."}}}, {"text": "Then I will not."}],
        },
    ],
    "turn": [{"contains": "slowly", "text": "one " * 40, "pause_s": 60}],
}  # fmt: skip


@pytest.fixture(scope="module")
def told(quiet_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """An environment in which a lab is found that plays the cassette."""
    folder = Path(tempfile.mkdtemp(prefix="bw-"))
    source = resources.files("benchwire.deploy.scripted") / "stm32f405_3.c"
    (folder / "main.c").write_text(source.read_text())
    (folder / "cassette.json").write_text(json.dumps(CASSETTE))
    ports = ("--observability-port", "0", "--documents-port", "0", "--nats-port", "0")
    argv = [*_BENCHWIRE, "up", "--data", str(folder / "data"), "--host", "bench", *ports]
    argv += ["--cassette", str(folder / "cassette.json")]
    with subprocess.Popen(child.dying_with_owner(argv), env=quiet_environment, stdout=subprocess.DEVNULL) as up:
        try:
            until(lambda: up.poll() is not None or lab_file.read(folder / "data") is not None, "the lab to be up")
            assert up.poll() is None, "the lab did not start"
            yield quiet_environment | {"BENCHWIRE_DATA": str(folder / "data"), "COLUMNS": "200"}
        finally:
            up.terminate()
            assert up.wait(15) == 0
            shutil.rmtree(folder)


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + _WITHIN_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)


def benchwire(environment: dict[str, str], *arguments: str | Path) -> Result:
    """A command that ends by itself, in this process: the start of one of its own would cost more than all that it does."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def begun(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        child.dying_with_owner([*_BENCHWIRE, *arguments]), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def asked(environment: dict[str, str], path: str) -> dict[str, Any]:
    """What the lab says, without a process for each time."""
    lab = lab_file.read(Path(environment["BENCHWIRE_DATA"]))
    assert lab is not None
    answer = httpx.get(f"{lab.observability_url}{path}", trust_env=False)
    return dict(answer.json()) if answer.is_success else {}


def runs(environment: dict[str, str], session_id: str) -> Callable[[], bool]:
    return lambda: len(asked(environment, f"/sessions/{session_id}/events").get("events", [])) > 1


def waits(environment: dict[str, str], session_id: str) -> Callable[[], bool]:
    return lambda: bool(asked(environment, f"/sessions/{session_id}/approvals?state=waiting").get("approvals"))


def test_a_session_is_started_approved_read_and_goes_on(told: dict[str, str]) -> None:
    started = begun(told, "session", "start", "say hello", "--id", "hello", "--ask-before", "write_file", "--follow")
    try:
        until(waits(told, "hello"), "the question")
        assert "write_file path=note.txt" in benchwire(told, "session", "approvals").stdout
        approved = benchwire(told, "session", "approve", "hello")
        assert (approved.exit_code, approved.stderr) == (0, "write_file is approved\n")
        out, errors = started.communicate(timeout=_WITHIN_S)
    finally:
        started.kill()
    assert started.returncode == 0, errors
    for line in ("    I look, and write it down.", "    | one", "    It is written down.", "write_file answered"):
        assert line in out
    assert "benchwire session approve hello toolu_" in out
    assert "nothing waits" in benchwire(told, "session", "approvals").stderr
    assert benchwire(told, "session", "approve", "hello").stderr.endswith("no call of hello waits for a person\n")

    said = benchwire(told, "session", "say", "hello", "and now", "--follow")
    assert (said.exit_code, said.stderr) == (0, "hello had ended, and goes on with it\n")
    assert "    And now it is over." in said.stdout
    assert "It is written down" not in said.stdout
    events = [json.loads(line) for line in benchwire(told, "session", "show", "hello", "--json").stdout.splitlines()]
    assert (events[0]["status"], events[-1]["event_type"]) == ("finished", "session_stop")


def test_a_call_that_is_denied_does_not_run_and_the_model_is_told_why(told: dict[str, str]) -> None:
    name = benchwire(told, "session", "start", "try it", "--ask-before", "bash").stdout.strip()
    until(waits(told, name), "the question")
    assert benchwire(told, "session", "deny", name, "--reason", "not here").exit_code == 0
    shown = benchwire(told, "session", "show", name, "--follow")
    assert shown.exit_code == 0
    assert "bash failed" in shown.stdout
    assert "not here" in shown.stdout
    assert "    Then I will not." in shown.stdout


def test_a_stop_ends_a_session_and_who_follows_it_ends_with_143(told: dict[str, str]) -> None:
    name = benchwire(told, "session", "start", "slowly").stdout.strip()
    until(runs(told, name), "the session to run")
    follower = begun(told, "session", "show", name, "--follow")
    try:
        assert benchwire(told, "session", "stop", name).exit_code == 0
        out, errors = follower.communicate(timeout=_WITHIN_S)
    finally:
        follower.kill()
    assert follower.returncode == 143, errors
    assert "stopped" in out


def test_who_started_a_session_and_leaves_stops_it_and_who_only_looks_does_not(told: dict[str, str]) -> None:
    owner = begun(told, "session", "start", "slowly", "--id", "left", "--follow")
    looker = None
    try:
        until(runs(told, "left"), "the session to run")
        looker = begun(told, "session", "show", "left", "--follow")
        assert looker.stdout is not None
        looker.stdout.readline()
        os.kill(looker.pid, signal.SIGINT)
        assert "goes on without being looked at" in looker.communicate(timeout=_WITHIN_S)[1]
        assert looker.returncode == 130
        os.kill(owner.pid, signal.SIGINT)
        _, errors = owner.communicate(timeout=_WITHIN_S)
    finally:
        owner.kill()
        if looker is not None:
            looker.kill()
    assert owner.returncode == 130
    assert "left: Session stopped successfully" in errors
    assert benchwire(told, "session", "show", "left", "--follow").exit_code == 143


def test_a_budget_ends_a_session_and_the_command_with_the_reason(told: dict[str, str]) -> None:
    done = benchwire(told, "session", "start", "say hello", "--budget-tokens", "1", "--follow")
    assert done.exit_code == 1
    assert "failed (budget_tokens)" in done.stdout


def test_a_program_is_made_with_its_tests_and_its_files_are_kept(told: dict[str, str], tmp_path: Path) -> None:
    done = benchwire(
        told, "task", "run", "--code", "an e-mail validator", "--quality", "0.5", "--out", tmp_path / "made"
    )
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "planned: validator.py" in done.stdout
    assert "validator.py: tested: failed" in done.stdout
    assert "validator.py: tested: passed, 1 of 1 tests pass, quality" in done.stdout
    assert (tmp_path / "made" / "validator.py").read_text() == MODULE
    assert (tmp_path / "made" / "test_validator.py").exists()
    task_id = done.stdout.split()[0]
    assert task_id in benchwire(told, "task", "list").stdout
    watched = benchwire(told, "task", "watch", task_id, "--json")
    frames = [json.loads(line) for line in watched.stdout.splitlines()]
    assert (watched.exit_code, frames[0]["type"], frames[-1]["status"]) == (0, "TASK_STARTED", "completed")


def test_firmware_is_made_for_the_node_that_a_file_describes(told: dict[str, str], tmp_path: Path) -> None:
    node = tmp_path / "node.toml"
    node.write_text(
        'node_id = "counter"\nboard = "stm32f405"\ndescription = "Count to five."\n[[assertions]]\nname = "ok"\npattern = "SELFTEST PASS"\n'
    )
    done = benchwire(told, "task", "run", "--node", node, "--out", tmp_path / "made", "--timeout", "80")
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "counter: built: flash" in done.stdout
    assert "1 of 1 assertions hold" in done.stdout
    assert "SELFTEST PASS" in (tmp_path / "made" / "counter" / "main.c").read_text()


def test_a_task_that_somebody_cancels_ends_its_watcher_with_143(told: dict[str, str]) -> None:
    started = benchwire(told, "task", "run", "slowly", "--board", "lm3s6965", "--no-wait")
    task_id = started.stdout.strip()
    guided = benchwire(told, "task", "guide", task_id, "use the second timer")
    assert guided.exit_code == 0, guided.stderr
    watcher = begun(told, "task", "watch", task_id)
    try:
        cancelled = benchwire(told, "task", "cancel", task_id)
        assert (cancelled.exit_code, cancelled.stderr) == (0, "")
        out, errors = watcher.communicate(timeout=_WITHIN_S)
    finally:
        watcher.kill()
    assert watcher.returncode == 143, errors
    assert "guidance: use the second timer" in out
    assert "the task cancelled" in errors


def test_what_makes_no_sense_is_refused_with_a_sentence(told: dict[str, str]) -> None:
    for arguments, sentence in (
        (["task", "run", "--code", "x", "--board", "stm32f405"], "--code is about a program"),
        (["task", "run"], "say what the firmware has to do"),
        (["session", "show", "nobody"], "there is no session 'nobody'"),
        (["session", "record", "nobody"], "nobody"),
    ):
        done = benchwire(told, *arguments)
        assert done.exit_code in (1, 2)
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def tapes(told: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cassette of a session that was approved, and went on when it had ended."""
    lab = lab_file.read(Path(told["BENCHWIRE_DATA"]))
    assert lab is not None
    agent = {"name": "careful", "system_prompt": "You are careful.", "ask_before": ["bash"]}
    httpx.post(f"{lab.observability_url}/agents", json=agent, trust_env=False).raise_for_status()
    name = benchwire(told, "session", "start", "say hello", "--agent", "careful").stdout.strip()
    until(waits(told, name), "the question")
    benchwire(told, "session", "approve", name)
    assert benchwire(told, "session", "show", name, "--follow").exit_code == 0
    benchwire(told, "session", "say", name, "and now", "--follow")
    folder = tmp_path_factory.mktemp("tapes")
    recorded = benchwire(told, "session", "record", name, "-o", folder / "session.json")
    assert recorded.exit_code == 0, recorded.stderr
    assert "1 conversation, 3 answers, 2 results" in recorded.stderr
    return folder


def test_a_session_is_recorded_with_its_recipe_and_what_people_said(tapes: Path) -> None:
    tape = json.loads((tapes / "session.json").read_text())
    assert tape["request"]["agent"]["system_prompt"] == "You are careful."
    assert [one["text"] for one in tape["request"]["said"]] == ["and now"]
    assert [one["approved"] for one in tape["request"]["decisions"]] == [True]
    assert len(tape["conversation"][0]["turn"]) == 3


@pytest.mark.long  # two labs more; what is compared, and how, is shown by the unit tests of recording
def test_a_session_and_a_task_are_played_again_and_what_is_different_is_shown(
    told: dict[str, str], tapes: Path, tmp_path: Path
) -> None:
    tape = tmp_path / "tape.json"
    tape.write_text((tapes / "session.json").read_text().replace('"one\\ntwo', '"one\\nthree'))
    task = benchwire(told, "task", "run", "--code", "an e-mail validator", "--quality", "0.5").stdout.split()[0]
    assert benchwire(told, "session", "record", task, "-o", tmp_path / "task.json").exit_code == 0

    elsewhere = {name: value for name, value in told.items() if name != "BENCHWIRE_DATA"}
    players = [begun(elsewhere, "session", "replay", str(tmp_path / file)) for file in ("tape.json", "task.json")]
    try:
        different, same = [one.communicate(timeout=150) for one in players]
    finally:
        for one in players:
            one.kill()
    assert [one.returncode for one in players] == [1, 0], (different, same)
    changed = [line for line in different[0].splitlines() if line.startswith(("-", "+"))]
    assert changed == ["--- recorded", "+++ played", "-  | three", "+  | two"]
    assert same[1].endswith("it went as it was recorded\n")
