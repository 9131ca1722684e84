"""What a USB id says, and how boards are named."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from benchwire.boards.virtual.registry import BoardRecord
from benchwire.events.event import MAX_TOKEN_BYTES, token
from benchwire.flash_agent import probes
from benchwire.flash_agent.finding import usb
from benchwire.flash_agent.finding.usb import Port
from benchwire.flash_agent.finding.virtual import virtual_boards


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
        (0x2E8A, 0x000C, "pyocd"),
        (0x0D28, 0x0204, "pyocd"),
        (0x303A, 0x0009, "esptool"),
        (0x067B, 0x2303, "esptool"),
    ],
)
def test_boards_of_the_table_are_found_with_the_driver_for_them(vid: int, pid: int, driver: str | None) -> None:
    (device,) = usb.serial_boards([port(vid, pid, serial_number="A1")])
    assert device.driver == driver
    assert (device.vid, device.pid) == (f"{vid:04x}", f"{pid:04x}")
    assert device.profile is None  # a USB id does not say which board it is


def test_other_ports_are_left_alone() -> None:
    assert usb.serial_boards([port(None, None), port(0x046D, 0xC52B)]) == []


def test_an_st_link_is_its_own_probe() -> None:
    (device,) = usb.serial_boards([port(0x0483, 0x374B, serial_number="066DFF51")])
    assert device.probe == "066DFF51"


def test_a_name_is_a_token_and_stays_the_same_on_another_port() -> None:
    (first,) = usb.serial_boards([port(0x10C4, 0xEA60, serial_number="00:A.1 *>", device="/dev/ttyUSB0")])
    (second,) = usb.serial_boards([port(0x10C4, 0xEA60, serial_number="00:A.1 *>", device="/dev/ttyUSB7")])
    assert first.name == second.name == token("10c4-ea60-00-a-1")
    assert len(probes.usb_name(1, 2, "x" * 300)) <= MAX_TOKEN_BYTES


def test_a_bridge_without_serial_number_is_known_by_its_socket() -> None:
    (device,) = usb.serial_boards([port(0x1A86, 0x7523, location="1-1.2")])
    assert device.name == "1a86-7523-1-1-2"


def test_a_virtual_board_is_named_as_it_registered_and_knows_its_profile(tmp_path: Any) -> None:
    record = BoardRecord(
        name="stm-1", profile="stm32f405", serial_number="AB", tty="/t", probe="remote:127.0.0.1:1", control="/c", pid=os.getpid(),
        labels={"rack": "2"},
    )  # fmt: skip
    (tmp_path / "stm-1.board.json").write_bytes(msgspec.json.encode(record))
    (device,) = virtual_boards(tmp_path)
    assert (device.name, device.driver, device.probe) == ("stm-1", "pyocd", "remote:127.0.0.1:1")
    assert device.virtual
    assert device.labels == {"rack": "2"}


def test_each_port_of_a_bridge_with_several_is_a_board_and_those_of_a_probe_are_one() -> None:
    bridge = [
        port(0x0403, 0x6011, serial_number="FT1", location=f"1-1:1.{n}", device=f"/dev/ttyUSB{n}") for n in range(4)
    ]
    probe = [
        port(0x0483, 0x3753, serial_number="00AB", location="1-2:1.4", device="/dev/ttyACM1"),
        port(0x0483, 0x3753, serial_number="00AB", location="1-2:1.2", device="/dev/ttyACM0"),
    ]
    devices = usb.serial_boards([*bridge, *probe])
    assert [device.name for device in devices] == [*(f"0403-6011-ft1-1-{n}" for n in range(4)), "0483-3753-00ab"]
    assert devices[-1].port == "/dev/ttyACM0"


def test_boards_that_all_have_the_number_0001_are_told_apart_by_their_socket() -> None:
    ports = [port(0x10C4, 0xEA60, serial_number="0001", location=f"1-1.{n}", device=f"/dev/ttyUSB{n}") for n in (1, 2)]
    assert [device.name for device in usb.serial_boards(ports)] == ["10c4-ea60-1-1-1", "10c4-ea60-1-1-2"]


def test_of_two_boards_that_say_they_are_the_same_the_second_is_left_alone_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ports = [port(0x1A86, 0x55D4, serial_number="TWIN", location=f"1-{n}", device=f"/dev/ttyUSB{n}") for n in (1, 2)]
    for _ in range(2):
        assert [device.port for device in usb.serial_boards(ports)] == ["/dev/ttyUSB1"]
    assert "configure both by their socket" in caplog.text
    assert len(caplog.records) == 1


def test_a_bridge_with_several_ports_and_no_serial_number_has_a_name_for_each() -> None:
    ports = [port(0x10C4, 0xEA70, location=f"1-1:1.{n}", device=f"/dev/ttyUSB{n}") for n in range(2)]
    assert [device.name for device in usb.serial_boards(ports)] == ["10c4-ea70-1-1-1-0", "10c4-ea70-1-1-1-1"]


def test_what_the_kernel_lists_is_read_and_what_left_meanwhile_is_not(tmp_path: Path) -> None:
    for name, files in {
        "1-1": ("0483", "374b", "066DFF"),
        "1-2": ("1a86", "7523", None),
        "usb1": ("x", "", None),
    }.items():
        (tmp_path / name).mkdir()
        for file, text in zip(("idVendor", "idProduct", "serial"), files, strict=True):
            if text is not None:
                (tmp_path / name / file).write_text(text + "\n")
    assert usb.usb_devices(tmp_path) == [
        usb.UsbDevice(0x0483, 0x374B, "066DFF"),
        usb.UsbDevice(0x1A86, 0x7523, None),
    ]
