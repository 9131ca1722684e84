"""Who waits for rows to get to a sequence."""

import asyncio
import heapq
import itertools

from benchwire.events.deadline import awaited


class Waiting:
    """Whoever waits, by the sequence that he waits for."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []  # what comes next stands in front
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    async def until(self, sequence: int, *, timeout_s: float) -> None:
        """Returns once ``sequence`` is ``reached``. Raises ``TimeoutError``."""
        waiting = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (sequence, next(self._numbers), waiting))
        try:
            await awaited(waiting, timeout_s=timeout_s)
        finally:
            if not waiting.done() or waiting.cancelled() or waiting.exception() is not None:
                self._heap = [one for one in self._heap if one[2] is not waiting]
                heapq.heapify(self._heap)

    def reached(self, sequence: int) -> None:
        """Lets all go who wait for ``sequence``, or for one before it."""
        while self._heap and self._heap[0][0] <= sequence:
            waiting = heapq.heappop(self._heap)[2]
            if not waiting.done():
                waiting.set_result(None)
