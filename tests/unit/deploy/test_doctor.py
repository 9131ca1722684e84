"""What the doctor finds, and what he makes of it."""

import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchwire.boards import profile as profiles
from benchwire.deploy import findings
from benchwire.deploy.doctor import report
from benchwire.deploy.findings import Finding
from benchwire.deploy.settings import Settings


def test_only_what_is_needed_and_missing_keeps_the_lab_from_running() -> None:
    fine = Finding(what="a", state="ok", detail="", needed=True)
    limited = Finding(what="b", state="limited", detail="", needed=True)
    optional = Finding(what="c", state="missing", detail="")
    lacking = Finding(what="d", state="missing", detail="", needed=True)
    assert findings.can_run([fine, limited, optional])
    assert not findings.can_run([fine, lacking])


def test_an_old_python_is_missing_and_a_new_one_is_not() -> None:
    assert findings.python((3, 10, 4)).state == "missing"
    assert findings.python((3, 10, 4)).how == "install Python 3.11 or newer"
    assert findings.python((3, 13, 0)).state == "ok"


def test_a_board_without_its_compiler_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings.board(profiles.load("stm32f405"))
    assert (found.state, found.needed) == ("missing", True)
    assert "arm-none-eabi-gcc" in found.detail
    assert found.how == "install gcc-arm-none-eabi qemu-system-arm"


def test_a_board_that_nothing_simulates_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("gcc", "objcopy"):
        (tmp_path / f"xtensa-lx106-elf-{tool}").touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings.board(profiles.load("esp32"))
    assert (found.state, found.needed) == ("ok", False)
    assert found.detail == "xtensa-lx106-elf-gcc, no simulator, so no firmware tasks"


def test_without_bubblewrap_nothing_is_run_unless_less_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings.sandbox({})
    assert (found.state, found.needed) == ("missing", True)
    assert found.how == "install bubblewrap, or allow BENCHWIRE_SANDBOX=limits"
    assert findings.sandbox({"BENCHWIRE_SANDBOX": "limits"}).state == "limited"


def test_a_bubblewrap_that_the_kernel_refuses_is_no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in {
        "bwrap": "echo 'No permissions to create new namespace' >&2; exit 1",
        "setpriv": "exec bwrap",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "No permissions to create new namespace" in findings.sandbox({}).detail


def test_a_board_that_nothing_flashes_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("arm-none-eabi-gcc", "arm-none-eabi-objcopy", "qemu-system-arm"):
        (tmp_path / tool).touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings.board(profiles.load("lm3s6965"))
    assert (found.state, found.detail) == ("ok", "arm-none-eabi-gcc, qemu-system-arm; nothing here flashes it")


def test_a_board_that_needs_platformio_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings.board(profiles.load("arduino_due"))
    assert (found.state, found.needed, found.how) == ("missing", False, "install platformio")


def test_a_package_is_told_by_its_version_or_by_how_to_get_it() -> None:
    assert findings.package("pyocd", "flashes").state == "ok"
    absent = findings.package("no-such-package-of-anybody", "flashes")
    assert (absent.state, absent.how) == ("missing", "pip install no-such-package-of-anybody")


def test_ports_of_boards_that_may_be_opened_are_named(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "ttyACM1").touch()
    assert findings.serial_ports(tmp_path).detail == "ttyACM1, ttyUSB0 can be opened"


@pytest.mark.skipif(os.getuid() == 0, reason="root may open everything")
def test_a_port_that_may_not_be_opened_needs_a_group(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch(mode=0o000)
    found = findings.serial_ports(tmp_path)
    assert found.state == "limited"
    assert "dialout" in found.how


def test_a_port_that_somebody_has_is_told_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(observability_port=taken.getsockname()[1], documents_port=0, nats_port=0)
        first, *others = findings.ports(settings)
    assert first.state == "limited"
    assert f"process {os.getpid()}" in first.detail
    assert first.how == "benchwire up --observability-port 0"
    assert [one.state for one in others] == ["ok", "ok"]


def test_the_key_of_the_model_is_never_shown() -> None:
    found = findings.model({"ANTHROPIC_API_KEY": "very-secret"})
    assert found.state == "ok"
    assert "very-secret" not in report([found])
    assert findings.model({}).state == "limited"


def test_a_data_directory_that_is_to_be_made_is_judged_by_where_it_will_be(tmp_path: Path) -> None:
    writable, room = findings.data_directory(tmp_path / "to" / "be" / "made")
    assert (writable.state, room.what) == ("ok", "disk space")
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_is_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = findings.data_directory(tmp_path / "file")
    assert found.state == "missing"
    assert "it is no directory" in found.detail


@pytest.mark.parametrize(("free_bytes", "state"), [(2 << 30, "ok"), (500 << 20, "limited"), (1 << 20, "missing")])
def test_disk_space_has_two_limits(free_bytes: int, state: str) -> None:
    assert findings.room(free_bytes).state == state


def test_the_report_is_json_that_programs_can_read() -> None:
    told = json.loads(report([Finding(what="a", state="missing", detail="d", how="h", needed=True)]))
    assert told["can_run"] is False
    assert told["findings"] == [{"what": "a", "state": "missing", "detail": "d", "how": "h", "needed": True}]


class _Unwell(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"status": "healthy", "warnings": ["events 1 to 9 are no longer in the log"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_what_the_services_of_a_lab_that_runs_say_of_themselves_is_told(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert list(findings.services(settings)) == []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unwell) as server, socket.create_server(("127.0.0.1", 0)) as closed:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        gone = closed.getsockname()[1]
        closed.close()
        lab = {
            "pid": os.getpid(), "host": "h", "nats_url": "", "observability_url": f"http://127.0.0.1:{server.server_port}",
            "documents_url": f"http://127.0.0.1:{gone}",
        }  # fmt: skip
        (tmp_path / "lab.json").write_text(json.dumps(lab))
        rows, documents = findings.services(settings)
        server.shutdown()
    assert (rows.state, rows.detail) == ("limited", "events 1 to 9 are no longer in the log")
    assert (documents.state, "does not answer" in documents.detail) == ("limited", True)
