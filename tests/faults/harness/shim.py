"""A wall clock that jumps and a disk that is slow, for programs that use the C library: ``shim.c`` between the two.

Neither needs root, and this machine's own clock and disk stay as they are. nats-server is linked statically and cannot be deceived in this way.
"""

import shutil
import struct
import subprocess
from pathlib import Path

from benchwire.events import child

_SOURCE = Path(__file__).with_name("shim.c")


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which("cc") or shutil.which("gcc")


def built(directory: Path) -> Path:
    """The shared object. Raises ``CalledProcessError`` and ``FileNotFoundError``."""
    made = directory / "shim.so"
    command = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-o", str(made), str(_SOURCE), "-ldl"]
    subprocess.run(child.dying_with_owner(command), check=True)
    return made


class Shim:
    """What one program is told: it looks at ``file`` for as long as it runs."""

    def __init__(self, library: Path, file: Path) -> None:
        self._library = library
        self._file = file
        file.write_bytes(bytes(24))

    @property
    def environment(self) -> dict[str, str]:
        """The variables that put the shim into a program."""
        return {"LD_PRELOAD": str(self._library), "FAULTS_SHIM": str(self._file)}

    def set(self, *, clock_s: float = 0.0, flush_s: float = 0.0, write_s: float = 0.0) -> None:
        """From now on the wall clock is off by ``clock_s``, and each flush and each write take so much longer."""
        numbers = (int(one * 1_000_000) for one in (clock_s, flush_s, write_s))
        with self._file.open("r+b") as file:  # written where it is: it is mapped
            file.write(struct.pack("=3q", *numbers))
