"""Keeping a lease of a board, and giving it back; whoever it is for."""

from contextlib import suppress
from datetime import UTC, datetime

from benchwire.agent import commands, device
from benchwire.agent.claim import Claim
from benchwire.agent.errors import ClaimLost
from benchwire.agent.lab import Lab
from benchwire.agent.queries import Lease
from benchwire.events.device import DeviceReleased
from benchwire.events.lease import LeaseWithdrawn
from benchwire.events.log import Contended, LogUnavailable


async def renewed(lab: Lab, lease: Lease, *, for_s: float) -> bool:
    """Has a lease last for ``for_s`` seconds from now; False when it is over, or somebody is at it. Raises ``LogUnavailable``."""
    try:
        decided = await lab.log.decide(
            device.TYPES, None, device.evolve,
            lambda held: commands.renew(held, lease.lease_id, for_s=for_s, now=_now()),
            host=lease.host, device=lease.device,
        )  # fmt: skip
    except Contended:
        return False
    return decided.event is not None


async def given_back(lab: Lab, claim: Claim, lease_id: str, *, holder: str) -> None:
    """Gives the board back, or leaves the queue; a host that leases a board all the same takes it back when it sees that.

    Under the claim: what a runner that was cut off had belongs to whoever took its work over. When that cannot be done, it expires.
    """
    lease = await lab.lease(lease_id)
    with suppress(LogUnavailable, ClaimLost):
        if lease is not None and lease.state == "held":
            await claim.append(
                DeviceReleased(timestamp=_now(), host=lease.host, device=lease.device, lease_id=lease_id)
            )
        elif lease is None or lease.state == "waiting":
            await claim.append(
                LeaseWithdrawn(timestamp=_now(), lease_id=lease_id, reason=f"{holder} no longer waits for it")
            )


def _now() -> datetime:
    return datetime.now(UTC)
