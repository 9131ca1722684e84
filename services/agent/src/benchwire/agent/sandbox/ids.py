"""Ids for what a runner that is root runs: one for each work directory in use, so that nothing inside is root, or the same as its neighbour.

The kernel binds no process limit to root, nor to a root that a user namespace maps to it. Which id is in use is known on the whole
machine, by the name of a socket that its user keeps: several runners may share a range, and one that is killed leaves nothing behind.
"""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Self

from benchwire.agent.sandbox import folder
from benchwire.agent.sandbox.leftovers import end_all_of

FIRST = 61000  # neither Debian nor systemd gives 60578 to 61183 to anybody
COUNT = 128
LOOK_AGAIN_S = 0.02

# Where to begin in the range: what was killed counts for its id until it is reaped, so that runners should not all want the same one.
_starts = itertools.count(os.getpid())


class _Lease:
    def __init__(self, uid: int, name: socket.socket) -> None:
        self.uid = uid
        self.name = name
        self.users = 0
        self.handing = asyncio.Lock()
        self.is_clear = False  # of processes that another one left
        self.is_handed = False


class Ids:
    """The ids from ``first`` on. A runner that is not root needs none."""

    def __init__(self, first: int = FIRST, count: int = COUNT) -> None:
        self._ids = range(first, first + count)
        self._next = next(_starts) % count
        self._leases: dict[Path, _Lease] = {}

    @classmethod
    def between(cls, written: str) -> Self:
        """From ``61000-61127``, first to last. Raises ValueError."""
        first, _, last = written.partition("-")
        if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last)):
            raise ValueError(
                f"BENCHWIRE_SANDBOX_IDS is the first and the last of a range, as 61000-61127, not {written!r}"
            )
        return cls(int(first), int(last) - int(first) + 1)

    @contextlib.asynccontextmanager
    async def leased(self, workdir: Path, *, ends: bool = False) -> AsyncGenerator[int | None, None]:
        """The id that the directory and all in it belong to meanwhile; None when this runner is not root.

        Two that use one directory at a time have one id. With ``ends``, what else of its processes there is ends before the first of them
        begins, and with the last of them. Waits while all ids are in use. Raises OSError.
        """
        if os.geteuid() != 0:
            yield None
            return
        lease = await self._lease(workdir)
        lease.users += 1
        try:
            async with lease.handing:
                if ends and not lease.is_clear:  # a runner that was killed may have left some
                    await asyncio.to_thread(end_all_of, lease.uid)
                lease.is_clear = True
                await asyncio.to_thread(_give, workdir, lease.uid)
                lease.is_handed = True
            yield lease.uid
        finally:
            lease.users -= 1
            await self._let_go(lease, workdir, ends=ends)

    async def _let_go(self, lease: _Lease, workdir: Path, *, ends: bool) -> None:
        """When nobody uses it any more. Whoever comes meanwhile waits, and then has the lease again."""
        try:
            async with lease.handing:
                if not lease.users and self._leases.get(workdir) is lease:
                    if ends:
                        await asyncio.to_thread(end_all_of, lease.uid)
                    if lease.is_handed:  # where it could not be, that is the error to tell
                        await asyncio.to_thread(folder.take_back, workdir, lease.uid)
        finally:
            if not lease.users and self._leases.get(workdir) is lease:
                del self._leases[workdir]
                lease.name.close()

    async def _lease(self, workdir: Path) -> _Lease:
        latest = await asyncio.to_thread(folder.had_by, workdir)
        while True:
            if (lease := self._leases.get(workdir)) is not None:
                return lease
            if (lease := self._free(latest)) is not None:
                self._leases[workdir] = lease
                return lease
            await asyncio.sleep(LOOK_AGAIN_S)

    def _free(self, latest: int) -> _Lease | None:
        """The one that the directory had before, if it can be had: then nothing needs to be handed over."""
        count = len(self._ids)
        after = [self._ids[(self._next + step) % count] for step in range(count)]
        for uid in [latest, *after] if latest in self._ids else after:
            name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                name.bind(f"\0benchwire-sandbox-id-{uid}")
            except OSError:
                name.close()
                continue
            if uid != latest:
                self._next = (uid - self._ids.start + 1) % count
            return _Lease(uid, name)
        return None


def _give(workdir: Path, uid: int) -> None:
    try:
        folder.hand_over(workdir, uid)
    except OSError as error:
        raise OSError(
            f"{workdir} cannot be given to the id {uid} (BENCHWIRE_SANDBOX_IDS): {error.strerror or error}"
        ) from error
