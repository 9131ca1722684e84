"""A board for one node alone, so that what it prints is the node's: asked for, waited for, and given back."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from benchwire.agent import commands, device
from benchwire.agent.claim import Claim
from benchwire.agent.errors import ClaimLost, NotDeployed
from benchwire.agent.lab import Lab
from benchwire.agent.queries import Lease
from benchwire.events.device import DeviceReleased
from benchwire.events.lease import LeaseRequested, LeaseWithdrawn
from benchwire.events.log import Contended, LogUnavailable

Place = tuple[str, str]  # host and device


class Leasing:
    """``holder`` wants a board of ``profile`` for ``for_s`` seconds; ``say`` tells people what it waits for.

    Whoever goes on with the task after this runner has the same ``holder``, and so what this one asked for, or got.
    """

    def __init__(
        self, lab: Lab, claim: Claim, *, holder: str, profile: str, for_s: float, say: Callable[[str], Awaitable[None]]
    ) -> None:
        self._lab = lab
        self._claim = claim
        self._holder = holder
        self._profile = profile
        self._for_s = for_s
        self._say = say
        self._mine: set[str] = set()
        self._lease_id = ""

    @contextlib.asynccontextmanager
    async def board(self, keep: Callable[[], bool]) -> AsyncGenerator[Lease, None]:
        """Has a board for the time of the context, and after it when ``keep`` says so. Raises ``NotDeployed``, ``ClaimLost`` and
        ``LogUnavailable``.
        """
        async with self._given_back(keep):
            yield await self._granted()

    @contextlib.asynccontextmanager
    async def board_of(self, place: Place, keep: Callable[[], bool]) -> AsyncGenerator[Lease | None, None]:
        """As ``board``, for one that a runner before had; None when its lease has run out meanwhile. Raises ``LogUnavailable``."""
        async with self._given_back(keep):
            yield await self._taken_over(lambda lease: lease.state == "held" and (lease.host, lease.device) == place)

    @contextlib.asynccontextmanager
    async def _given_back(self, keep: Callable[[], bool]) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            if not keep():
                for lease_id in self._mine:
                    await self._give_back(lease_id)

    async def _give_back(self, lease_id: str) -> None:
        """Gives the board back, or leaves the queue; a host that leases a board all the same takes it back when it sees that.

        Under the claim: what a runner that was cut off had belongs to whoever took the task over.
        """
        lease = await self._lab.lease(lease_id)
        with contextlib.suppress(LogUnavailable, ClaimLost):  # then it expires
            if lease is not None and lease.state == "held":
                await self._claim.append(
                    DeviceReleased(timestamp=_now(), host=lease.host, device=lease.device, lease_id=lease_id)
                )
            elif lease is None or lease.state == "waiting":
                reason = f"{self._holder} no longer waits for it"
                await self._claim.append(LeaseWithdrawn(timestamp=_now(), lease_id=lease_id, reason=reason))

    # -- what a runner before this one has left

    async def _taken_over(self, fits: Callable[[Lease], bool]) -> Lease | None:
        """A lease that this node has already, renewed, or waits for; of others nobody would know any more, and they are given back."""
        taken: Lease | None = None
        for lease in await self._lab.leases(self._holder):
            self._mine.add(lease.lease_id)
            if taken is None and fits(lease) and (lease.state == "waiting" or await self._renewed(lease)):
                taken = lease
            else:
                await self._give_back(lease.lease_id)
                self._mine.discard(lease.lease_id)
        return taken

    async def _renewed(self, lease: Lease) -> bool:
        try:
            decided = await self._lab.log.decide(
                device.TYPES, None, device.evolve,
                lambda held: commands.renew(held, lease.lease_id, for_s=self._for_s, now=_now()),
                host=lease.host, device=lease.device,
            )  # fmt: skip
        except Contended:
            return False
        return decided.event is not None

    # -- a new one

    async def _granted(self) -> Lease:
        boards = {(one.host, one.device) for one in await self._lab.boards(self._profile)}
        before = await self._taken_over(lambda lease: lease.state == "waiting" or (lease.host, lease.device) in boards)
        if before is not None and before.state == "held":
            return before
        self._lease_id = before.lease_id if before is not None else await self._requested()
        lease = await self._waited(self._lab.settings.board_wait_s)
        if lease is None and await self._lab.boards(self._profile):
            await self._say(f"all {self._profile} boards are taken; waiting for one")
            lease = await self._waited(self._for_s)  # whoever has one has it for no longer than this
        if lease is None:
            raise NotDeployed(await self._why_none())
        return lease

    async def _requested(self) -> str:
        lease_id, now = uuid.uuid4().hex, _now()
        self._mine.add(lease_id)
        patience = timedelta(seconds=self._lab.settings.board_wait_s + self._for_s)
        await self._claim.append(
            LeaseRequested(
                timestamp=now, lease_id=lease_id, holder=self._holder, for_s=self._for_s, profile=self._profile,
                wait_until=now + patience,
            )
        )  # fmt: skip
        return lease_id

    async def _waited(self, within_s: float) -> Lease | None:
        """The lease once it is held; None when time is up. A request that came to nothing is made again: its board vanished in that moment."""
        end = asyncio.get_running_loop().time() + within_s
        while True:
            settled = await self._lab.until(self._settled, within_s=end - asyncio.get_running_loop().time())
            if settled is None or settled.state == "held":
                return settled
            self._lease_id = await self._requested()

    async def _settled(self) -> Lease | None:
        lease = await self._lab.lease(self._lease_id)
        return lease if lease is not None and lease.state != "waiting" else None

    async def _why_none(self) -> str:
        taken = await self._lab.boards(self._profile)
        if taken:
            held = ", ".join(
                f"{one.device} on {one.host} by {one.holder or f'{one.jobs} flash job(s)'}" for one in taken
            )
            return f"all {self._profile} boards stayed taken: {held}"
        return (
            f"no {self._profile} board is attached to any host whose flash agent runs (waited "
            f"{self._lab.settings.board_wait_s:g} s); plug one in, or ask for the task without deploy"
        )


def _now() -> datetime:
    return datetime.now(UTC)
