"""The file in which a person says what is plugged in."""

import os
import re
import socket
import sys
from pathlib import Path

import pytest

from benchwire.events import settings
from benchwire.flash_agent import identifying
from benchwire.flash_agent.finding.configured import (
    ConfiguredBoards,
    InvalidBoards,
    network_address,
    reachable,
    read,
)
from benchwire.flash_agent.finding.places import Places
from benchwire.flash_agent.settings import Settings

WHOLE = f"""
[board.rack2-c3]
port = "/dev/serial/by-id/usb-Espressif_7C:DF:A1-if00"
profile = "esp32c3"
baud = 921600
labels = {{ rack = "2", camera = "yes" }}

[board.rack2-c3.hooks]
power_on = ["{sys.executable}", "-c", "on"]
reset = ["{sys.executable}", "reset.py"]
timeout_s = 3

[board.nucleo]
probe = "066DFF51"
"""


def unused(_: str) -> bool:
    return False


def of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "boards.toml"
    path.write_text(text)
    return path


def test_all_that_can_be_said_of_a_board_is_read(tmp_path: Path) -> None:
    boards = read(of(tmp_path, WHOLE))
    assert list(boards) == ["rack2-c3", "nucleo"]
    board = boards["rack2-c3"]
    assert (board.profile, board.baud, board.labels) == ("esp32c3", 921600, {"rack": "2", "camera": "yes"})
    assert (board.hooks.for_("reset"), board.hooks.for_("power_off"), board.hooks.timeout_s) == (
        [sys.executable, "reset.py"],
        [],
        3,
    )
    assert boards["nucleo"].probe == "066DFF51"


def test_the_example_of_the_readme_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: program)  # the programs of somebody's lab
    readme = Path(__file__).parents[3] / "services" / "flash-agent" / "README.md"
    (example,) = re.findall(r"```toml\n(.*?)```", readme.read_text(), re.DOTALL)
    assert len(read(of(tmp_path, example))) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[board.x]\nport = 3", r"boards\.toml: board 'x': port: Expected `str \| null`"),
        ('[board.x]\nprobe = "1"\nlabels.rack = 2', r"board 'x': labels\[...\]: Expected `str`"),
        ('[board.x]\nprobe = "1"\nhooks.reset = "usbrelay 1"', r"board 'x': hooks\.reset: Expected `array`"),
        (
            '[board.x]\nprobe = "1"\nhooks.reset = ["no-such-program"]',
            r"hooks\.reset: 'no-such-program' is not installed",
        ),
        ('[board.x]\nprobe = "1"\nhooks.timeout_s = 0', r"hooks\.timeout_s: a command needs some time"),
        ('[board.x]\nprobe = "1"\nbaud = -1', "baud: -1 is no speed"),
        ('[board.x]\nport = "ttyUSB0"', "port: 'ttyUSB0' is neither an absolute path"),
        ('[board.x]\nport = "socket://lab"', "port: 'socket://lab' is neither"),
        ('[board.x]\nprofile = "esp32c3"', "port: neither a port nor a probe is named"),
        ('[board.x]\nprobe = "1"\nprofile = "esp33"', "profile: no board profile is called 'esp33'"),
        ('[board.x]\nprobe = "1"\nlabel = {}', "its table: Object contains unknown field `label`"),
        ('[board."a.b"]\nprobe = "1"', "board 'a.b'"),
        ('board = "x"', r"a board is a table \[board\.NAME\]"),
        ('[boards.x]\nprobe = "1"', r"a board is a table \[board\.NAME\], and 'boards' is none"),
        ("[board.x]\n[board.x]", "boards.toml"),
        ("[board.x", "boards.toml"),
    ],
)
def test_what_cannot_be_is_refused_with_file_board_and_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidBoards, match=told):
        read(of(tmp_path, text))


def test_a_file_that_is_named_and_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    wanted = settings.load(Settings, {"BENCHWIRE_BOARDS": str(tmp_path / "none.toml"), "BENCHWIRE_PROBES": "off"})
    with pytest.raises(settings.InvalidSettings, match=r"none\.toml: .*No such file"):
        Places(wanted)


def test_a_broken_edit_changes_nothing_and_is_complained_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = of(tmp_path, '[board.one]\nport = "/dev/null"')
    boards = ConfiguredBoards(path, unused)
    assert [device.name for device in boards.find_local()] == ["one"]
    path.write_text('[board.two]\nport = "/dev/null"\n[board')
    assert [device.name for device in boards.find_local()] == ["one"]
    assert [device.name for device in boards.find_local()] == ["one"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    path.unlink()
    assert [device.name for device in boards.find_local()] == ["one"]
    path.write_text('[board.two]\nport = "/dev/null"')
    assert [device.name for device in boards.find_local()] == ["two"]


def test_a_board_is_known_under_the_name_that_its_chip_tells_and_may_have_no_driver(tmp_path: Path) -> None:
    for name in ("f407", "uno"):
        (tmp_path / name).touch()
    lines = [
        f'[board.f407]\nport = "{tmp_path}/f407"\nprobe = "1"\nprofile = "stm32f407vg"',
        f'[board.uno]\nport = "{tmp_path}/uno"\nprofile = "arduino_uno"',
    ]
    f407, uno = ConfiguredBoards(of(tmp_path, "\n".join(lines)), unused).find_local()
    assert (f407.profile, f407.driver) == ("stm32f405", "pyocd")
    assert (uno.profile, uno.driver, uno.chip) == ("arduino_uno", None, "arduino_uno")
    assert identifying.order_for(uno) is None  # it is no ESP, and need not be asked as one


def test_a_path_counts_as_plugged_in_while_it_leads_somewhere(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    boards = ConfiguredBoards(of(tmp_path, f'[board.one]\nport = "{link}"\nprofile = "esp32c3"'), unused)
    assert boards.find_local() == []
    link.symlink_to(tmp_path / "tty")
    assert boards.find_local() == []
    (tmp_path / "tty").touch()
    (device,) = boards.find_local()
    assert (device.port, device.place, device.driver, device.chip) == (
        str(link),
        os.path.realpath(tmp_path / "tty"),
        "esptool",
        "esp32c3",
    )


def test_a_network_port_is_there_while_it_answers_and_is_not_disturbed_while_it_is_used(tmp_path: Path) -> None:
    in_use: set[str] = set()
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        path = of(tmp_path, f'[board.one]\nport = "socket://127.0.0.1:{number}"')
        boards = ConfiguredBoards(path, in_use.__contains__)
        assert [device.name for device in boards.find_networked()] == ["one"]
        server.accept()[0].close()
        in_use.add("one")
        assert [device.name for device in boards.find_networked()] == ["one"]
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    in_use.clear()
    assert boards.find_networked() == []
    assert not reachable(("127.0.0.1", number))


def test_only_network_ports_have_an_address() -> None:
    assert network_address("rfc2217://lab-3:2217?ign_set_control") == ("lab-3", 2217)
    assert network_address("socket://[::1]:4000") == ("::1", 4000)
    assert [network_address(one) for one in ("/dev/ttyUSB0", "http://lab:80", "socket://lab:port", "socket://:1")] == [
        None
    ] * 4
