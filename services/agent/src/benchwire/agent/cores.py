"""How many compilers or simulators run at once, whoever has started them: as many as there are cores, in turns."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

LEAST = 2


def available() -> int:
    """The cores that this process may use, and no fewer than two: one program often waits for something else."""
    return max(LEAST, len(os.sched_getaffinity(0)))


class Cores:
    """So many places. Those who wait get theirs owner by owner, each owner's in its order: a task of fifty nodes does not hold up one of two."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {}

    @asynccontextmanager
    async def taken(self, owner: str, count: int = 1) -> AsyncGenerator[None, None]:
        """Has ``count`` places at once, or all there are, for the time of the context."""
        count = min(count, self._count)
        await self._take(owner, count)
        try:
            yield
        finally:
            self._give(count)

    async def _take(self, owner: str, count: int) -> None:
        place = (count, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(owner, deque()).append(place)
        self._grant()
        try:
            await place[1]
        except asyncio.CancelledError:
            if place[1].cancelled():
                self._grant()  # which passes over it; others may have waited behind it
            else:
                self._give(count)
            raise

    def _give(self, count: int) -> None:
        self._free += count
        self._grant()

    def _grant(self) -> None:
        """Gives what is free to who is next; one that wants more than that is waited for, or it would never get its turn."""
        while self._waiting:
            owner = next(iter(self._waiting))
            places = self._waiting[owner]
            count, granted = places[0]
            if not granted.cancelled() and count > self._free:
                return
            places.popleft()
            del self._waiting[owner]  # and to the end, if there is more
            if places:
                self._waiting[owner] = places
            if not granted.cancelled():
                self._free -= count
                granted.set_result(None)
