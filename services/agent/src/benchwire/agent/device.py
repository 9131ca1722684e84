"""A device, folded from its events: whether it is plugged in, and who has it for themselves."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from benchwire.events.device import DeviceAttached, DeviceDetached, DeviceLeased, DeviceReleased
from benchwire.events.event import Event

TYPES: tuple[type[Event], ...] = (DeviceAttached, DeviceDetached, DeviceLeased, DeviceReleased)


class Device(Struct, frozen=True, kw_only=True):
    """One device, and its newest lease, which may have expired."""

    attached: bool = False
    lease: DeviceLeased | None = None

    def taken(self, holder: str, now: datetime) -> DeviceLeased | None:
        """The lease that keeps ``holder`` out; None when the device is theirs to take."""
        lease = self.lease
        return lease if lease is not None and lease.holder != holder and lease.expires_at > now else None


def evolve(device: Device, event: Event) -> Device:
    """The device after ``event``."""
    match event:
        case DeviceAttached():
            return replace(device, attached=True)
        case DeviceDetached():
            return replace(device, attached=False)
        case DeviceLeased():
            return replace(device, lease=event)
        case DeviceReleased() if device.lease is not None and device.lease.lease_id == event.lease_id:
            return replace(device, lease=None)
        case _:
            return device
