"""What a task needs of the lab around it: the model, the sandbox, the stores, and this runner's view of boards and flash jobs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

from nats.errors import Error as NatsError

from benchwire.agent import blueprint, queries, task
from benchwire.agent.blueprint import Blueprint
from benchwire.agent.cores import Cores, available
from benchwire.agent.model.endpoint import Endpoint
from benchwire.agent.sandbox import Sandbox
from benchwire.agent.settings import Settings
from benchwire.events.blobs import Blobs
from benchwire.events.bus import LIVE, Bus
from benchwire.events.catalog import FLASH_AGENT, filters_of
from benchwire.events.event import IllegalToken
from benchwire.events.log import Log, LogUnavailable, Recorded
from benchwire.events.presence import Presence
from benchwire.events.projection import Projection
from benchwire.events.task import NodeAssigned, NodeSpec

T = TypeVar("T")

PRESENCE_FRESH_S = 0.5
LOOK_AGAIN_S = 1.0  # for what changes without an event: a presence that ends, a lease that expires


class Lab:
    """The surroundings of every task of this runner. ``compiling`` and ``simulating`` are the places for compilers and simulators."""

    def __init__(
        self, settings: Settings, bus: Bus, projection: Projection, *, model: Endpoint | None, sandbox: Sandbox
    ) -> None:
        self.settings = settings
        self.bus = bus
        self.log = Log(bus)
        self.blobs = Blobs(bus, may_purge=False)
        self.presence = Presence(bus)
        self.model = model
        self.sandbox = sandbox
        self.compiling = Cores(available())
        self.simulating = Cores(available())
        self._projection = projection
        self._moved = asyncio.Event()
        self._hosts: dict[str, tuple[float, bool]] = {}  # when each was asked for, and whether it was there

    def saw(self, _: Sequence[Recorded]) -> None:
        """Wakes whoever waits for something to become visible."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def until(self, look: Callable[[], Awaitable[T | None]], *, within_s: float) -> T | None:
        """The first result of ``look`` that is not None, looked for after each commit; None when time is up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        while True:
            moved = self._moved
            if (found := await look()) is not None:
                return found
            left = end - loop.time()
            if left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                # Not wait_for(): in Python 3.11 it forgets a cancel that comes with the same commit that it waits for.
                async with asyncio.timeout(min(left, LOOK_AGAIN_S)):
                    await moved.wait()

    async def devices(self) -> list[tuple[queries.Device, bool]]:
        """All attached devices, each with whether its host is there."""
        found = await self._projection.read(queries.devices)
        hosts = {host: await self._is_there(host) for host in {one.host for one in found}}
        return [(one, hosts[one.host]) for one in found]

    async def _is_there(self, host: str) -> bool:
        """Whether the host's flash agent is there; asked at most every half second, however many nodes wait for a board.

        While nobody can tell, it is as it was: whether a board can be had is decided by the log.
        """
        now = asyncio.get_running_loop().time()
        asked_at, known = self._hosts.get(host, (now - PRESENCE_FRESH_S, True))
        if now - asked_at < PRESENCE_FRESH_S:
            return known
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            known = await self.presence.is_there(FLASH_AGENT, host)
        self._hosts[host] = (now, known)
        return known

    async def lease(self, lease_id: str) -> queries.Lease | None:
        """A lease, or the request for one, as far as it is known."""
        return await self._projection.read(lambda db: queries.lease(db, lease_id))

    async def leases(self, holder: str) -> list[queries.Lease]:
        """What ``holder`` has leased, or waits for, the newest first."""
        return await self._projection.read(lambda db: queries.leases(db, holder))

    async def is_over(self, session_id: str) -> bool:
        """Whether a session that was asked for has ended, as far as it is known."""
        return await self._projection.read(lambda db: queries.is_over(db, session_id))

    async def last_sample(self) -> int:
        """The place of the newest sample. Raises ``LogUnavailable``."""
        try:
            return int((await self.bus.js.stream_info(LIVE)).state.last_seq)
        except (NatsError, OSError, TimeoutError) as error:
            raise LogUnavailable("the samples cannot be read") from error

    async def job(self, job_id: str) -> queries.Job | None:
        """A flash job, as far as it is known."""
        return await self._projection.read(lambda db: queries.job(db, job_id))

    async def guidance(self, task_id: str, node_id: str, after: int) -> list[queries.Said]:
        """What people said about a node since ``after``."""
        return await self._projection.read(lambda db: queries.guidance(db, task_id, node_id, after))

    async def assigned(self, task_id: str, node: NodeSpec) -> NodeSpec:
        """The node, for the board that a person named for it last, as the log has it now. Raises ``LogUnavailable``."""
        async with aclosing(self.log.read(filters_of((NodeAssigned,), task_id=task_id))) as events:
            async for one in events:
                node = task.assigned(node, one.event)
        return node

    async def blueprint(self, name: str) -> Blueprint | None:
        """The blueprint of that name as the log has it now; None when there is none. Raises ``LogUnavailable``."""
        found: Blueprint | None = None
        with contextlib.suppress(IllegalToken):  # no blueprint can have such a name
            async with aclosing(self.log.read(filters_of(blueprint.TYPES, name=name))) as events:
                async for one in events:
                    found = blueprint.evolve(found, one.event)
        return found
