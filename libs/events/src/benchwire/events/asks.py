"""Request and reply: only what may be forgotten. What must happen is a fact in the log."""

from typing import Literal

import msgspec


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused", tag_field="answer"):
    """A reply that says no: ``code`` for programs, ``detail`` for people."""

    code: str
    detail: str


class ScanHost(msgspec.Struct, frozen=True, kw_only=True):
    """Asks a host's flash agent to look for boards now. Subject ``ask.host.{host}.scan``."""

    host: str


class HostScanned(msgspec.Struct, frozen=True, kw_only=True, tag="host_scanned", tag_field="answer"):
    """What is plugged in at this moment."""

    host: str
    devices: list[str]


class IdentifyDevice(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the chip of a board to be asked what it is, which resets the board. Subject ``ask.host.{host}.identify``."""

    host: str
    device: str
    lease_id: str | None = None


class Identified(msgspec.Struct, frozen=True, kw_only=True, tag="identified", tag_field="answer"):
    """What the chip said, or the ``problem``."""

    chip: str | None = None
    profile: str | None = None
    problem: str | None = None


class HandleDevice(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for a hand on a board's reset line or supply. Subject ``ask.host.{host}.handle``."""

    host: str
    device: str
    do: Literal["reset", "download", "power_on", "power_off"]
    lease_id: str | None = None
    by: str | None = None


class Handled(msgspec.Struct, frozen=True, kw_only=True, tag="handled", tag_field="answer"):
    """It was done."""

    device: str


class WriteSerial(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for ``data`` to be sent to a board. Subject ``ask.host.{host}.write_serial``."""

    host: str
    device: str
    data: bytes
    lease_id: str | None = None
    by: str | None = None


class SerialAccepted(msgspec.Struct, frozen=True, kw_only=True, tag="serial_accepted", tag_field="answer"):
    """So many bytes were handed to the port."""

    written: int
