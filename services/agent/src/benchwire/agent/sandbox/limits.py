"""What one command may use, and how it ended."""

import msgspec

OPEN_FILES = 512  # of each process
SOCKETS = 1024  # of all together: each may hold a quarter of a MiB that counts as nobody's memory
HARD_CPU_S = 2  # so much later the kernel ends what ``Watch`` should have ended


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a command and all that it starts may use together, but for two: ``address_bytes`` is of each process, ``file_bytes`` of each file.

    The kernel holds these two, and the number of processes (threads count). ``Watch`` looks after the others, and ends the command at
    the latest a moment after it went beyond. ``disk_bytes`` is what the work directory and the command's own ``/tmp`` may hold.
    """

    cpu_s: int
    address_bytes: int
    file_bytes: int
    processes: int = 64
    memory_bytes: int = 1 << 30
    disk_bytes: int = 256 << 20
    output_bytes: int = 64 << 20
    wall_s: float = 900.0

    def prlimit(self, *, processes: bool) -> list[str]:
        """The command that runs what follows it within what the kernel holds."""
        own = [f"--nproc={self.processes + 4}"] if processes else []  # so that Watch sees that there are too many
        return [
            "prlimit", f"--cpu={self.cpu_s + 1}:{self.cpu_s + HARD_CPU_S}", f"--as={self.address_bytes}", f"--fsize={self.file_bytes}",
            "--core=0", f"--nofile={OPEN_FILES}", *own, "--",
        ]  # fmt: skip


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended, and its two outputs, each cut at the caller's cap. ``broken`` says which limit ended it, if one did."""

    returncode: int
    stdout: str
    stderr: str
    broken: str | None = None


def size(count: float) -> str:
    """A number of bytes as people say it: ``64 MiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
