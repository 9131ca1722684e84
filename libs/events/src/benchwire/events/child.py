"""Child processes that cannot outlive their owner.

Compilers, simulators, flash tools and whole services run as children. Each gets a session (and process group) of its own, so that it
can be ended as a tree, and asks the kernel to be killed when its owner dies (``PR_SET_PDEATHSIG``, prctl(2)), so that a ``kill -9`` of
the owner leaves no orphan.
"""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import psutil

PIPE = asyncio.subprocess.PIPE
DEVNULL = asyncio.subprocess.DEVNULL
STDOUT = asyncio.subprocess.STDOUT

_LOOK_EVERY_S = 0.01
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>

# The kernel kills only a child that has asked for it already. The shell looks, after that, whether the owner is still there, and only then
# becomes the program.
_IF_OWNER_LIVES = ("/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')

Stream = int | IO[bytes] | None


@cache
def _setpriv() -> str | None:
    """util-linux's setpriv sets the parent-death signal between fork and exec, without Python code in the forked child."""
    return shutil.which("setpriv")


def dying_with_owner(argv: Sequence[str]) -> list[str]:
    """The command line that runs ``argv`` and is killed when the process that started it, which is this one, dies.

    To the kernel that is the thread that forked: one that ends sooner than the child takes it along.
    """
    setpriv = _setpriv()
    if setpriv is None:
        return list(argv)
    return [setpriv, "--pdeathsig", "KILL", "--", *if_owner_lives(argv)]


def if_owner_lives(argv: Sequence[str]) -> list[str]:
    """The command line that runs ``argv`` unless this process is dead by then: what asks to die with it may have asked too late."""
    return [*_IF_OWNER_LIVES, str(os.getpid()), *argv]


def die_with_owner() -> None:
    """Asks for SIGTERM when the process that started this one dies; for a process that wants to end in order."""
    if sys.platform != "linux":
        return
    owner = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != owner:  # it died before the signal was armed
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.asynccontextmanager
async def spawn(
    argv: Sequence[str],
    *,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = DEVNULL,
    stdout: Stream = None,
    stderr: Stream = None,
    grace_s: float = 1.0,
    limit_bytes: int = 1 << 20,
    pass_fds: Sequence[int] = (),
    asks_itself: bool = False,
) -> AsyncGenerator[asyncio.subprocess.Process, None]:
    """Runs a command in a session of its own; leaving the context ends whatever is left of its process tree.

    ``limit_bytes`` is the longest line that ``process.stdout.readline`` takes; ``pass_fds`` are open files that the child has, too, under
    the same numbers. ``asks_itself`` is for a command that asks to die with its owner by itself, because it changes its user first: then
    the kernel forgets who asked before. Raises ``FileNotFoundError`` when the program is not there.
    """
    if await asyncio.to_thread(shutil.which, argv[0]) is None:
        raise FileNotFoundError(f"{argv[0]} is not installed, or not on PATH")
    process = await asyncio.create_subprocess_exec(
        *(argv if asks_itself else dying_with_owner(argv)),
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        limit=limit_bytes,
        pass_fds=pass_fds,
    )
    try:
        yield process
    finally:
        # A cancel that arrives while the tree is being ended must not leave half of it running.
        try:
            await _uncancelled(stop_tree(process, grace_s=grace_s))
        finally:
            # Whoever slipped out of the tree may hold the other ends of our pipes; asyncio has no public way to let go of them.
            process._transport.close()  # type: ignore[attr-defined] # noqa: SLF001


async def stop_tree(process: asyncio.subprocess.Process, *, grace_s: float = 1.0) -> None:
    """Ends a spawned process and everything it started: SIGTERM, then SIGKILL after ``grace_s`` seconds. Idempotent."""
    tree: list[psutil.Process] = []
    if process.returncode is None:  # else the number may be somebody else's by now
        tree = _descendants(process.pid)
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await exited(process)
    # The group may have members left although its leader is gone; a descendant may have left the group.
    _signal_group(process.pid, signal.SIGKILL)
    for one in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    await exited(process)


async def exited(process: asyncio.subprocess.Process) -> int:
    """The exit code, as soon as the process itself has ended.

    ``process.wait()`` of Python 3.11 also waits until nobody has its pipes any more, and whoever slipped out of the tree may keep them.
    """
    while process.returncode is None:  # noqa: ASYNC110 - asyncio tells nobody of this moment
        await asyncio.sleep(_LOOK_EVERY_S)
    return process.returncode


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _uncancelled(ending: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(ending)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
