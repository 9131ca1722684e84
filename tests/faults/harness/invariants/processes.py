"""Nothing of a lab outlives it."""

import asyncio
import contextlib
from pathlib import Path

import psutil

from benchwire.events.testing.eventually import eventually

from .finding import Finding


async def nothing_runs_below(directory: Path, *, within_s: float = 20.0) -> Finding:
    """No process that belongs to the lab in ``directory``, by its environment or by where it works, is left.

    One that was killed may take a moment to be gone, so it is waited for.
    """
    left = list[str]()

    async def none_is_left() -> bool:
        left[:] = await asyncio.to_thread(_running_below, directory)
        return not left

    with contextlib.suppress(AssertionError):  # it is said below
        await eventually(none_is_left, within_s=within_s)
    return Finding(invariant="no process is left", figures={"left": len(left)}, wrong=left)


def _running_below(directory: Path) -> list[str]:
    found = []
    for one in psutil.process_iter(["pid", "cmdline", "cwd", "environ", "status"]):
        told = [one.info["cwd"] or "", *(one.info["environ"] or {}).values()]
        if one.info["status"] != psutil.STATUS_ZOMBIE and any(str(directory) in word for word in told):
            found.append(f"{one.info['pid']}: {' '.join(one.info['cmdline'] or ())[:200]}")
    return found
