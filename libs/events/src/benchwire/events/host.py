"""Hosts: the machines of the lab that run a flash agent."""

from benchwire.events.event import Event


class HostStarted(Event, frozen=True, kw_only=True, tag="host_started"):
    """The host's flash agent is up; ``drivers`` are the ways it can flash."""

    host: str
    version: str
    drivers: list[str] = []


class HostStopped(Event, frozen=True, kw_only=True, tag="host_stopped"):
    """The host's flash agent ended in order."""

    host: str
    reason: str | None = None


HostEvent = HostStarted | HostStopped
