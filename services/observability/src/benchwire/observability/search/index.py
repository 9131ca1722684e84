"""The search over what was said: rows of its own, which follow the log beside the others and keep nobody waiting."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from benchwire.events.bus import Bus
from benchwire.events.projection import Projection, ProjectionBehind, ProjectionState
from benchwire.observability.projection.search import SCHEMA

T = TypeVar("T")

# Each commit writes a segment of the index, and merges some: one for every event would take several times as long as one for many.
_LINGER_S = 0.2


class Search:
    """The words of the log. It can be asked once it has caught up for the first time; building it anew takes a while."""

    def __init__(self, bus: Bus, path: Path, beside: Projection) -> None:
        """``beside`` are the other rows, which run for longer: what they read of the log is not read again."""
        self._projection = Projection(bus, path, SCHEMA, linger_s=_LINGER_S, beside=beside)

    @property
    def state(self) -> ProjectionState:
        """Where it stands."""
        return self._projection.state

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Follows the log for the time of the context, which is entered at once."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(self._follow())
            try:
                yield
            finally:
                following.cancel()

    async def _follow(self) -> None:
        async with self._projection.running():
            await asyncio.Event().wait()

    async def read(self, query: Callable[[Database], T]) -> T:
        """What ``query`` reads. Raises ``ProjectionBehind`` while the words are still being gathered."""
        if not self.state.caught_up:
            raise ProjectionBehind(
                f"the search is being built, {self.state.behind} events are left; try again in a while"
            )
        return await self._projection.read(query)
