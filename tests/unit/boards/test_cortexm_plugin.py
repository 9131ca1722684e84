"""The pyocd plugin for virtual boards, beside pyocd itself."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from benchwire.boards.virtual.registry import BoardRecord, registered, serial_number_of

exceptions = pytest.importorskip("pyocd.core.exceptions", reason="pyocd is not installed")
plugin = pytest.importorskip("benchwire.boards.virtual.cortexm.plugin")


def record(name: str, profile: str, probe: str | None) -> BoardRecord:
    serial_number = serial_number_of(name)
    return BoardRecord(
        name=name, profile=profile, serial_number=serial_number, tty="/t", probe=probe, control="/c", pid=os.getpid()
    )


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(plugin.DIRECTORY, str(tmp_path))
    with (
        registered(record("one", "stm32f103", "remote:127.0.0.1:1"), tmp_path),
        registered(record("two", "esp32c3", None), tmp_path),
    ):
        yield tmp_path


def test_only_boards_with_a_probe_are_found(bench: Path) -> None:
    (found,) = plugin.VirtualBoardProbe.get_all_connected_probes()
    assert (found.unique_id, found.vendor_name, found.product_name) == (
        serial_number_of("one"),
        "Benchwire",
        "virtual board one",
    )
    assert found.associated_board_info.target == "stm32f103rc"


@pytest.mark.parametrize("asked", ["one", "ONE", serial_number_of("one"), serial_number_of("one").lower()])
def test_a_board_is_asked_for_by_name_or_serial_number(bench: Path, asked: str) -> None:
    assert plugin.VirtualBoardProbe.get_probe_with_id(asked).unique_id == serial_number_of("one")


def test_a_part_of_a_name_is_no_name(bench: Path) -> None:
    assert plugin.VirtualBoardProbe.get_probe_with_id("on") is None


def test_without_the_variable_nothing_is_loaded(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plugin.VirtualBoardPlugin().should_load()
    monkeypatch.delenv(plugin.DIRECTORY)
    assert not plugin.VirtualBoardPlugin().should_load()
    assert plugin.plugged_in() == []


def test_a_file_that_no_board_wrote_is_said_and_stops_nothing(bench: Path, caplog: pytest.LogCaptureFixture) -> None:
    (bench / "bad.board.json").write_bytes(msgspec.json.encode({"name": 7}))
    assert plugin.VirtualBoardProbe.get_all_connected_probes() == []
    assert "can't be read" in caplog.text


@pytest.fixture
def far_end() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_board_that_hangs_up_is_an_error_and_no_endless_loop(far_end: socket.socket) -> None:
    line = plugin.Line("127.0.0.1", far_end.getsockname()[1], "one")
    line.connect()
    far_end.accept()[0].close()
    with pytest.raises(exceptions.ProbeDisconnected, match="one was unplugged"):
        line.readline()
    line.close()


def test_a_board_that_says_nothing_is_given_up(far_end: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "ANSWER_S", 0.2)
    line = plugin.Line("127.0.0.1", far_end.getsockname()[1], "one")
    line.connect()
    line.set_timeout(0.1)
    with pytest.raises(exceptions.ProbeDisconnected, match="one has not answered"):
        line.readline()
    line.close()
