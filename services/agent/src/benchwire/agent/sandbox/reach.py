"""For a runner that is root: how an id that may enter little reaches a directory that lies below a closed one, as ``/root`` is.

A mount namespace in which the closed directory is empty but for the way to what is needed is made once, and entered by each command
before it gives root away. The runner alone keeps it, by an open file: it is gone with the runner.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from benchwire.events import child

KEPT = 8
# Keeps what is needed at hand in /sys, which nothing that runs inside is shown, covers what is closed, and puts it back where it was.
_SCRIPT = """
set -e
umask 022
empty() { mount -t tmpfs -o size=64k,mode=755 none "$1"; }
empty /sys
number=0
for step; do case $step in keep:*) mkdir /sys/$number; mount --rbind "${step#*:}" /sys/$number; number=$((number + 1)); esac; done
number=0
for step; do
  at=${step#*:}
  case $step in
    closed:*) if [ -d "$at" ]; then case $(stat -c %a "$at") in *[1357]) ;; *) empty "$at"; esac; fi ;;
    keep:*) mkdir -p "$at"; mount --rbind /sys/$number "$at"; number=$((number + 1)) ;;
  esac
done
umount -R /sys
echo done
read -r _
"""


class _Way:
    """A namespace, kept open."""

    def __init__(self, steps: tuple[str, ...], file: int) -> None:
        self.steps = steps
        self.file = file
        self.users = 0


class Reach:
    """The namespaces that were made, the latest ``KEPT`` of them."""

    def __init__(self) -> None:
        self._ways: dict[tuple[str, ...], _Way] = {}
        self._making = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def to(self, paths: Sequence[Path]) -> AsyncGenerator[list[str], None]:
        """What runs the command that follows where these absolute paths are open to it. Raises OSError when the kernel refuses that."""
        steps = await asyncio.to_thread(_steps, paths)
        if not steps:
            yield []
            return
        async with self._making:
            way = self._ways.pop(steps, None) or _Way(steps, await _made(steps))
            self._ways[steps] = way  # the latest stands last
            way.users += 1
            self._forget()
        try:
            yield ["nsenter", f"--mount=/proc/{os.getpid()}/fd/{way.file}", "--"]
        finally:
            way.users -= 1

    def _forget(self) -> None:
        idle = [one for one in self._ways.values() if not one.users]
        for one in idle[: max(len(self._ways) - KEPT, 0)]:
            del self._ways[one.steps]
            os.close(one.file)


def _steps(paths: Sequence[Path]) -> tuple[str, ...]:
    """What to do, the uppermost first: ``closed:`` directories, and what to ``keep:`` below them. Empty when the whole way is open."""
    found: dict[str, None] = {}
    for path in sorted(set(paths), key=lambda one: len(one.parts)):
        way = [*reversed(path.parents)]
        closed = [number for number, one in enumerate(way) if not one.stat().st_mode & stat.S_IXOTH]
        if closed:
            found |= dict.fromkeys(f"closed:{way[number]}" for number in closed)
            found[f"keep:{[*way, path][closed[-1] + 1]}"] = None
    return tuple(found)


async def _made(steps: tuple[str, ...]) -> int:
    argv = ["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", _SCRIPT, "sh", *steps]
    async with child.spawn(argv, stdin=child.PIPE, stdout=child.PIPE, stderr=child.PIPE) as process:
        assert process.stdout is not None, "it was asked for"
        assert process.stderr is not None, "it was asked for"
        if not await process.stdout.readline():
            said = (await process.stderr.read()).decode(errors="replace").strip()
            raise OSError(f"no id but root's can reach {', '.join(steps)}: {said}")
        return await asyncio.to_thread(os.open, f"/proc/{process.pid}/ns/mnt", os.O_RDONLY)
