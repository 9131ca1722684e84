"""Asking a board's host for something now: a hand on its reset line or supply, or what its chip is."""

from typing import Any, Literal, TypeVar

import msgspec

from benchwire.events.asks import Handled, HandleDevice, Identified, IdentifyDevice, Refused
from benchwire.observability import errors
from benchwire.observability.boards import finding
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Row

# A hook that switches a supply takes its time, and so does a chip whose boot loader has to be reached first.
HANDLE_WITHIN_S = 15.0
IDENTIFY_WITHIN_S = 25.0

Do = Literal["reset", "download", "power_on", "power_off"]
Answer = TypeVar("Answer")


async def handled(lab: Lab, row: Row, do: Do, *, lease_id: str | None, by: str | None) -> None:
    """Has its host do it. Raises ``DeviceTaken``, ``HostRefused`` and ``HostSilent``."""
    finding.mind_lease(lab, row, lease_id)
    ask = HandleDevice(host=row["host"], device=row["device"], do=do, lease_id=lease_id, by=by)
    await asked(lab, row["host"], "handle", ask, Handled, within_s=HANDLE_WITHIN_S)


async def identified(lab: Lab, row: Row, *, lease_id: str | None) -> Identified:
    """Has the chip asked what it is, which resets the board. Raises as ``handled`` does."""
    finding.mind_lease(lab, row, lease_id)
    ask = IdentifyDevice(host=row["host"], device=row["device"], lease_id=lease_id)
    return await asked(lab, row["host"], "identify", ask, Identified, within_s=IDENTIFY_WITHIN_S)


async def asked(lab: Lab, host: str, verb: str, ask: Any, answer: type[Answer], *, within_s: float) -> Answer:
    """What the flash agent of ``host`` answers. Raises ``HostRefused`` and ``HostSilent``."""
    try:
        reply = await lab.bus.ask(f"ask.host.{host}.{verb}", ask, answer, timeout_s=within_s)
    except msgspec.MsgspecError as error:
        raise errors.HostRefused(f"the flash agent of host {host} answered what cannot be read: {error}") from error
    if not isinstance(reply, Refused):
        return reply
    match reply.code:
        case "nobody_there":
            raise errors.HostSilent(host, within_s=None)
        case "no_answer":
            raise errors.HostSilent(host, within_s=within_s)
        case _:
            raise errors.HostRefused(reply.detail)
