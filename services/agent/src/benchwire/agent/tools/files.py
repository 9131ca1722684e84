"""Files of a session: read and written inside its own directory, and nowhere else.

Every step of a path is opened from the directory before it, without following links, so that no link which a command made leads out.
"""

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path, PurePosixPath

MAX_READ_BYTES = 128 * 1024
MAX_WRITE_BYTES = 512 * 1024


class FileRefused(ValueError):
    """The path leads out of the directory, over a link, or to something that is no file; the sentence says which."""


def read(root: Path, path: str) -> str:
    """The text of a file, cut after ``MAX_READ_BYTES``; what is no UTF-8 is replaced. Raises ``FileRefused`` and OSError."""
    with _opened(root, path, os.O_RDONLY, make_folders=False) as file:
        data = bytearray()
        while len(data) <= MAX_READ_BYTES and (piece := os.read(file, MAX_READ_BYTES + 1 - len(data))):
            data += piece
    shown = bytes(data[:MAX_READ_BYTES]).decode(errors="replace")
    return shown if len(data) <= MAX_READ_BYTES else f"{shown}\n[only the first {MAX_READ_BYTES} bytes are shown]"


def write(root: Path, path: str, content: str) -> int:
    """Writes a file, with the folders it needs, and returns its size in bytes. Raises ``FileRefused`` and OSError."""
    data = content.encode(errors="replace")
    if len(data) > MAX_WRITE_BYTES:
        raise FileRefused(f"{len(data)} bytes are more than the {MAX_WRITE_BYTES} that a file may have here")
    with _opened(root, path, os.O_WRONLY | os.O_CREAT, make_folders=True) as file:
        os.ftruncate(file, 0)
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
    return len(data)


@contextlib.contextmanager
def _opened(root: Path, path: str, flags: int, *, make_folders: bool) -> Generator[int, None, None]:
    parts = _parts(path)
    with contextlib.ExitStack() as stack:
        folder = _kept(stack, os.open(root, os.O_RDONLY | os.O_DIRECTORY))
        try:
            for part in parts[:-1]:
                if make_folders:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                folder = _kept(stack, os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder))
            # O_NONBLOCK: a named pipe must not hold us up
            file = _kept(stack, os.open(parts[-1], flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644, dir_fd=folder))
        except OSError as error:
            raise FileRefused(f"{path}: {error.strerror} (links are not followed)") from error
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise FileRefused(f"{path} is no file")
        yield file


def _kept(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _parts(path: str) -> tuple[str, ...]:
    # A shell in the sandbox sees the directory as /sandbox; a model that looked around may say so.
    inside = PurePosixPath(path.removeprefix("/sandbox/"))
    if inside.is_absolute() or ".." in inside.parts or not inside.parts or "\0" in path:
        raise FileRefused(f"{path!r} is not inside the session's directory; use a relative path")
    return inside.parts
