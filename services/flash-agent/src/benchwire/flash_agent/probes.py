"""Finding boards: what is plugged in at this moment, and how to reach it. Blocking; call it in a thread."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import msgspec
from serial.tools import list_ports

from benchwire.boards import profile as profiles
from benchwire.boards.virtual.registry import BoardRecord, read_records
from benchwire.events.event import MAX_TOKEN_BYTES

DEFAULT_BAUD = 115200


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A board that is plugged in. ``control`` is a virtual board's control socket; ``instance`` tells one plugging from the next."""

    name: str
    profile: str | None = None
    driver: str | None = None
    port: str | None = None
    probe: str | None = None
    chip: str | None = None
    serial_number: str | None = None
    vid: str | None = None
    pid: str | None = None
    virtual: bool = False
    control: str | None = None
    instance: str = ""
    baud: int = DEFAULT_BAUD


class Kind(msgspec.Struct, frozen=True):
    """What a USB id says: the name of the part, the driver that may flash what is behind it, and the chip where it is certain."""

    label: str
    driver: str | None = None
    chip: str | None = None


_ST_LINK = Kind("ST-Link", "pyocd")
_BRIDGE = "esptool"  # a bridge says nothing about the chip behind it: esptool asks the chip before it writes

# usb.ids; vendors' data sheets of the bridges
USB_IDS: dict[tuple[int, int], Kind] = {
    (0x10C4, 0xEA60): Kind("CP210x", _BRIDGE),
    (0x1A86, 0x7523): Kind("CH340", _BRIDGE),
    (0x1A86, 0x55D4): Kind("CH9102", _BRIDGE),
    (0x0403, 0x6001): Kind("FT232R", _BRIDGE),
    (0x303A, 0x1001): Kind("USB-Serial/JTAG of an ESP32-S3 or C3", "esptool"),
    (0x0483, 0x3748): _ST_LINK,
    (0x0483, 0x374B): _ST_LINK,
    (0x0483, 0x5740): Kind("STM32 virtual COM port", None, "stm32"),
    (0x2341, 0x0043): Kind("Arduino Uno R3", None, "atmega328p"),
}
RASPBERRY_PI = 0x2E8A
RP2040 = Kind("RP2040", None, "rp2040")


class Port(Protocol):
    """What pyserial tells about a serial port."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    location: str | None


def kind_of(vid: int, pid: int) -> Kind | None:
    """What a USB device is, when it is one of a lab."""
    return RP2040 if vid == RASPBERRY_PI else USB_IDS.get((vid, pid))


def usb_name(vid: int, pid: int, distinction: str) -> str:
    """A name that stays the same each time this very board is plugged in, and that can stand in a subject."""
    slug = re.sub(r"[^a-z0-9]+", "-", distinction.lower()).strip("-")
    return f"{vid:04x}-{pid:04x}-{slug}"[:MAX_TOKEN_BYTES].rstrip("-")


def serial_boards(ports: Iterable[Port] | None = None) -> list[Device]:
    """The boards behind USB serial ports; ports of other things are left alone."""
    found = [_of_port(port) for port in (list_ports.comports() if ports is None else ports)]
    return [device for device in found if device is not None]


def _of_port(port: Port) -> Device | None:
    if port.vid is None or port.pid is None:
        return None
    kind = kind_of(port.vid, port.pid)
    if kind is None:
        return None
    # Cheap bridges have no serial number: then the socket they are plugged into has to tell them apart.
    distinction = port.serial_number or port.location or port.device
    return Device(
        name=usb_name(port.vid, port.pid, distinction),
        driver=kind.driver,
        port=port.device,
        probe=port.serial_number if kind.driver == "pyocd" else None,
        chip=kind.chip,
        serial_number=port.serial_number,
        vid=f"{port.vid:04x}",
        pid=f"{port.pid:04x}",
        instance=port.device,
    )


def virtual_boards(directory: Path) -> list[Device]:
    """The virtual boards that are registered in ``directory``. Raises ``msgspec.DecodeError`` for a registration that is none."""
    return [_of_record(record) for record in read_records(directory)]


def _of_record(record: BoardRecord) -> Device:
    try:
        profile: profiles.Profile | None = profiles.load(record.profile)
    except profiles.UnknownProfile:
        profile = None
    driver, chip = None, None
    if profile is not None:
        match profile.driver:
            case profiles.Esptool() as esptool:
                driver, chip = "esptool", esptool.chip
            case profiles.Pyocd():
                driver, chip = "pyocd", profile.name
    return Device(
        name=record.name,
        profile=record.profile,
        driver=driver,
        port=record.tty,
        probe=record.probe,
        chip=chip,
        serial_number=record.serial_number,
        virtual=True,
        control=record.control,
        instance=str(record.pid),
        baud=DEFAULT_BAUD if profile is None else profile.baud,
    )


class Source(msgspec.Struct, frozen=True):
    """A place to look for boards, and how often."""

    name: str
    find: Callable[[], list[Device]]
    period_s: float


def sources(virtual_dir: Path | None) -> list[Source]:
    """Where this host looks."""
    real = Source("serial ports", serial_boards, 1.0)
    if virtual_dir is None:
        return [real]
    return [real, Source("virtual boards", lambda: virtual_boards(virtual_dir), 0.3)]
