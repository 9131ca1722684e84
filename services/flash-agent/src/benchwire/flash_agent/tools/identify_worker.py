"""Asks one board what it is, in a process of its own: ``python -m benchwire.flash_agent.tools.identify_worker``.

Takes one order on standard input, and says one answer on standard output; both are lines of JSON. Writes nothing to the board's flash.
"""

import logging
import os
import sys
from typing import Any

import msgspec

from benchwire.boards import profile as profiles
from benchwire.flash_agent.tools import chips, esp_loader
from benchwire.flash_agent.tools.probe_protocol import Answer, AnyIdentifyOrder, AskThroughPort, AskThroughProbe

CONNECT_ATTEMPTS = 3  # a board that is no ESP at all should not be pulled at for long


def through_port(order: AskThroughPort) -> Answer:
    """Asks the loader in the chip's ROM."""
    # Of the two tools, only the one that is needed is loaded.
    from esptool.cmds import attach_flash, detect_chip, detect_flash_size  # noqa: PLC0415
    from esptool.util import FatalError, flash_size_bytes  # noqa: PLC0415

    esp_loader.use_quick_ports()
    try:
        with detect_chip(order.port, esp_loader.ROM_BAUD, order.before, connect_attempts=CONNECT_ATTEMPTS) as esp:
            name = esp_loader.chip_name(esp)
            said = Answer(chip=name, profiles=_with_chip(name))
            if esp.secure_download_mode:
                return said
            try:
                mac = ":".join(f"{byte:02X}" for byte in esp.read_mac("BASE_MAC"))
                said = msgspec.structs.replace(said, serial_number=mac)
                attach_flash(esp)
                return msgspec.structs.replace(said, flash_bytes=flash_size_bytes(detect_flash_size(esp)))
            except FatalError:  # which chip it is, is known all the same
                return said
    except (FatalError, OSError) as error:
        return Answer(problem=f"the chip gave no answer: {error}")


def _with_chip(chip: str) -> list[str]:
    return [name for name in profiles.board_names() if getattr(profiles.load(name).driver, "chip", None) == chip]


def through_probe(order: AskThroughProbe) -> Answer:
    """Reads the registers that tell chips apart, while the chip runs on."""
    from pyocd.core import exceptions  # noqa: PLC0415
    from pyocd.core.helpers import ConnectHelper  # noqa: PLC0415

    options = {
        "target_override": "cortex_m",
        "connect_mode": "attach",
        "resume_on_disconnect": False,
        "no_config": True,
    }
    try:
        session = ConnectHelper.session_with_chosen_probe(unique_id=order.probe, blocking=False, options=options)
        if session is None:
            return Answer(problem=f"no debug probe {order.probe} is there")
        with session:
            return _known(session.target)
    except (exceptions.Error, OSError) as error:
        return Answer(problem=f"the chip gave no answer: {error}")


def _known(target: Any) -> Answer:
    titles = {chip.title: chip for chip in chips.CHIPS.values() if _matches(target, chip)}
    fitting = [name for name in profiles.board_names() if (chip := _chip_of(name)) is not None and chip.title in titles]
    if not titles:
        return Answer(problem="a core answers, but its chip is none of those that are known")
    chip = next(iter(titles.values()))
    size = None if chip.size_register is None else _read(target, chip.size_register)
    return Answer(
        chip=" or ".join(titles),
        profiles=fitting,
        flash_bytes=None if size is None else chips.size_in(chip, size),
    )


def _chip_of(profile: str) -> chips.Chip | None:
    driver = profiles.load(profile).driver
    return chips.chip_of(profile, driver.target) if isinstance(driver, profiles.Pyocd) else None


def _matches(target: Any, chip: chips.Chip) -> bool:
    word = _read(target, chip.register)
    return word is not None and word & chip.mask in chip.ids


def _read(target: Any, address: int) -> int | None:
    """The word there; None where the chip has nothing."""
    from pyocd.core import exceptions  # noqa: PLC0415

    try:
        return int.from_bytes(bytes(target.read_memory_block8(address, 4)), "little")
    except exceptions.TransferError:
        return None


def main() -> None:
    """One order, one answer."""
    logging.basicConfig(level=logging.WARNING)
    says = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the tools print for people must not get into the answer
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=AnyIdentifyOrder)
    answer = through_port(order) if isinstance(order, AskThroughPort) else through_probe(order)
    says.write(msgspec.json.encode(answer) + b"\n")
    says.flush()


if __name__ == "__main__":
    main()
