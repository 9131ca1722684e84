"""Who has a device for themselves, folded from its events."""

from benchwire.events.device import DeviceLeased, DeviceReleased
from benchwire.events.event import Event

TYPES: tuple[type[Event], ...] = (DeviceLeased, DeviceReleased)


def evolve(held: DeviceLeased | None, event: Event) -> DeviceLeased | None:
    """The lease after ``event``. A renewal of one that is over is of no effect while somebody else has the device."""
    match event:
        case DeviceLeased() if held is None or held.lease_id == event.lease_id:
            return event
        case DeviceReleased() if held is not None and held.lease_id == event.lease_id:
            return None
        case _:
            return held
