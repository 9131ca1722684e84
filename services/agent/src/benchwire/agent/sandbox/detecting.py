"""Which sandbox works on this host, found out by running something in it."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from msgspec.structs import replace

from benchwire.agent.sandbox import syscalls
from benchwire.agent.sandbox.ids import Ids
from benchwire.agent.sandbox.limits import Finished, Limits
from benchwire.agent.sandbox.sandbox import Kind, Sandbox, SandboxUnavailable

OTHER_IDS = 3
PROBE = Limits(cpu_s=5, address_bytes=1 << 30, file_bytes=1 << 20, processes=8, disk_bytes=1 << 20, wall_s=10.0)
# Who is it, and can it start another process? Where the kernel counts all processes of a user as one crowd, this user may have too many.
_SCRIPT = 'test "$(/usr/bin/id -u)" != 0 || { echo "it would run as root" >&2; exit 1; }; /bin/true & wait'
_FORK = "fork"


async def detect(choice: str = "auto", ids: Ids | None = None) -> Sandbox:
    """The sandbox for this host. ``choice`` is ``auto``, ``bwrap`` or ``limits`` (``BENCHWIRE_SANDBOX``).

    With ``auto``, and where bubblewrap doesn't work, it is one that runs ``nothing``. Raises ``SandboxUnavailable`` when what is asked
    for by name doesn't work, ``ValueError`` for another word.
    """
    if choice not in {"auto", Kind.BWRAP, Kind.LIMITS}:
        raise ValueError(f"BENCHWIRE_SANDBOX is auto, bwrap or limits, not {choice!r}")
    ids = ids or Ids()
    if choice == Kind.LIMITS:
        limited = Sandbox(kind=Kind.LIMITS, reason="chosen by BENCHWIRE_SANDBOX", ids=ids)
        if (problem := await _problem(limited)) is not None:
            raise SandboxUnavailable(f"BENCHWIRE_SANDBOX=limits, but {problem}")
        return limited
    found = await _bwrap(ids)
    if choice == Kind.BWRAP and found.kind is Kind.NOTHING:
        raise SandboxUnavailable(f"BENCHWIRE_SANDBOX=bwrap, but {found.reason}")
    return found


async def _bwrap(ids: Ids) -> Sandbox:
    best = Sandbox(kind=Kind.BWRAP, ids=ids)
    problem = await _problem(best)
    if problem is not None and "--disable-userns" in problem:  # bubblewrap before 0.8
        best = replace(best, no_userns=False)
        problem = await _problem(best)
    if problem is not None and _FORK in problem:  # Linux before 5.14; Watch counts anyway
        best = replace(best, counts=False)
        problem = await _problem(best)
    if problem is not None:
        return Sandbox(kind=Kind.NOTHING, reason=problem)
    return replace(best, reason=await asyncio.to_thread(syscalls.missing) or "")


async def _problem(sandbox: Sandbox) -> str | None:
    """Why it does not work here; None when it does. It may be installed and yet be refused by the kernel or a container."""
    name = "bubblewrap" if sandbox.kind is Kind.BWRAP else "what sets limits"
    if sandbox.kind is Kind.BWRAP and await asyncio.to_thread(shutil.which, "bwrap") is None:
        return "bubblewrap is not installed (package bubblewrap)"
    try:
        finished = await _tried(sandbox)
        for _ in range(
            OTHER_IDS
        ):  # a runner that was killed leaves processes, which count for the id until they are reaped
            if _FORK not in finished.stderr:
                break
            finished = await _tried(sandbox)
    except OSError as error:
        return f"{name} does not work here: {error}"
    if finished.broken is not None:
        return f"{name} does not work here: {finished.broken}"
    return None if finished.returncode == 0 else f"{name} does not work here: {finished.stderr.strip()}"


async def _tried(sandbox: Sandbox) -> Finished:
    place = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="benchwire-")
    try:
        return await sandbox.run(["/bin/sh", "-c", _SCRIPT], workdir=Path(place.name), limits=PROBE, max_bytes=4096)
    finally:
        await asyncio.to_thread(place.cleanup)
