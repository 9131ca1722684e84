"""Leases: asking for a board of one's own. Who has which board is said by the board's events (``device_leased``, ``device_released``).

A request names a device, or what a device has to be like; the flash agents of all hosts see it. One of them takes it for a board that is free
(``lease_offered``, which only one can write), and then writes ``device_leased`` with the same ``lease_id``.
"""

from datetime import datetime

from benchwire.events.event import Event


class LeaseRequested(Event, frozen=True, kw_only=True, tag="lease_requested"):
    """``holder`` wants a board for ``for_s`` seconds, and waits in the queue for it until ``wait_until``.

    Any board will do that is the named ``device`` (on ``host``), if one is named, that has the ``profile``, if one is named, and all of
    the ``labels``. Requests are served in the order of the log.
    """

    lease_id: str
    holder: str
    for_s: float
    wait_until: datetime
    host: str | None = None
    device: str | None = None
    profile: str | None = None
    labels: dict[str, str] = {}


class LeaseOffered(Event, frozen=True, kw_only=True, tag="lease_offered"):
    """A host took the request for its ``device``; ``device_leased`` follows."""

    lease_id: str
    host: str
    device: str


class LeaseWithdrawn(Event, frozen=True, kw_only=True, tag="lease_withdrawn"):
    """The request left the queue without a board."""

    lease_id: str
    reason: str


LeaseEvent = LeaseRequested | LeaseOffered | LeaseWithdrawn


def holder_of(task_id: str, node_id: str) -> str:
    """What leases of a node of a task have as their holder, for who asks and for who judges."""
    return f"{task_id}/{node_id}"
