"""USB: what an id says about a device, and the boards behind this host's serial ports. Blocking; call it in a thread."""

import logging
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Protocol

import msgspec
from serial.tools import list_ports

from benchwire.flash_agent.probes import Device, usb_name

log = logging.getLogger(__name__)

SYSFS = Path("/sys/bus/usb/devices")


class Kind(msgspec.Struct, frozen=True):
    """What a USB id says: the name of the part, the driver that may flash what is behind it, and the chip where it is certain.

    ``ports`` is how many serial ports of one device lead to a board each; ``is_probe`` marks debug probes, whose ports all belong to one board.
    """

    label: str
    driver: str | None = None
    chip: str | None = None
    ports: int = 1
    is_probe: bool = False


def _bridge(label: str, ports: int = 1) -> Kind:
    # A bridge says nothing about the chip behind it: esptool asks the chip before it writes.
    return Kind(label, "esptool", ports=ports)


def _probe(label: str) -> Kind:
    return Kind(label, "pyocd", is_probe=True)


_ST_LINK_V2_1 = _probe("ST-Link/V2-1")
_ST_LINK_V3 = _probe("ST-Link/V3")

# [lab]: the ids that the lab's clients count on. [ids]: usb.ids, or the source of the tool that speaks to the device (esp_pylib, pyocd).
# [sheet]: the vendor's data sheet or driver, not checked against another source.
USB_IDS: dict[tuple[int, int], Kind] = {
    # bridges
    (0x10C4, 0xEA60): _bridge("CP210x"),  # [lab] [ids]
    (0x10C4, 0xEA64): _bridge("CP2102C"),  # [ids] esp_pylib
    (0x10C4, 0xEA70): _bridge("CP2105", ports=2),  # [ids]
    (0x10C4, 0xEA71): _bridge("CP2108", ports=4),  # [ids]
    (0x1A86, 0x7523): _bridge("CH340"),  # [lab] [ids]
    (0x1A86, 0x7522): _bridge("CH340K"),  # [ids]
    (0x1A86, 0x5523): _bridge("CH341"),  # [sheet]
    (0x1A86, 0x55D4): _bridge("CH9102"),  # [lab] [sheet]
    (0x1A86, 0x55D3): _bridge("CH343"),  # [sheet]
    (0x0403, 0x6001): _bridge("FT232R"),  # [lab] [ids]
    (0x0403, 0x6010): _bridge("FT2232 (ESP-Prog)", ports=2),  # [ids]
    (0x0403, 0x6011): _bridge("FT4232", ports=4),  # [ids]
    (0x0403, 0x6014): _bridge("FT232H"),  # [ids]
    (0x0403, 0x6015): _bridge("FT230X"),  # [ids]
    (0x067B, 0x2303): _bridge("PL2303"),  # [ids]
    # Espressif's own
    (0x303A, 0x1001): Kind("USB-Serial/JTAG of an ESP32-S3 or C3", "esptool"),  # [lab] [ids] and of C6, H2
    (0x303A, 0x0002): Kind("USB loader of an ESP32-S2", "esptool", "esp32s2"),  # [sheet]
    (0x303A, 0x0009): Kind("USB loader of an ESP32-S3", "esptool", "esp32s3"),  # [sheet]
    # debug probes
    (0x0483, 0x3748): _probe("ST-Link/V2"),  # [lab] [ids] pyocd
    (0x0483, 0x374B): _ST_LINK_V2_1,  # [lab] [ids] pyocd
    (0x0483, 0x374A): _ST_LINK_V2_1,  # [ids] pyocd
    (0x0483, 0x3752): _ST_LINK_V2_1,  # [ids] pyocd
    (0x0483, 0x374E): _ST_LINK_V3,  # [ids] pyocd
    (0x0483, 0x374F): _ST_LINK_V3,  # [ids] pyocd
    (0x0483, 0x3753): _ST_LINK_V3,  # [ids] pyocd
    (0x0483, 0x3754): _ST_LINK_V3,  # [ids] pyocd
    (0x0483, 0x3755): _ST_LINK_V3,  # [ids] pyocd
    (0x0483, 0x3757): _ST_LINK_V3,  # [ids] pyocd
    (0x0D28, 0x0204): _probe("DAPLink"),  # [ids] micro:bit too
    (0x2E8A, 0x000C): _probe("Raspberry Pi Debug Probe"),  # [sheet]
    (0x2E8A, 0x0004): _probe("picoprobe"),  # [ids] pyocd
    (0x1366, 0x0101): _probe("J-Link"),  # [ids]
    (0x1366, 0x0105): _probe("J-Link"),  # [sheet]
    (0x1366, 0x1015): _probe("J-Link"),  # [ids]
    (0x03EB, 0x2141): _probe("EDBG"),  # [ids]
    # boards that are seen, and flashed by other means or not at all
    (0x0483, 0x5740): Kind("STM32 virtual COM port", None, "stm32"),  # [lab] [ids]
    (0x2341, 0x0043): Kind("Arduino Uno R3", None, "atmega328p"),  # [lab] [ids]
    (0x2341, 0x0042): Kind("Arduino Mega 2560", None, "atmega2560"),  # [ids]
    (0x2341, 0x8036): Kind("Arduino Leonardo", None, "atmega32u4"),  # [ids]
    (0x2341, 0x8037): Kind("Arduino Micro", None, "atmega32u4"),  # [sheet]
    (0x2341, 0x0058): Kind("Arduino Nano Every", None, "atmega4809"),  # [sheet]
    (0x2341, 0x0069): Kind("Arduino UNO R4 Minima", None, "ra4m1"),  # [sheet]
    (0x2341, 0x1002): Kind("Arduino UNO R4 WiFi", None, "ra4m1"),  # [sheet]
    (0x2E8A, 0x000F): Kind("RP2350 boot loader", None, "rp2350"),  # [sheet]
}
RASPBERRY_PI = 0x2E8A
RP2040 = Kind("RP2040", None, "rp2040")  # [lab] every other id of the vendor


# What vendors of cheap boards leave in every one of them.
_EVERYBODYS = frozenset({"0001", "0", "123456", "0123456789"})


class Port(Protocol):
    """What pyserial tells about a serial port."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    location: str | None


class UsbDevice(msgspec.Struct, frozen=True):
    """A USB device as the kernel lists it."""

    vid: int
    pid: int
    serial_number: str | None


def kind_of(vid: int, pid: int) -> Kind | None:
    """What a USB device is, when it is one of a lab."""
    return USB_IDS.get((vid, pid)) or (RP2040 if vid == RASPBERRY_PI else None)


def serial_boards(ports: Iterable[Port] | None = None) -> list[Device]:
    """The boards behind USB serial ports; ports of other things are left alone, and so are the further ports of a debug probe.

    Of two boards that say that they are the same, the second is left alone: a job for one must not end up on the other.
    """
    boards: dict[str, Device] = {}
    for port in sorted(list_ports.comports() if ports is None else ports, key=_in_order):
        device = _of_port(port)
        if device is None:
            continue
        first = boards.setdefault(device.name, device)
        if first is not device and first.probe is None:
            _complain(
                f"{device.port} and {first.port} say that they are the same board, {device.name}: configure both by their socket"
            )
    return list(boards.values())


@cache
def _complain(sentence: str) -> None:
    log.warning("%s (/dev/serial/by-path/…)", sentence)  # once, although it is seen with each look


def _in_order(port: Port) -> tuple[str, int, str]:
    """By interface, so that the first port of a probe is the same each time."""
    return port.location or "", len(port.device), port.device


def _of_port(port: Port) -> Device | None:
    if port.vid is None or port.pid is None:
        return None
    kind = kind_of(port.vid, port.pid)
    if kind is None:
        return None
    return Device(
        name=usb_name(port.vid, port.pid, _distinction(port, kind)),
        driver=kind.driver,
        port=port.device,
        probe=port.serial_number if kind.is_probe else None,
        chip=kind.chip,
        serial_number=port.serial_number,
        vid=f"{port.vid:04x}",
        pid=f"{port.pid:04x}",
        place=port.device,
        instance=port.device,
    )


def _distinction(port: Port, kind: Kind) -> str:
    """What tells this board from others of its kind. Cheap bridges have no serial number: then their socket has to."""
    location = port.location or port.device
    socket, _, interface = location.partition(":")
    if port.serial_number is None or port.serial_number in _EVERYBODYS:
        return location if kind.ports > 1 else socket
    return f"{port.serial_number}-{interface}" if kind.ports > 1 and interface else port.serial_number


def usb_devices(root: Path = SYSFS) -> list[UsbDevice]:
    """What is plugged into this host's USB; empty where there is none."""
    return [one for one in map(_of_sysfs, sorted(root.glob("*/idVendor"))) if one is not None]


def _of_sysfs(vendor: Path) -> UsbDevice | None:
    serial = vendor.with_name("serial")
    try:
        vid, pid = (int(vendor.with_name(name).read_text(), 16) for name in ("idVendor", "idProduct"))
        return UsbDevice(vid, pid, serial.read_text(errors="replace").strip() if serial.exists() else None)
    except (OSError, ValueError):  # unplugged while it was looked at
        return None
