"""The lab's boards: which there are, and having one for oneself."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta

from benchwire.agent.errors import ToolFailed
from benchwire.agent.queries import Device
from benchwire.agent.sessions.calls import Calls, Tool
from benchwire.agent.toolbox import leases
from benchwire.agent.toolbox.inputs import Input, tool
from benchwire.agent.toolbox.leases import LEASE_S, Leases
from benchwire.agent.toolbox.place import Place
from benchwire.boards import profile as profiles

MAX_SHOWN = 200
MAX_WAIT_S = 900.0

DeviceName = Annotated[str, Meta(description="as list_devices shows it", max_length=128)]
Host = Annotated[
    str | None, Meta(description="the device's host; needed only when two hosts have a device of that name")
]
ProfileName = Annotated[str | None, Meta(description="a board profile, such as stm32f405")]
Labels = Annotated[dict[str, str], Meta(description="labels that the device has to have, all of them")]


class ListDevices(Input, frozen=True, kw_only=True):
    """Lists the boards of the lab: host, device, profile, labels, and whether each is free, leased (by whom), or has flash jobs."""

    profile: ProfileName = None
    labels: Labels = {}


class LeaseDevice(Input, frozen=True, kw_only=True):
    """Has a board for this session alone, until release_device or the end of the session. Name a device, or say what it has to be like
    (profile, labels): then any free one is given. Waits when all of them are taken.
    """

    device: DeviceName | None = None
    host: Host = None
    profile: ProfileName = None
    labels: Labels = {}
    wait_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S, description="how long to wait for one")] = 60.0


class ReleaseDevice(Input, frozen=True, kw_only=True):
    """Gives a leased board back, so that others can have it."""

    device: DeviceName
    host: Host = None


class Boards:
    """What a session sees of the lab's boards."""

    def __init__(self, place: Place, held: Leases) -> None:
        self._place = place
        self._leases = held

    async def found(self, device: str, host: str | None) -> Device:
        """The one device of that name. Raises ``ToolFailed``."""
        named = [
            (one, is_there)
            for one, is_there in await self._place.lab.devices()
            if one.device == device and host in (None, one.host)
        ]
        if not named:
            where = f" on {host}" if host else ""
            raise ToolFailed(f"no device {device!r} is attached{where}; list_devices shows those that are")
        if len(named) > 1:
            hosts = ", ".join(one.host for one, _ in named)
            raise ToolFailed(f"several hosts have a device {device!r}: {hosts}; name the host, too")
        one, is_there = named[0]
        if not is_there:
            raise ToolFailed(
                f"the flash agent of {one.host}, which has {device}, is not there; take a board of another host"
            )
        return one

    async def show(self, asked: ListDevices, _: str) -> str:
        """The tool list_devices."""
        fit = await self._fitting(asked.profile, asked.labels)
        shown = [self._shown(one, is_there) for one, is_there in fit[:MAX_SHOWN]]
        more = (
            f"\n({len(fit) - MAX_SHOWN} more are not shown; ask for a profile or labels)"
            if len(fit) > MAX_SHOWN
            else ""
        )
        return msgspec.json.encode(shown).decode() + more

    async def lease(self, asked: LeaseDevice, use_id: str) -> str:
        """The tool lease_device."""
        host, device, profile = asked.host, asked.device, asked.profile
        if device is None and profile is None and not asked.labels:
            raise ToolFailed("say which board: device, or profile, or labels")
        if device is not None:
            one = await self.found(device, host)
            host = one.host
            if one.holder == self._place.session_id:
                return f"{device} on {host} is leased to this session already"
        if profile is not None:
            profile = _profile(profile)
        fit = [
            one for one, is_there in await self._fitting(profile, asked.labels) if is_there and host in (None, one.host)
        ]
        if device is not None:
            fit = [one for one in fit if one.device == device]
        if not fit:
            raise ToolFailed("no attached board is like that; list_devices shows those that are there")
        lease_id = self._place.named_after(use_id, "lease")
        wanted = leases.request(
            self._place, lease_id, host=host, device=device, profile=profile, labels=asked.labels, wait_s=asked.wait_s
        )
        lease = await self._leases.ask(lease_id, wanted, wait_s=asked.wait_s)
        if lease is None:
            raise ToolFailed(_taken([one for one, _ in await self._fitting(profile, asked.labels)], asked.wait_s))
        return f"{lease.device} on {lease.host} is leased to this session; while it is not renewed, for {LEASE_S:g} s"

    async def release(self, asked: ReleaseDevice, _: str) -> str:
        """The tool release_device."""
        mine = [
            one for one in await self._leases.held() if one.device == asked.device and asked.host in (None, one.host)
        ]
        if not mine:
            raise ToolFailed(f"this session has no lease of {asked.device!r}")
        for one in mine:
            await self._leases.give_back(one)
        return f"{asked.device} was given back"

    async def _fitting(self, profile: str | None, labels: dict[str, str]) -> list[tuple[Device, bool]]:
        name = None if profile is None else _profile(profile)
        return [
            (one, is_there)
            for one, is_there in await self._place.lab.devices()
            if name in (None, one.profile) and labels.items() <= one.labels.items()
        ]

    def _shown(self, one: Device, is_there: bool) -> dict[str, object]:
        if not is_there:
            state = "its host's flash agent is not there"
        elif one.holder == self._place.session_id:
            state = "leased to this session"
        elif one.holder is not None:
            state = f"leased by {one.holder}"
        else:
            state = "free" if not one.jobs else f"free, with {one.jobs} flash job(s)"
        shown: dict[str, object] = {"device": one.device, "host": one.host, "profile": one.profile, "state": state}
        return shown | ({"labels": one.labels} if one.labels else {}) | ({"virtual": True} if one.virtual else {})


def tools(calls: Calls, boards: Boards) -> list[Tool]:
    """Those that are about having a board."""
    return [
        tool(calls, "list_devices", ListDevices, boards.show, repeatable=True),
        tool(calls, "lease_device", LeaseDevice, boards.lease, repeatable=True, timeout_s=math.inf),
        tool(calls, "release_device", ReleaseDevice, boards.release),
    ]


def _profile(name: str) -> str:
    try:
        return profiles.load(name).board
    except profiles.UnknownProfile as error:
        raise ToolFailed(str(error)) from error


def _taken(boards: list[Device], waited_s: float) -> str:
    held = ", ".join(f"{one.device} on {one.host} by {one.holder or f'{one.jobs} flash job(s)'}" for one in boards[:20])
    return f"all boards like that stayed taken for {waited_s:g} s: {held}; try again later, or take another kind"
