"""Copies a projection now and then, while it runs: one of all that have the same rows, and never so that anybody waits for it."""

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import msgspec
from nats.errors import Error as NatsError

from benchwire.events import cancels
from benchwire.events.log import LogUnavailable
from benchwire.events.rows import removed
from benchwire.events.snapshots.file import copied, copy_of, packed
from benchwire.events.snapshots.record import Snapshot
from benchwire.events.snapshots.shelf import Overtaken, Shelf, Turn
from benchwire.events.streams import Origin

log = logging.getLogger(__name__)

_LOOK_S = 30.0
_LAST_WORDS_S = 1.0
_STAND = 2  # copies that stay

T = TypeVar("T")


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When to copy: once the log has ``events`` more than the newest copy (0: never), and no more often than every ``every_s`` seconds."""

    events: int
    every_s: float


class Reach(msgspec.Struct, frozen=True):
    """How far the rows go: they have everything up to ``sequence`` of the log ``origin``.

    A copy that ends before ``half``, the middle of a log that loses its beginning, will not reach what is left of it for much longer.
    """

    sequence: int
    origin: Origin
    half: int = 0

    def holds(self, one: Snapshot) -> bool:
        """Whether that is a copy of these rows, as they were before."""
        return not one.deleted and one.sequence <= self.sequence and self.origin.holds(one.origin, one.sequence)


class Keeper:
    """Keeps copies of the file ``path`` on ``shelf``. ``settled`` says up to where the rows have everything; None while they do not.

    What the log was made to forget up to the sequence that ``forgotten`` tells does not stay in older copies: then one is made sooner.
    ``newest`` is up to where the newest copy reaches, as far as is known.
    """

    def __init__(
        self,
        shelf: Shelf,
        path: Path,
        policy: Policy,
        settled: Callable[[], Awaitable[Reach | None]],
        forgotten: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self._shelf = shelf
        self._path = path
        self._policy = policy
        self._settled = settled
        self._forgotten = forgotten
        self._copy = copy_of(path)
        self.newest = 0

    async def run(self) -> None:
        """Works until it is cancelled; what goes wrong is said, and tried again later."""
        while self._policy.events:
            await asyncio.sleep(min(_LOOK_S, self._policy.every_s))
            try:
                await self.look()
            except (NatsError, OSError, TimeoutError, LogUnavailable, sqlite3.Error, Overtaken) as reason:
                log.warning("no snapshot of %s was made: %s", self._path.name, str(reason) or type(reason).__name__)

    async def look(self) -> Snapshot | None:
        """Makes a copy if it is time for one. Raises what NATS and SQLite raise, ``OSError`` and ``Overtaken``."""
        reached = await self._settled()
        if reached is None:
            return None
        slots = await self._shelf.slots()
        standing = [one for one in slots if reached.holds(one)]
        self.newest = max((one.sequence for one in standing), default=0)
        forgotten = await self._forgotten() if self._forgotten is not None else 0
        has_more = any(one.sequence < forgotten <= reached.sequence for one in standing)
        is_left_behind = self.newest < min(reached.half, reached.sequence)
        if reached.sequence - self.newest < self._policy.events and not has_more and not is_left_behind:
            return None
        turn = await self._shelf.take_turn(every_s=self._policy.every_s)
        if turn is None:
            return None
        try:
            into = next((one for one in slots if one not in standing), None) or min(
                standing, key=lambda one: one.sequence
            )
            return await self._made(into, [one for one in standing if one.nuid != into.nuid], forgotten)
        except asyncio.CancelledError:  # whoever goes on may try at once; what failed would most likely fail again
            with contextlib.suppress(NatsError, OSError, TimeoutError, Overtaken):
                await cancels.to_the_end(self._given_back(turn))
            raise

    async def _given_back(self, turn: Turn) -> None:
        async with asyncio.timeout(_LAST_WORDS_S):
            await self._shelf.give_back(turn)

    async def _made(self, into: Snapshot, others: list[Snapshot], forgotten: int) -> Snapshot | None:
        ending = threading.Event()
        try:
            told = await _to_the_end(lambda: copied(self._path, self._copy, ending), ending)
            if told.lacks and any(not one.lacks for one in others):
                return None  # what lacks something does not take the place of what does not
            file_bytes = (await asyncio.to_thread(self._copy.stat)).st_size
            into = msgspec.structs.replace(
                into, origin=told.origin, sequence=told.sequence, file_bytes=file_bytes, lacks=told.lacks
            )
            async with aclosing(_off_the_loop(packed(self._copy))) as pieces:
                made = await self._shelf.put(into, pieces)
        finally:
            await cancels.to_the_end(asyncio.to_thread(removed, self._copy))
        self.newest = made.sequence
        surplus = len(others) + 1 - _STAND
        for number, one in enumerate(sorted(others, key=lambda one: one.sequence)):
            if number < surplus or one.sequence < forgotten <= made.sequence:
                await self._shelf.empty(one)
        await self._shelf.forget_old(forgotten)
        log.info("snapshot of %s at %d: %d bytes, %d compressed", made.projection, made.sequence, file_bytes, made.size)
        return made


async def _to_the_end(call: Callable[[], T], ending: threading.Event) -> T:
    """``call`` in a thread; a cancel tells it to end, and waits for that, because the file is its own until then."""
    work = asyncio.create_task(asyncio.to_thread(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        ending.set()
        await cancels.to_the_end(_over(work))  # whoever cancels once may do so again
        raise


async def _over(work: asyncio.Task[T]) -> None:
    await asyncio.wait([work])
    work.exception()  # looked at, or the event loop would complain of it


async def _off_the_loop(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
