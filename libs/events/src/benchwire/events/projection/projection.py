"""Projections: rows in SQLite that follow from the log, and from nothing else.

The sequence of the last applied event stands in the same transaction as the rows it made, so an event has its effect exactly once, wherever
the process dies. Deleting the file rebuilds it from the log.
"""

import asyncio
import contextlib
import itertools
import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlite_utils import Database

from benchwire.events import cancels, rows, streams
from benchwire.events.applying import Applying, Schema
from benchwire.events.bus import Bus
from benchwire.events.follow import Batch, Message, follow
from benchwire.events.log import Log, Recorded
from benchwire.events.projection.file import File
from benchwire.events.projection.pace import FEW
from benchwire.events.projection.state import ProjectionBehind, ProjectionInUse, ProjectionState
from benchwire.events.projection.waiting import Waiting
from benchwire.events.relay import Relay
from benchwire.events.snapshots import record, start
from benchwire.events.snapshots.file import swept
from benchwire.events.snapshots.keeper import Keeper, Policy, Reach
from benchwire.events.snapshots.shelf import Shelf
from benchwire.events.streams import STREAM, Beginning, Origin

log = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[Sequence[Recorded]], None]

_MOST_TOGETHER = 2000  # events in one transaction; each is dearer in a smaller one


class Projection:
    """One SQLite file: written by one while it is ``running``, read in threads by ``read``."""

    def __init__(
        self, bus: Bus, path: Path, schema: Schema, *, linger_s: float = 0.0, with_snapshots: bool = True,
        beside: "Projection | None" = None,
    ) -> None:  # fmt: skip
        """``linger_s`` is how long it may wait for more once it has caught up: rows that are dear to commit come in larger batches then.

        What it follows ``beside`` has all of its filters, and runs for longer: what that one reads of the log is not read again.

        Without snapshots it neither starts from one nor makes any: whoever compares a rebuild with rows wants it from the log.
        """
        self._bus = bus
        self._linger_s = linger_s
        self._beside = beside
        self._relay = Relay()
        self._schema = schema
        self._file = File(path, schema)
        self._applying: Applying | None = None
        self._listeners: list[Listener] = []
        self._waiting = Waiting()
        self._ready = asyncio.Event()
        self._state = ProjectionState(applied=0, behind=0, caught_up=False, unknown=0, malformed=0)
        self._end = streams.End()
        self._shelf = Shelf(bus, schema.name, schema.file_version) if schema.name and with_snapshots else None
        self._keeper: Keeper | None = None

    @property
    def state(self) -> ProjectionState:
        """Where it stands."""
        return self._state

    @property
    def copied(self) -> int:
        """Up to where the newest snapshot reaches that this process made or saw; 0 before it saw any."""
        return self._keeper.newest if self._keeper is not None else 0

    async def newest(self) -> int:
        """The sequence of the newest event in the log that it listens to, applied or not; 0 without any. Raises ``LogUnavailable``."""
        log_ = Log(self._bus)
        return max(await asyncio.gather(*(log_.last_sequence(one) for one in self._schema.filters)))

    def on_commit(self, listener: Listener) -> None:
        """Calls ``listener`` with events after each commit that made them rows, in order, on the event loop."""
        self._listeners.append(listener)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Follows the log for the time of the context, which is entered when everything that is in the log now has been applied.

        Raises ``ProjectionInUse`` when another process has the file, ``StreamReplaced`` when the log is no longer the same, and
        ``ProjectionDamaged``.
        """
        lock = await asyncio.to_thread(rows.locked, self._file.path)
        if lock is None:
            raise ProjectionInUse(f"{self._file.path} is in use by another process")
        try:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow())
                watching = tasks.create_task(self._file.whole())
                try:
                    await self._ready.wait()
                    async with self._kept():
                        yield
                finally:
                    following.cancel()
                    watching.cancel()
        finally:
            await asyncio.to_thread(self._file.close)
            lock.close()

    async def wait_for(self, sequence: int, *, timeout_s: float = 5.0) -> None:
        """Returns when the event with this sequence is applied. Raises ``ProjectionBehind``."""
        if self._state.applied >= sequence:
            return
        try:
            await self._waiting.until(sequence, timeout_s=timeout_s)
        except TimeoutError:
            raise ProjectionBehind(f"at {self._state.applied} of {sequence} after {timeout_s} s") from None

    async def read(self, query: Callable[[Database], T]) -> T:
        """What ``query`` reads, in a reading thread and one consistent snapshot. Raises ``ProjectionDamaged``, and what ``query`` does."""
        return await self._file.read(query)

    async def read_again(self, query: Callable[[Database], T], events: Sequence[Recorded]) -> T:
        """The same, of what a listener was told of: when these are few, sooner."""
        return await self._file.read(query, is_small=len(events) <= FEW)

    async def _follow(self) -> None:
        info = await self._bus.js.stream_info(STREAM)
        beginning = await streams.beginning(self._bus.js, info)
        origin, last = streams.origin_of(info), info.state.last_seq
        await self._file.in_writer(self._file.remove_damaged)
        if await self._start(origin, last, beginning):
            # That took a while, in which a log with limits goes on losing what is old.
            beginning = await streams.beginning(self._bus.js)
        opening = partial(self._file.open, origin, last, beginning)
        self._applying, standing = await self._file.in_writer(opening)
        if standing.lacks:
            told = f"{standing.lacks}, and no snapshot reaches behind them: what they said is missing here"
            log.warning("%s: %s", self._file.path.name, told)
            self._state = msgspec.structs.replace(self._state, lacking=told)
        self._reached(standing.sequence)
        async with aclosing(self._batches(standing.sequence, origin)) as batches:
            async for batch in batches:
                self._relay.hand_on(batch)
                await self._take(batch)
                if self._linger_s and batch.messages and batch.pending == 0:
                    await asyncio.sleep(self._linger_s)

    def _batches(self, after: int, origin: Origin) -> AsyncGenerator[Batch, None]:
        """Raises ``StreamReplaced``: rows of one log and events of another do not go together, and the next start builds new ones."""
        readings = itertools.count()

        def read(after: int) -> AsyncGenerator[Batch, None]:
            # The first goes on from what was looked at just now; a later one, of who fell behind the other, after any time.
            return follow(
                self._bus, self._schema.filters, after=after, batch=_MOST_TOGETHER, created=origin.created,
                is_checked=next(readings) == 0, reached=lambda: self._state.applied,
            )  # fmt: skip

        if self._beside is None:
            return read(after)
        return self._beside._relay.follow(self._schema.filters, after=after, batch=_MOST_TOGETHER, read=read)  # noqa: SLF001 - of its own kind

    async def _start(self, origin: Origin, last: int, beginning: Beginning) -> bool:
        """Puts a snapshot in the place of the file, when there is none, or the log no longer has what follows it. Returns whether it did."""
        if self._shelf is None:
            return False
        await asyncio.to_thread(swept, self._file.path)
        there = await asyncio.to_thread(rows.stood_in, self._file.path)
        if there is not None and not self._file.belongs(there, origin, last):
            there = None
        if there is not None and not there.lacks and not beginning.hides(there.sequence):
            return False
        found = record.choice(await self._shelf.slots(), origin=origin, last=last, beginning=beginning)
        if there is not None:
            found = [one for one in found if record.is_whole(one, beginning)]
        return await start.placed(self._shelf, found, self._file.path) is not None

    @contextlib.asynccontextmanager
    async def _kept(self) -> AsyncGenerator[None, None]:
        """Makes snapshots for the time of the context."""
        if self._shelf is None:
            yield
            return
        policy = Policy(events=self._bus.settings.snapshot_events, every_s=self._bus.settings.snapshot_every_s)
        self._keeper = Keeper(self._shelf, self._file.path, policy, self.settled, self.forgotten)
        async with cancels.beside(self._keeper.run(), name=f"the keeper of snapshots of {self._schema.name}"):
            yield

    async def settled(self) -> Reach | None:
        """Up to where the rows have everything; None before they caught up, or while they cannot go on. Raises as ``newest``, and what NATS raises.

        That is as far as the log goes, also when what was said lately was for others: or a host where nothing happens would seem to lack
        what a limited log loses.
        """
        info = await self._bus.js.stream_info(STREAM)  # asked before what is ours: that may be even newer
        last = info.state.last_seq
        if not self._state.caught_up or self._state.trouble:
            return None
        known = self._end.known(last) if (info.config.num_replicas or 1) > 1 else last
        if known > self._state.applied >= await self.newest():
            assert self._applying is not None
            await self._file.in_writer(partial(self._applying.reach, known))
            self._reached(known)
        half = (info.state.first_seq + last) // 2 if streams.is_shrinking(info) else 0
        return Reach(self._state.applied, streams.origin_of(info), half)

    async def forgotten(self) -> int:
        """The sequence of the newest event that took others out of the log; 0 without any. Raises ``LogUnavailable``."""
        return await Log(self._bus).last_sequence(self._schema.forgets) if self._schema.forgets else 0

    async def _take(self, batch: Batch) -> None:
        events = await self._applied_in_the_end(batch.messages) if batch.messages else []
        last = batch.messages[-1].sequence if batch.messages else 0
        parked = self._applying.parked if self._applying is not None else {}
        self._state = msgspec.structs.replace(
            self._state, behind=batch.pending, caught_up=self._state.caught_up or batch.pending == 0,
            unknown=parked.get("unknown", 0), malformed=parked.get("malformed", 0),
        )  # fmt: skip
        self._reached(last)
        if events:
            for listener in self._listeners:
                listener(events)
        if batch.pending == 0:
            self._ready.set()

    def _reached(self, sequence: int) -> None:
        reached = max(sequence, self._state.applied)
        self._state = msgspec.structs.replace(self._state, applied=reached)
        self._waiting.reached(reached)

    async def _applied_in_the_end(self, messages: list[Message]) -> list[Recorded]:
        """A full disk does not lose an event: the batch is tried until it fits, and health says why it does not."""
        assert self._applying is not None
        pause_s = 0.1
        while True:
            try:
                is_small = len(messages) <= FEW and not self._linger_s
                took = await self._file.in_writer(partial(self._applying.take, messages), is_small=is_small)
                if self._state.caught_up:  # while rows are built anew, nobody waits for them
                    self._file.move(len(messages))
            except sqlite3.OperationalError as error:
                self._state = msgspec.structs.replace(self._state, behind=len(messages), trouble=str(error))
            else:
                self._state = msgspec.structs.replace(self._state, trouble=None)
                return took
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 2.0)
