"""What captures have heard so far, on the disk of this host: a file of bytes and a note of what was asked for. Blocking; call it in a thread."""

import contextlib
import logging
import os
from pathlib import Path

import msgspec

from benchwire.events.serial import CaptureRequested

log = logging.getLogger(__name__)

_BYTES, _NOTE, _FRESH = ".bytes", ".json", ".new"


class Note(msgspec.Struct, frozen=True):
    """What was asked for, and how much of it is lost."""

    asked: CaptureRequested
    lost_bytes: int = 0


class Spool:
    """The files of one capture, in ``directory``. Everything raises ``OSError``."""

    def __init__(self, directory: Path, note: Note) -> None:
        self._directory = directory
        self.note = note
        self._file: int | None = None

    @property
    def path(self) -> Path:
        """Where the bytes are."""
        return self._directory / f"{self.note.asked.capture_id}{_BYTES}"

    @property
    def _note_path(self) -> Path:
        return self._directory / f"{self.note.asked.capture_id}{_NOTE}"

    def begin(self) -> None:
        """Makes the files; after that, the capture survives this process."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._write_note()

    def add(self, data: bytes, lost_bytes: int) -> None:
        """Keeps ``data``; ``lost_bytes`` is how much is lost up to now."""
        if self._file is None:  # it never began
            return
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        if lost_bytes != self.note.lost_bytes:
            self.note = msgspec.structs.replace(self.note, lost_bytes=lost_bytes)
            self._write_note()

    def _write_note(self) -> None:
        fresh = self._note_path.with_suffix(_FRESH)
        fresh.write_bytes(msgspec.json.encode(self.note))
        fresh.replace(self._note_path)

    def close(self) -> None:
        """Everything that was added is in the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove(self) -> None:
        """Takes the files away; what cannot be taken away is only in the way."""
        self.close()
        for path in (self._note_path, self.path, self._note_path.with_suffix(_FRESH)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def left_in(directory: Path) -> list[Spool]:
    """The spools that a process before this one left. What else it left goes: bytes of a capture that never began, half a note."""
    if not directory.is_dir():
        return []
    found = [spool for path in sorted(directory.glob(f"*{_NOTE}")) if (spool := _read(directory, path)) is not None]
    known = {spool.path for spool in found}
    for path in (*directory.glob(f"*{_BYTES}"), *directory.glob(f"*{_FRESH}")):
        if path not in known:
            path.unlink(missing_ok=True)
    return found


def _read(directory: Path, path: Path) -> Spool | None:
    try:
        return Spool(directory, msgspec.json.decode(path.read_bytes(), type=Note))
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        log.warning("%s is left alone: %s", path, error)
        return None
