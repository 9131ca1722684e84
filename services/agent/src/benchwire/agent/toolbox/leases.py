"""The boards that a session has for itself: asked for, kept while it runs, given back when it ends."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

from benchwire.agent import leases
from benchwire.agent.beside import beside
from benchwire.agent.errors import ClaimLost, ToolFailed
from benchwire.agent.queries import Device, Lease
from benchwire.agent.toolbox.place import Place
from benchwire.events.lease import LeaseRequested
from benchwire.events.log import LogUnavailable

LEASE_S = 120.0  # how long a board stays taken when its runner was killed, and nobody goes on
RENEW_S = 30.0
SLACK_S = 10.0  # a host that withdraws a request says nothing of why; whoever waits for it does so before


class Leases:
    """Those of one session: whoever goes on with it has the same holder, and so what the runner before had."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._asked: set[str] = set()

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncGenerator[None, None]:
        """Renews what is held for the time of the context, and gives it back after it, unless somebody goes on with the session."""
        ends = True
        async with beside(self._renewing()):
            try:
                yield
            except (ClaimLost, LogUnavailable):
                ends = False
                raise
            except asyncio.CancelledError:
                ends = self._place.ends
                raise
            finally:
                if ends:
                    await self._give_all_back()

    async def of(self, device: Device) -> str | None:
        """The id of the lease under which the session may use the device: None when it is free. Raises ``ToolFailed`` when another has it."""
        if device.holder is None:
            return None
        if device.holder != self._place.session_id:
            raise ToolFailed(
                f"{device.device} on {device.host} is leased by {device.holder}; take another board, or lease it and wait"
            )
        return device.lease_id

    async def held(self) -> list[Lease]:
        """What the session has at the moment."""
        return [one for one in await self._place.lab.leases(self._place.session_id) if one.state == "held"]

    async def ask(self, lease_id: str, wanted: LeaseRequested, *, wait_s: float) -> Lease | None:
        """Asks for a board and waits for it; None when none came free in time, and nobody waits any more. Raises ``ToolFailed``."""
        place = self._place
        self._asked.add(lease_id)
        if await place.lab.lease(lease_id) is None:
            await place.claim.append(wanted, event_id=f"{lease_id}-requested")

        async def settled() -> Lease | None:
            lease = await place.lab.lease(lease_id)
            return lease if lease is not None and lease.state != "waiting" else None

        lease = await place.lab.until(settled, within_s=wait_s)
        if lease is None:
            await leases.given_back(place.lab, place.claim, lease_id, holder=place.session_id)
        elif lease.state == "ended":
            raise ToolFailed("that lease is over: the board vanished, or somebody took it back; ask again")
        return lease

    async def give_back(self, lease: Lease) -> None:
        """Gives one back."""
        await leases.given_back(self._place.lab, self._place.claim, lease.lease_id, holder=self._place.session_id)

    async def _renewing(self) -> None:
        while True:
            # At once, too: what is taken over was renewed last by whoever had the session before, and that is a while ago.
            for lease in await self.held():
                with contextlib.suppress(LogUnavailable):  # then again, before it is over
                    await leases.renewed(self._place.lab, lease, for_s=LEASE_S)
            await asyncio.sleep(RENEW_S)

    async def _give_all_back(self) -> None:
        known = {one.lease_id for one in await self._place.lab.leases(self._place.session_id)}
        for lease_id in known | self._asked:
            await leases.given_back(self._place.lab, self._place.claim, lease_id, holder=self._place.session_id)


def request(
    place: Place, lease_id: str, *, host: str | None, device: str | None, profile: str | None, labels: dict[str, str], wait_s: float
) -> LeaseRequested:  # fmt: skip
    """What a session asks for."""
    now = datetime.now(UTC)
    return LeaseRequested(
        timestamp=now, lease_id=lease_id, holder=place.session_id, for_s=LEASE_S, wait_until=now + timedelta(seconds=wait_s + SLACK_S),
        host=host, device=device, profile=profile, labels=labels,
    )  # fmt: skip
