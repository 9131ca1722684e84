"""The drives as which boot loaders show themselves: found, recognized, gone again."""

import os
import re
from pathlib import Path
from typing import NamedTuple

INFO_NAME = "INFO_UF2.TXT"
CURRENT_NAME = "CURRENT.UF2"

_MOUNTS = Path("/proc/self/mounts")
_FAT = frozenset({"vfat", "msdos", "exfat"})
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Drive(NamedTuple):
    """A boot loader's drive. ``device`` is the block device behind it; a virtual board's has none."""

    path: Path
    device: Path | None
    board_id: str

    @property
    def is_there(self) -> bool:
        """Whether the loader still offers it. A drive whose board left may stay mounted, but its device is gone."""
        try:
            return (self.device is None or self.device.exists()) and self.path.is_dir()
        except OSError:  # a drive whose board left may answer with an error, too
            return False

    @property
    def was_torn_out(self) -> bool:
        """Of a drive that is gone: whether it went for another reason than that the loader had what it waited for."""
        return self.device is None and not self.path.parent.is_dir()

    @property
    def current(self) -> Path | None:
        """The file that shows what the flash holds, where the loader has one."""
        path = self.path / CURRENT_NAME
        return path if self.is_there and path.is_file() else None


def drive_at(path: Path, mounts: Path = _MOUNTS) -> Drive | None:
    """The boot loader's drive that is mounted there; None when it is something else, or nothing."""
    device = next((device for device, mounted_at in _fat(mounts) if mounted_at == path), None)
    return _recognized(path, device)


def mounted(mounts: Path = _MOUNTS) -> list[Drive]:
    """All boot loaders' drives that are mounted on this machine."""
    found = [_recognized(path, device) for device, path in _fat(mounts)]
    return [drive for drive in found if drive is not None and drive.is_there]


def content_of(path: Path) -> bytes:
    """What the drive shows now, and not what the kernel remembers of it."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def _fat(mounts: Path) -> list[tuple[Path, Path]]:
    """Device and path of each file system that such a drive could have."""
    rows = [line.split() for line in mounts.read_text(errors="surrogateescape").splitlines()]
    return [(Path(_unescaped(row[0])), Path(_unescaped(row[1]))) for row in rows if row[2] in _FAT]


def _recognized(path: Path, device: Path | None) -> Drive | None:
    try:
        about = (path / INFO_NAME).read_text(errors="replace")
    except OSError:
        return None
    ids = [line.partition(":")[2].strip() for line in about.splitlines() if line.lower().startswith("board-id:")]
    return Drive(path, device, ids[0]) if ids else None


def _unescaped(field: str) -> str:
    return _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), field)
