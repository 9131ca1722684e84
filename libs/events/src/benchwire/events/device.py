"""Devices: the boards that are plugged into a host."""

from datetime import datetime

from benchwire.events.event import Event


class DeviceAttached(Event, frozen=True, kw_only=True, tag="device_attached"):
    """A board appeared. ``profile`` names its board profile, absent while nobody knows what it is.

    ``port`` is its serial port, ``probe`` the unique id of its debug probe; ``vid`` and ``pid`` are lower-case hex without 0x.
    """

    host: str
    device: str
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


class DeviceDetached(Event, frozen=True, kw_only=True, tag="device_detached"):
    """The board is gone."""

    host: str
    device: str
    reason: str | None = None


class DeviceIdentified(Event, frozen=True, kw_only=True, tag="device_identified"):
    """The chip itself was asked what it is. ``problem`` says why it gave no answer, or why the answer does not fit."""

    host: str
    device: str
    chip: str | None = None
    profile: str | None = None
    serial_number: str | None = None
    flash_bytes: int | None = None
    problem: str | None = None


class DeviceHandled(Event, frozen=True, kw_only=True, tag="device_handled"):
    """A hand on the board's reset line or supply: ``do`` is ``reset``, ``download``, ``power_on`` or ``power_off``."""

    host: str
    device: str
    do: str
    by: str | None = None


class DeviceLeased(Event, frozen=True, kw_only=True, tag="device_leased"):
    """``holder`` has the board for itself until ``expires_at``. A second one of the same ``lease_id`` is a renewal."""

    host: str
    device: str
    lease_id: str
    holder: str
    expires_at: datetime


class DeviceReleased(Event, frozen=True, kw_only=True, tag="device_released"):
    """The lease ended; ``reason`` is ``expired`` when its time was over."""

    host: str
    device: str
    lease_id: str
    reason: str | None = None


DeviceEvent = DeviceAttached | DeviceDetached | DeviceIdentified | DeviceHandled | DeviceLeased | DeviceReleased
