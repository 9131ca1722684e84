"""What a command, or a runner that was killed, left behind."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

log = logging.getLogger(__name__)

END_S = 5.0
LOOK_AGAIN_S = 0.005


def sweep(variable: str, value: str) -> None:
    """Ends every process in whose environment ``variable`` begins with ``value``: also one that left its group or lost its parent."""
    wanted = f"{variable}={value}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or belongs to somebody else
            marked = any(one.startswith(wanted) for one in (entry / "environ").read_bytes().split(b"\0"))
            if marked and int(entry.name) != os.getpid():
                os.kill(int(entry.name), signal.SIGKILL)


def end_all_of(uid: int) -> None:
    """Ends every process of an id that nothing else on this host has, and waits until they are reaped; for root.

    Until then they count for the id's limit of processes, and whoever has it next would find it crowded.
    """
    end = time.monotonic() + END_S
    while states := _of(uid):
        running = [pid for pid, state in states.items() if state not in "ZX"]
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > end:
            log.warning("processes of the id %d do not end: %s", uid, running or f"{len(states)} are not reaped")
            return
        time.sleep(LOOK_AGAIN_S)


def _of(uid: int) -> dict[int, str]:
    """The state of each process of the id, as ``ps`` has it."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            said = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines() if ":\t" in line)
            if int(said["Uid"].split()[0]) == uid:
                found[int(entry.name)] = said["State"][0]
    return found


def remove(folder: Path) -> None:
    """Removes a work directory, whatever was made in it: folders may be closed, or lie deeper than Python can go. Raises OSError."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink():  # put there by what ran; ``chmod`` would follow it
        folder.unlink()
        return
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError) as error:
        for tool in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*tool, "--", str(folder)], check=False, capture_output=True)
        if os.path.lexists(folder):
            raise OSError(f"{folder} cannot be removed: {error}") from error
