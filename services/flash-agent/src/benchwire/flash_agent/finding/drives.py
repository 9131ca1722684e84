"""Boards whose boot loader shows itself as a drive (UF2). Blocking; call it in a thread."""

import re
from pathlib import Path

from benchwire.boards import profile as profiles
from benchwire.flash_agent.probes import Device, slug, usb_name
from benchwire.flash_agent.tools import uf2_drives
from benchwire.flash_agent.tools.uf2_drives import Drive

_BLOCK = Path("/sys/class/block")


def drives() -> list[Device]:
    """The boards of which a boot loader's drive is mounted on this host."""
    return [_of_drive(drive) for drive in uf2_drives.mounted()]


def _of_drive(drive: Drive) -> Device:
    fitting = [name for name in profiles.board_names() if _board_id(profiles.load(name)) == drive.board_id]
    usb = None if drive.device is None else _usb_of(_BLOCK / drive.device.name)
    vid, pid, socket = usb or (None, None, None)
    path = str(drive.path)
    return Device(
        name=usb_name(vid, pid, socket) if vid and pid and socket else f"drive-{slug(path)}",
        profile=fitting[0] if len(fitting) == 1 else None,
        driver="uf2",
        chip=fitting[0] if len(fitting) == 1 else None,
        vid=None if vid is None else f"{vid:04x}",
        pid=None if pid is None else f"{pid:04x}",
        drive=path,
        instance=path,
    )


def _board_id(profile: profiles.Profile) -> str | None:
    return profile.driver.board_id if isinstance(profile.driver, profiles.Uf2) else None


def _usb_of(block: Path) -> tuple[int, int, str] | None:
    """Vendor, product and socket of the USB device behind a drive. All RP2040 loaders have one serial number, so the socket tells them apart."""
    try:
        above = block.resolve().parents
        usb = next((one for one in above if re.fullmatch(r"\d+-[\d.]+", one.name)), None)
        if usb is None:
            return None
        return int((usb / "idVendor").read_text(), 16), int((usb / "idProduct").read_text(), 16), usb.name
    except (OSError, ValueError):
        return None
