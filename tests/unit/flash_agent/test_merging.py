"""What several places found becomes one list of boards."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from benchwire.flash_agent.finding.merging import merged
from benchwire.flash_agent.probes import Device, Hooks

PORT = Device(
    name="0483-374b-066dff51", driver="pyocd", port="/dev/ttyACM0", place="/dev/ttyACM0", probe="066DFF51",
    serial_number="066DFF51", vid="0483", pid="374b", instance="/dev/ttyACM0",
)  # fmt: skip
PROBE = Device(name="probe-066dff51", driver="pyocd", probe="066dff51", serial_number="066dff51")
VIRTUAL = Device(
    name="stm-1", profile="stm32f405", driver="pyocd", chip="stm32f405", port="/run/stm-1.tty", place="/dev/pts/3",
    probe="remote:127.0.0.1:5601", serial_number="A0B1C2D3E4F5", virtual=True, control="/run/stm-1.control", instance="77",
)  # fmt: skip


def configured(**fields: Any) -> Device:
    return Device(name="rack-board", configured=True, **fields)


def test_a_probe_and_its_serial_port_are_one_board() -> None:
    boards = merged({"serial ports": [PORT], "debug probes": [PROBE]})
    assert list(boards) == [PORT.name]
    assert boards[PORT.name].probe == "066dff51"  # the spelling by which pyocd finds it


def test_the_id_of_a_j_link_is_a_number_that_usb_fills_up_with_zeros() -> None:
    port = Device(name="1366-0105-000683", driver="pyocd", port="/dev/ttyACM1", probe="000683", serial_number="000683")
    probe = Device(name="probe-683", driver="pyocd", probe="683", serial_number="683")
    boards = merged({"serial ports": [port], "debug probes": [probe]})
    assert [(name, board.probe) for name, board in boards.items()] == [("1366-0105-000683", "683")]


def test_a_probe_without_a_port_is_a_board_of_its_own() -> None:
    assert list(merged({"debug probes": [PROBE]})) == ["probe-066dff51"]


def test_a_virtual_board_that_is_listed_as_a_probe_too_is_there_once() -> None:
    listed = Device(name="probe-a0b1c2d3e4f5", driver="pyocd", probe="A0B1C2D3E4F5", serial_number="A0B1C2D3E4F5")
    assert merged({"virtual boards": [VIRTUAL], "debug probes": [listed]}) == {"stm-1": VIRTUAL}


def test_a_configured_board_takes_the_place_of_what_is_at_its_port_and_keeps_what_was_found_out() -> None:
    hooks = Hooks(reset=["/bin/true"])
    wanted = configured(port="/dev/serial/by-id/x", place="/dev/ttyACM0", labels={"rack": "2"}, hooks=hooks)
    (board,) = merged({"configured boards": [wanted], "serial ports": [PORT], "debug probes": [PROBE]}).values()
    assert (board.name, board.port, board.probe) == ("rack-board", "/dev/serial/by-id/x", "066dff51")
    assert (board.vid, board.pid, board.driver) == ("0483", "374b", "pyocd")
    assert (board.labels, board.hooks) == ({"rack": "2"}, hooks)


def test_a_configured_board_with_a_port_needs_nobody_else_to_find_it() -> None:
    wanted = configured(port="socket://10.0.0.7:4000", place="socket://10.0.0.7:4000")
    assert merged({"configured boards": [wanted]}) == {"rack-board": wanted}


def test_a_configured_probe_is_there_when_it_was_found() -> None:
    wanted = configured(probe="066DFF51", profile="stm32f405", driver="pyocd")
    assert merged({"configured boards": [wanted]}) == {}
    (board,) = merged({"configured boards": [wanted], "serial ports": [PORT], "debug probes": [PROBE]}).values()
    assert (board.name, board.port, board.profile) == ("rack-board", "/dev/ttyACM0", "stm32f405")


def test_a_configured_board_may_be_a_virtual_one_and_has_the_labels_of_both() -> None:
    virtual = msgspec.structs.replace(VIRTUAL, labels={"rack": "1", "camera": "yes"})
    wanted = configured(port="/links/x", place="/dev/pts/3", labels={"rack": "2"})
    (board,) = merged({"configured boards": [wanted], "virtual boards": [virtual]}).values()
    assert (board.virtual, board.control) == (True, "/run/stm-1.control")
    assert board.labels == {"rack": "2", "camera": "yes"}


NAMES = st.sampled_from(["a", "b", "c"])
IDS = st.sampled_from([None, "1", "01", "2", "a"])
PLACES = st.sampled_from([None, "/dev/1", "/dev/2"])


@st.composite
def devices(draw: st.DrawFn, *, is_configured: bool = False) -> Device:
    place = draw(PLACES)
    probe = draw(IDS)
    return Device(name=draw(NAMES), port=place, place=place, probe=probe, serial_number=probe, configured=is_configured)


FOUND = st.fixed_dictionaries(
    {
        "configured boards": st.lists(devices(is_configured=True), max_size=3),
        "virtual boards": st.lists(devices(), max_size=3),
        "serial ports": st.lists(devices(), max_size=3),
        "debug probes": st.lists(devices(), max_size=3),
    }
)


@given(FOUND)
def test_whatever_is_found_each_board_has_its_own_name_and_the_next_look_says_the_same(
    found: dict[str, list[Device]],
) -> None:
    boards = merged(found)
    assert all(name == board.name for name, board in boards.items())
    assert merged(found) == boards
    for wanted in found["configured boards"]:
        if wanted.port is not None:
            assert boards[wanted.name].configured


@given(st.lists(devices(), max_size=4))
def test_probes_that_belong_to_known_boards_add_none(ports: list[Device]) -> None:
    before = merged({"serial ports": ports})
    listed = [
        Device(name=f"probe-{number}", driver="pyocd", probe=board.probe)
        for number, board in enumerate(before.values())
        if board.probe is not None
    ]
    assert set(merged({"serial ports": ports, "debug probes": listed})) == set(before)
