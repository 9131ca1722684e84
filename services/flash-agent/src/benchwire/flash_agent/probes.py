"""What was found: a board that is plugged in, how to reach it, and where this host looks."""

import re
from collections.abc import Callable
from typing import Literal

import msgspec

from benchwire.boards import profile as profiles
from benchwire.events.asks import Do
from benchwire.events.event import MAX_TOKEN_BYTES

DEFAULT_BAUD = 115200
HOOK_TIMEOUT_S = 10.0


class Hooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Commands that lay a hand on a board: a program and its arguments each, run without a shell, for ``timeout_s`` seconds at most."""

    reset: list[str] = []
    download: list[str] = []
    power_on: list[str] = []
    power_off: list[str] = []
    timeout_s: float = HOOK_TIMEOUT_S

    def for_(self, do: Do) -> list[str]:
        """The command for ``do``; empty when there is none."""
        command: list[str] = getattr(self, do)
        return command


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A board that is plugged in. What the log says of it has the names it has in ``DeviceAttached``.

    ``control`` is a virtual board's control socket; ``place`` is what the port's path leads to; ``instance`` tells one plugging from the
    next; ``configured`` says that its name was given by a person.
    """

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
    labels: dict[str, str] = {}
    control: str | None = None
    drive: str | None = None
    place: str | None = None
    instance: str = ""
    baud: int = DEFAULT_BAUD
    hooks: Hooks = Hooks()
    configured: bool = False


class Source(msgspec.Struct, frozen=True):
    """A place to look for boards, and how often. ``find`` blocks, and raises ``OSError`` or ``ValueError`` when it cannot look."""

    name: Literal["configured boards", "network ports", "virtual boards", "serial ports", "drives", "debug probes"]
    find: Callable[[], list[Device]]
    period_s: float


def slug(text: str) -> str:
    """``text`` as a part of a token: lower case letters and digits, dashes between them."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def usb_name(vid: int, pid: int, distinction: str) -> str:
    """A name that stays the same each time this very board is plugged in, and that can stand in a subject."""
    return f"{vid:04x}-{pid:04x}-{slug(distinction)}"[:MAX_TOKEN_BYTES].rstrip("-")


def known_of(profile: str | None) -> profiles.Profile | None:
    """The profile of that name; None for none, and for one that this version does not know."""
    try:
        return None if profile is None else profiles.load(profile)
    except profiles.UnknownProfile:
        return None


def driver_and_chip(profile: profiles.Profile) -> tuple[str | None, str]:
    """The word for the tool that flashes boards of ``profile``, if any does, and the chip they have."""
    driver = profile.driver
    if driver is None:
        return None, profile.name
    return str(driver.__struct_config__.tag), str(getattr(driver, "chip", profile.name))
