"""Looks after one running command, some times a second: what its tree uses of memory, processor, processes, disk and time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from benchwire.agent.sandbox import folder, tree
from benchwire.agent.sandbox.limits import SOCKETS, Limits, size

FIRST_S = 0.03  # most compiler runs are over soon after
EVERY_S = 0.1
ROOM_BYTES = 1 << 20  # for a command in a directory that holds too much already
DISK_SHARE = 0.05  # of the time goes at most into counting a large directory
SENT_S = 1.0  # whoever sends open files to another process expects it to take them


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command runs: the directories outside that it may write and what they held before, the small file systems in memory that
    it alone sees, and how many processes the fence itself has.
    """

    disk: Sequence[Path]
    before_bytes: int
    tmpfs: Sequence[str] = ()
    processes: int = 0


class Watch:
    """``broken`` is the sentence that says which limit ended the command; None while none did."""

    def __init__(self) -> None:
        self.broken: str | None = None
        self._printed = 0
        self._over = asyncio.Event()

    def heard(self, count: int, limits: Limits) -> None:
        """Counts what the command printed."""
        self._printed += count
        if self._printed > limits.output_bytes:
            self._break(f"it printed more than {size(limits.output_bytes)}")

    async def keep(self, look: "Look", end: Callable[[], Awaitable[None]]) -> None:
        """Looks until it is cancelled, or a limit is broken; then ``end`` is called, which ends the command."""
        wait_s = FIRST_S
        while self.broken is None:
            try:
                async with asyncio.timeout(wait_s):
                    await self._over.wait()
            except TimeoutError:
                await self._looked(look)
            wait_s = EVERY_S
        await end()

    async def last(self, look: "Look") -> None:
        """Looks once more at what is left of a command that has ended: it may have been quick."""
        await self._looked(look.at_disk)

    async def _looked(self, look: Callable[[], str | None]) -> None:
        try:
            sentence = await asyncio.to_thread(look)
        except Exception as error:  # noqa: BLE001 - whatever it is: what nobody can watch does not run
            sentence = f"it could not be watched: {error}"
        if sentence is not None:
            self._break(sentence)

    def _break(self, sentence: str) -> None:
        if self.broken is None:
            self.broken = sentence
            self._over.set()


class Look:
    """One look after the other. All of it blocks."""

    def __init__(self, pid: int, place: Place, limits: Limits) -> None:
        self._pid = pid
        self._place = place
        self._limits = limits
        # What was too much before may stay, and be made less.
        self._allowed_bytes = max(limits.disk_bytes, place.before_bytes + ROOM_BYTES)
        self._began = time.monotonic()
        self._next_count = 0.0
        self._sent_since: float | None = None

    def __call__(self) -> str | None:
        """The sentence about the limit that is broken; None when none is."""
        limits = self._limits
        if time.monotonic() - self._began > limits.wall_s:
            return f"it ran longer than {limits.wall_s:g} s"
        used = tree.use(tree.below(self._pid))
        if used.processes - self._place.processes > limits.processes:
            return f"it started more than {limits.processes} processes"
        if used.cpu_s > limits.cpu_s:
            return f"it used more than {limits.cpu_s} s of processor time"
        if used.memory_bytes > limits.memory_bytes and tree.proportional_bytes(used.pids) > limits.memory_bytes:
            return f"it used more than {size(limits.memory_bytes)} of memory"
        if time.monotonic() < self._next_count:
            return None
        return self.at_disk(used.pids)

    def at_disk(self, pids: Sequence[int] = ()) -> str | None:
        """As a whole look, at the disk alone; ``pids`` may hold files that have no name."""
        began = time.monotonic()
        hidden = tree.hidden(pids)
        if hidden.sockets > SOCKETS:
            return f"it held more than {SOCKETS} sockets"
        self._sent_since = (self._sent_since or began) if hidden.has_sent else None
        if self._sent_since is not None and began - self._sent_since > SENT_S:
            return f"it kept open files on their way between sockets, where nobody can count them, for more than {SENT_S:g} s"
        try:
            held = sum(map(folder.used_bytes, self._place.disk)) + hidden.disk_bytes
        except folder.TooDeep:
            return f"it made folders in folders, more than {folder.MAX_DEPTH} deep, which do not stay"
        if pids:
            held += tree.tmpfs_bytes(pids[-1], self._place.tmpfs)
        took = time.monotonic() - began
        self._next_count = began + took + took / DISK_SHARE
        return f"it wrote more than {size(self._limits.disk_bytes)}" if held > self._allowed_bytes else None
