"""Virtual boards, which register in a directory. Blocking; call it in a thread."""

import os
from pathlib import Path

from benchwire.boards.virtual.registry import BoardRecord, read_records
from benchwire.flash_agent.probes import DEFAULT_BAUD, Device, driver_and_chip, known_of


def virtual_boards(directory: Path) -> list[Device]:
    """The virtual boards that are registered in ``directory``. Raises ``msgspec.DecodeError`` for a registration that is none."""
    return [_of_record(record) for record in read_records(directory)]


def _of_record(record: BoardRecord) -> Device:
    profile = known_of(record.profile)
    driver, chip = (None, None) if profile is None else driver_and_chip(profile)
    return Device(
        name=record.name,
        profile=record.profile,
        driver=driver,
        port=record.tty,
        probe=record.probe,
        chip=chip,
        serial_number=record.serial_number,
        virtual=True,
        labels=record.labels,
        control=record.control,
        drive=record.drive,
        place=os.path.realpath(record.tty),
        instance=str(record.pid),
        baud=DEFAULT_BAUD if profile is None else profile.baud,
    )
