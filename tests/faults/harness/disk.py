"""A disk of one part's own, that can be full: a tmpfs that is made as small as what lies on it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchwire.events import child

_ROOM_BYTES = 1 << 30  # JetStream wants room for all its streams, and takes what it needs
_TRIES = 50


def why_not() -> str | None:
    """Why nothing can be mounted here, if so."""
    if os.geteuid() != 0:
        return "a disk of its own for a part needs root"
    if os.environ.get(OWN_MOUNTS) != "1":
        return "no mount namespace of the harness' own (unshare --mount)"
    return None


OWN_MOUNTS = "FAULTS_OWN_MOUNTS"
"""Set in a process whose mounts end with it, and are nobody else's."""


class Disk:
    """A file system at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def mounted(self) -> Iterator["Disk"]:
        """For the time of the context."""
        self.path.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={_ROOM_BYTES},mode=755", "faults", str(self.path))
        try:
            yield self
        finally:
            _run("umount", "--lazy", str(self.path))

    def fill(self) -> None:
        """Leaves no room, or just a few pages: whoever writes meanwhile may take them."""
        for spare in range(_TRIES):
            usage = os.statvfs(self.path)
            used = (usage.f_blocks - usage.f_bfree + spare) * usage.f_frsize
            with contextlib.suppress(subprocess.CalledProcessError):  # it has grown in between
                return _run("mount", "-o", f"remount,size={max(used, usage.f_frsize)}", str(self.path))
        raise OSError(f"{self.path} grows too fast to be filled")

    def make_room(self) -> None:
        """All is well again."""
        _run("mount", "-o", f"remount,size={_ROOM_BYTES}", str(self.path))


def _run(*command: str) -> None:
    subprocess.run(child.dying_with_owner(command), check=True, capture_output=True, text=True)
