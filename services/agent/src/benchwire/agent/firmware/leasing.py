"""A board for one node alone, so that what it prints is the node's: asked for, waited for, and given back."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from benchwire.agent import leases
from benchwire.agent.claim import Claim
from benchwire.agent.errors import NotDeployed
from benchwire.agent.lab import Lab
from benchwire.agent.queries import Device, Lease
from benchwire.events.lease import LeaseRequested

Place = tuple[str, str]  # host and device


class Wanted(Struct, frozen=True):
    """Which boards will do: those of the profile, on the host if one is named, with the name if there is one, and all of the labels."""

    profile: str
    host: str | None = None
    device: str | None = None
    labels: dict[str, str] = {}

    def fits(self, one: Device) -> bool:
        """Whether it will do. A board that somebody named may be one that has not been identified."""
        profiles = (self.profile, None) if self.device is not None else (self.profile,)
        return self.is_named(one) and one.profile in profiles and self.labels.items() <= one.labels.items()

    def is_named(self, one: Device) -> bool:
        """Whether it is on the host, and has the name, as far as they matter."""
        return self.host in (None, one.host) and self.device in (None, one.device)

    def __str__(self) -> str:
        named = f"{self.device} ({self.profile})" if self.device is not None else f"{self.profile} board"
        labels = ", ".join(f"{name}={value}" for name, value in self.labels.items())
        return f"{named}{f' on {self.host}' if self.host is not None else ''}{f' with {labels}' if labels else ''}"


class Leasing:
    """``holder`` wants a board for ``for_s`` seconds; ``say`` tells people what it waits for.

    Whoever goes on with the task after this runner has the same ``holder``, and so what this one asked for, or got.
    """

    def __init__(
        self,
        lab: Lab,
        claim: Claim,
        *,
        holder: str,
        wanted: Wanted,
        for_s: float,
        say: Callable[[str], Awaitable[None]],
    ) -> None:
        self._lab = lab
        self._claim = claim
        self._holder = holder
        self._wanted = wanted
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
                    await leases.given_back(self._lab, self._claim, lease_id, holder=self._holder)

    # -- what a runner before this one has left

    async def _taken_over(self, fits: Callable[[Lease], bool]) -> Lease | None:
        """A lease that this node has already, renewed, or waits for; of others nobody would know any more, and they are given back."""
        taken: Lease | None = None
        for lease in await self._lab.leases(self._holder):
            self._mine.add(lease.lease_id)
            if (
                taken is None
                and fits(lease)
                and (lease.state == "waiting" or await leases.renewed(self._lab, lease, for_s=self._for_s))
            ):
                taken = lease
            else:
                await leases.given_back(self._lab, self._claim, lease.lease_id, holder=self._holder)
                self._mine.discard(lease.lease_id)
        return taken

    # -- a new one

    async def _granted(self) -> Lease:
        boards = {(one.host, one.device) for one in await self._boards()}
        before = await self._taken_over(lambda lease: lease.state == "waiting" or (lease.host, lease.device) in boards)
        if before is not None and before.state == "held":
            return before
        if before is None and (problem := await self._mistake()) is not None:
            raise NotDeployed(problem)
        self._lease_id = before.lease_id if before is not None else await self._requested()
        lease = await self._waited(self._lab.settings.board_wait_s)
        if lease is None and await self._boards():
            await self._say(f"every {self._wanted} is taken; waiting for one")
            lease = await self._waited(self._for_s)  # whoever has one has it for no longer than this
        if lease is None:
            raise NotDeployed(await self._why_none())
        return lease

    async def _boards(self) -> list[Device]:
        """Those that will do, whose hosts are there."""
        return [one for one, is_there in await self._lab.devices() if is_there and self._wanted.fits(one)]

    async def _mistake(self) -> str | None:
        """Why the board that was named will never do; None when it may, or is not there yet."""
        if self._wanted.device is None:
            return None
        named = [one for one, _ in await self._lab.devices() if self._wanted.is_named(one)]
        if not named or any(map(self._wanted.fits, named)):
            return None
        other = next((one for one in named if one.profile not in (self._wanted.profile, None)), None)
        if other is not None:
            return f"{other.device} on {other.host} is a {other.profile} board; this firmware is for {self._wanted.profile}"
        return f"{named[0].device} on {named[0].host} has not the labels that were asked for: {self._wanted}"

    async def _requested(self) -> str:
        lease_id, now, wanted = uuid.uuid4().hex, _now(), self._wanted
        unidentified = any(one.profile is None for one in await self._boards())  # which only one that was named can be
        self._mine.add(lease_id)
        patience = timedelta(seconds=self._lab.settings.board_wait_s + self._for_s)
        await self._claim.append(
            LeaseRequested(
                timestamp=now, lease_id=lease_id, holder=self._holder, for_s=self._for_s, wait_until=now + patience,
                profile=None if unidentified else wanted.profile, host=wanted.host, device=wanted.device, labels=wanted.labels,
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
        taken = await self._boards()
        if taken:
            held = ", ".join(
                f"{one.device} on {one.host} by {one.holder or f'{one.jobs} flash job(s)'}" for one in taken
            )
            return f"every {self._wanted} stayed taken: {held}"
        return (
            f"no {self._wanted} is attached to any host whose flash agent runs (waited "
            f"{self._lab.settings.board_wait_s:g} s); plug one in, or ask for the task without deploy"
        )


def _now() -> datetime:
    return datetime.now(UTC)
