"""Boards: which there are, having one for oneself, its reset line."""

import threading
from contextlib import suppress
from typing import Annotated

import anyio
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from benchwire.client import Lab, Lease
from benchwire.mcp.reach import Ctx, of_lab
from benchwire.mcp.shapes import Devices, DeviceShape, Ended, LeaseShape
from benchwire.mcp.tools.kinds import DeviceName, Host, Labels, LeaseId, Profile, adds, changes, reads
from benchwire.mcp.waiting import waited

_MOST = 200
_LONGEST_LEASE_S = 86_400.0
_PATIENCE_S = 300.0
_LEAVING_S = 10.0  # of the queue, when nobody waits any more

LeaseFor = Annotated[
    float, Field(gt=0, le=_LONGEST_LEASE_S, description="for how many seconds; renew_lease prolongs it")
]


async def list_devices(
    ctx: Ctx,
    *,
    profile: Profile = None,
    labels: Labels = {},  # noqa: B006 - pydantic copies it
    state: Annotated[str | None, Field(description="available, leased, busy or offline; all when absent")] = None,
    host: Annotated[str | None, Field(description="only those of this host")] = None,
) -> Devices:
    """The boards that are plugged in, on all hosts of the lab: name, host, profile, labels, and whether each is free."""
    found = await of_lab(ctx, lambda lab: lab.devices(profile=profile, labels=labels, state=state, host=host))
    shown = [DeviceShape.of(one) for one in found[:_MOST]]
    return Devices(devices=shown, more=len(found) - len(shown))


async def lease_device(
    ctx: Ctx,
    *,
    holder: Annotated[str, Field(description="who has the board: your name, for others to see", max_length=128)],
    device: DeviceName | None = None,
    host: Host = None,
    profile: Profile = None,
    labels: Labels = {},  # noqa: B006 - pydantic copies it
    for_s: LeaseFor = 900.0,
    wait_s: Annotated[float, Field(ge=0, le=_PATIENCE_S, description="how long to wait in the queue")] = 30.0,
) -> LeaseShape:
    """Has a board for oneself alone. Name it, or say what it has to be like (profile, labels): then any free one is given. Pass the lease_id
    to whatever acts on the board, and give it back with release_device.
    """
    left = threading.Event()
    requested: list[Lease] = []

    def ask(lab: Lab) -> Lease:
        lease = lab.requested(
            holder, device=device, host=host, profile=profile, labels=labels, for_s=for_s, patience_s=wait_s
        )
        requested.append(lease)
        if left.is_set():  # nobody would know of it
            lab.release(lease.lease_id)
        return lease

    try:
        return LeaseShape.of(await _held(ctx, await of_lab(ctx, ask), wait_s))
    except BaseException:
        left.set()
        with anyio.move_on_after(_LEAVING_S, shield=True), suppress(ToolError):  # what went wrong first is what is told
            for one in requested:
                await of_lab(ctx, lambda lab: lab.release(one.lease_id))  # noqa: B023 - called here
        raise


async def _held(ctx: Ctx, lease: Lease, wait_s: float) -> Lease:
    if lease.state == "waiting":
        lease = await waited(
            ctx, lambda: of_lab(ctx, lambda lab: lab.one_lease(lease.lease_id)),
            is_over=lambda one: one.state != "waiting", told=_in_words, wait_s=wait_s,
        )  # fmt: skip
    if lease.state != "held":
        raise ToolError(lease.reason or f"no board that fits came free within {wait_s:g} s")
    return lease


def _in_words(lease: Lease) -> str:
    return lease.state if lease.place is None else f"{lease.state}: number {lease.place} in the queue"


async def renew_lease(ctx: Ctx, lease_id: str, for_s: LeaseFor = 900.0) -> LeaseShape:
    """Keeps a leased board for so many seconds from now on."""
    return LeaseShape.of(await of_lab(ctx, lambda lab: lab.renew(lease_id, for_s)))


async def release_device(ctx: Ctx, lease_id: str) -> Ended:
    """Gives a leased board back, so that others can have it; or leaves the queue."""
    await of_lab(ctx, lambda lab: lab.release(lease_id))
    return Ended(id=lease_id, status="ended")


async def reset_device(
    ctx: Ctx,
    *,
    device: DeviceName,
    host: Host = None,
    download: Annotated[bool, Field(description="whether it stays in its boot loader")] = False,
    lease_id: LeaseId = None,
) -> DeviceShape:
    """Pulls a board's reset line: its firmware begins anew."""
    mode = "download" if download else "run"
    await of_lab(ctx, lambda lab: lab.reset(device, host=host, mode=mode, lease_id=lease_id))
    return DeviceShape.of(await of_lab(ctx, lambda lab: lab.device(device, host)))


TOOLS = [reads(list_devices), adds(lease_device), adds(renew_lease), changes(release_device), changes(reset_device)]
