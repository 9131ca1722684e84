"""What a USB id says, and how boards are named."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from benchwire.boards.virtual.registry import BoardRecord
from benchwire.events.event import MAX_TOKEN_BYTES, token
from benchwire.flash_agent import probes
from benchwire.flash_agent.probes import Port


def port(vid: int | None, pid: int | None, **fields: Any) -> Port:
    values = {"device": "/dev/ttyUSB0", "vid": vid, "pid": pid, "serial_number": None, "location": None, **fields}
    return cast("Port", SimpleNamespace(**values))


@pytest.mark.parametrize(
    ("vid", "pid", "driver"),
    [
        (0x10C4, 0xEA60, "esptool"),
        (0x1A86, 0x7523, "esptool"),
        (0x1A86, 0x55D4, "esptool"),
        (0x0403, 0x6001, "esptool"),
        (0x303A, 0x1001, "esptool"),
        (0x0483, 0x3748, "pyocd"),
        (0x0483, 0x374B, "pyocd"),
        (0x0483, 0x5740, None),
        (0x2341, 0x0043, None),
        (0x2E8A, 0x0003, None),
        (0x2E8A, 0x000A, None),
    ],
)
def test_boards_of_the_table_are_found_with_the_driver_for_them(vid: int, pid: int, driver: str | None) -> None:
    (device,) = probes.serial_boards([port(vid, pid, serial_number="A1")])
    assert device.driver == driver
    assert (device.vid, device.pid) == (f"{vid:04x}", f"{pid:04x}")
    assert device.profile is None  # a USB id does not say which board it is


def test_other_ports_are_left_alone() -> None:
    assert probes.serial_boards([port(None, None), port(0x046D, 0xC52B)]) == []


def test_an_st_link_is_its_own_probe() -> None:
    (device,) = probes.serial_boards([port(0x0483, 0x374B, serial_number="066DFF51")])
    assert device.probe == "066DFF51"


def test_a_name_is_a_token_and_stays_the_same_on_another_port() -> None:
    first, second = probes.serial_boards(
        [
            port(0x10C4, 0xEA60, serial_number="00:A.1 *>", device="/dev/ttyUSB0"),
            port(0x10C4, 0xEA60, serial_number="00:A.1 *>", device="/dev/ttyUSB7"),
        ]
    )
    assert first.name == second.name == token("10c4-ea60-00-a-1")
    assert len(probes.usb_name(1, 2, "x" * 300)) <= MAX_TOKEN_BYTES


def test_a_bridge_without_serial_number_is_known_by_its_socket() -> None:
    (device,) = probes.serial_boards([port(0x1A86, 0x7523, location="1-1.2")])
    assert device.name == "1a86-7523-1-1-2"


def test_a_virtual_board_is_named_as_it_registered_and_knows_its_profile(tmp_path: Any) -> None:
    record = BoardRecord(
        name="stm-1", profile="stm32f405", serial_number="AB", tty="/t", probe="remote:127.0.0.1:1", control="/c", pid=1
    )
    (tmp_path / "stm-1.board.json").write_bytes(msgspec.json.encode(record))
    (device,) = probes.virtual_boards(tmp_path)
    assert (device.name, device.driver, device.probe) == ("stm-1", "pyocd", "remote:127.0.0.1:1")
    assert device.virtual
