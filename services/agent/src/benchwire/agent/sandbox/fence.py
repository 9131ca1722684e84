"""The command lines that close a command in. Pure, but for what the system's own directories are."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from benchwire.agent.sandbox.limits import Limits
from benchwire.events import child

INSIDE = (
    "/sandbox"  # where bubblewrap shows the work directory; the same on every host, so that debug information is, too
)
SHARED_BYTES = 64 << 20  # of /dev/shm


def bwrap(
    workdir: Path, readable: Sequence[Path], *, limits: Limits, filter_file: int | None, no_userns: bool
) -> list[str]:
    """What runs the command that follows inside; ``filter_file`` is an open file with a seccomp filter.

    Nothing but the work directory, ``/tmp`` and ``/dev/shm`` can be written: the root and ``/dev`` would be memory without limit.
    """
    argv = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", *_system()]
    argv += ["--disable-userns"] if no_userns else []
    argv += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    argv += ["--size", str(SHARED_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108 - the sandbox's own
    argv += ["--size", str(min(limits.disk_bytes, limits.memory_bytes)), "--tmpfs", "/tmp"]  # noqa: S108 - as well
    for path in readable:
        argv += ["--ro-bind", str(path), str(path)]
    argv += ["--bind", str(workdir), INSIDE, "--remount-ro", "/", "--chdir", INSIDE]
    return [*argv, *(["--seccomp", str(filter_file)] if filter_file is not None else []), "--"]


def as_id(uid: int | None, argv: Sequence[str]) -> list[str]:
    """What runs ``argv`` as ``uid`` alone, for good, and ends it with its owner; ``argv`` as it is when there is no other id to take."""
    if uid is None:
        return list(argv)
    drop = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    return ["setpriv", *drop, "--no-new-privs", "--pdeathsig=KILL", "--", *child.if_owner_lives(argv)]


@cache
def _system() -> tuple[str, ...]:
    """What shows the host's programs and libraries inside; looked up once, because it asks the disk."""
    binds = ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        path = Path(name)
        if path.is_symlink():  # merged /usr
            binds += ["--symlink", str(path.readlink()), name]
        else:
            binds += ["--ro-bind-try", name, name]
    for name in ("/etc/alternatives", "/etc/ld.so.cache"):
        binds += ["--ro-bind-try", name, name]
    return tuple(binds)
