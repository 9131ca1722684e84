"""Which boards the nodes of a task are for, folded from its events: as the task asked for them, until somebody says otherwise."""

import msgspec

from benchwire.events.event import Event
from benchwire.events.task import NodeAssigned, NodeSpec, TaskPlanned, TaskRequested

OF_ITS_NODES: tuple[type[Event], ...] = (TaskRequested, TaskPlanned, NodeAssigned)


class Place(msgspec.Struct, frozen=True):
    """Where a node goes: one board, or (without ``device``) any of its kind, on the host if one is named."""

    host: str | None = None
    device: str | None = None

    def is_at(self, other: "Place") -> bool:
        """Whether both are the same board, as far as they say its host."""
        hosts = {self.host, other.host} - {None}
        return self.device is not None and self.device == other.device and len(hosts) <= 1


Places = dict[str, Place]  # by node


def evolve(places: Places, event: Event) -> Places:
    """The places after ``event``. What the plan says of a node that was asked for, or assigned, changes nothing."""
    match event:
        case TaskRequested() | TaskPlanned():
            return {**{node.node_id: place_of(node) for node in event.nodes}, **places}
        case NodeAssigned():
            return {**places, event.node_id: Place(event.host, event.device)}
        case _:
            return places


def place_of(spec: NodeSpec) -> Place:
    """Where a node goes as it was asked for."""
    return Place(spec.host, spec.device)
