"""The parts that run on this machine, together."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from benchwire.deploy.health import Examiner
from benchwire.deploy.keeper import Keeper, State, Tell
from benchwire.deploy.parts import Part, Site, Stage
from benchwire.deploy.site import CannotStart


class Lab:
    """The parts that run here."""

    def __init__(self, site: Site, examiner: Examiner, tell: Tell, tasks: asyncio.TaskGroup) -> None:
        self.site = site
        self._examiner = examiner
        self._tell = tell
        self._tasks = tasks
        self._keepers: list[Keeper] = []

    @property
    def states(self) -> dict[str, State]:
        """How each part is."""
        return {keeper.part.name: keeper.state for keeper in self._keepers}

    @property
    def pids(self) -> dict[str, int]:
        """The process of each part that has one at this moment."""
        return {keeper.part.name: keeper.pid for keeper in self._keepers if keeper.pid is not None}

    async def start(self, parts: list[Part]) -> None:
        """Starts ``parts`` side by side and waits until all are healthy. Raises ``CannotStart``."""
        keepers = [self.plug(part) for part in parts]
        async with _raising_the_first() as waits:
            for keeper in keepers:
                waits.create_task(keeper.started())

    def plug(self, part: Part) -> Keeper:
        """Starts a part, without waiting for it."""
        keeper = Keeper(part, self.site.logs / f"{part.name}.log", self._examiner, self._tell)
        self._keepers.append(keeper)
        self._tasks.create_task(keeper.keep(), name=f"keep {part.name}")
        return keeper

    async def unplug(self, keeper: Keeper) -> None:
        """Ends a part that is no longer wanted; returns when it is gone."""
        keeper.stop()
        await keeper.gone.wait()
        self._keepers.remove(keeper)

    async def stop(self) -> None:
        """Ends all parts, stage by stage."""
        for stage in Stage:
            keepers = [keeper for keeper in self._keepers if keeper.part.stage is stage]
            for keeper in keepers:
                keeper.stop()
            for keeper in keepers:
                await keeper.gone.wait()


@contextlib.asynccontextmanager
async def _raising_the_first() -> AsyncGenerator[asyncio.TaskGroup, None]:
    """A task group that raises the first ``CannotStart`` as it is; the others are mostly its consequences."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except* CannotStart as troubles:
        first = troubles.exceptions[0]
    else:
        return
    raise first
