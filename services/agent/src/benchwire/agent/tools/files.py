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
MAX_DEPTH = 100  # of folders in folders that are listed


class FileRefused(ValueError):
    """The path leads out of the directory, over a link, or to something that is no file; the sentence says which."""


def read(root: Path, path: str) -> str:
    """The text of a file, cut after ``MAX_READ_BYTES``; what is no UTF-8 is replaced. Raises ``FileRefused`` and OSError."""
    data = _beginning(root, path, MAX_READ_BYTES + 1)
    shown = data[:MAX_READ_BYTES].decode(errors="replace")
    return shown if len(data) <= MAX_READ_BYTES else f"{shown}\n[only the first {MAX_READ_BYTES} bytes are shown]"


def whole(root: Path, path: str, *, max_bytes: int) -> bytes:
    """All the bytes of a file. Raises ``FileRefused``, also when there are more than ``max_bytes``, and OSError."""
    data = _beginning(root, path, max_bytes + 1)
    if len(data) > max_bytes:
        raise FileRefused(f"{path} has more than {max_bytes} bytes")
    return data


def _beginning(root: Path, path: str, max_bytes: int) -> bytes:
    with _opened(root, path, os.O_RDONLY, make_folders=False) as file:
        data = bytearray()
        while len(data) < max_bytes and (piece := os.read(file, max_bytes - len(data))):
            data += piece
    return bytes(data)


def write(root: Path, path: str, content: str) -> int:
    """Writes a file, with the folders it needs, and returns its size in bytes. Raises ``FileRefused`` and OSError."""
    data = content.encode(errors="replace")
    if len(data) > MAX_WRITE_BYTES:
        raise FileRefused(f"{len(data)} bytes are more than the {MAX_WRITE_BYTES} that a file may have here")
    put(root, path, data)
    return len(data)


def edit(root: Path, path: str, old: str, new: str, *, everywhere: bool = False) -> int:
    """Replaces ``old``, which has to occur once unless it is meant ``everywhere``; returns how often it did. Raises ``FileRefused`` and OSError."""
    try:
        text = whole(root, path, max_bytes=MAX_WRITE_BYTES).decode()
    except UnicodeDecodeError as error:
        raise FileRefused(f"{path} is no text in UTF-8") from error
    count = text.count(old)
    if not count:
        raise FileRefused(f"{path} does not hold that text; read it again, and mind white space")
    if count > 1 and not everywhere:
        raise FileRefused(
            f"{path} holds that text {count} times; give more of what is around it, or replace it everywhere"
        )
    grown = len(text) + count * (len(new) - len(old))
    if grown > MAX_WRITE_BYTES:  # looked at before the text is made
        raise FileRefused(f"{path} would have {grown} characters; {MAX_WRITE_BYTES} bytes is the most")
    write(root, path, text.replace(old, new))
    return count


def listed(root: Path, *, most: int) -> list[tuple[str, int]]:
    """The files below ``root`` by path, with their sizes, without links; ``most`` of them, and one more if there are more.

    What lies deeper than ``MAX_DEPTH`` is left out; what is no UTF-8 in a name is replaced.
    """
    found: list[tuple[str, int]] = []
    for folder, folders, names, descriptor in os.fwalk(root, follow_symlinks=False):
        inside = Path(folder).relative_to(root)
        folders[:] = sorted(folders) if len(inside.parts) < MAX_DEPTH else []
        for name in sorted(names):
            with contextlib.suppress(OSError):  # it is gone
                info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_ISREG(info.st_mode):
                    found.append((os.fsencode(inside / name).decode(errors="replace"), info.st_size))
            if len(found) > most:
                return found
    return found


def size(root: Path, path: str) -> int:
    """How many bytes a file has. Raises ``FileRefused`` and OSError."""
    with _opened(root, path, os.O_RDONLY, make_folders=False) as file:
        return os.fstat(file).st_size


def put(root: Path, path: str, data: bytes, *, executable: bool = False) -> None:
    """Writes a file of any size, with the folders it needs. Raises ``FileRefused`` and OSError."""
    with _opened(root, path, os.O_WRONLY | os.O_CREAT, make_folders=True) as file:
        os.ftruncate(file, 0)
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        if executable:
            os.fchmod(file, 0o755)


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
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise FileRefused(f"{path} is no file")
        # A second name for somebody else's file, made where the kernel lets anybody do that.
        if found.st_nlink > 1 and found.st_uid != root.stat().st_uid:
            raise FileRefused(f"{path} is a file of another user that has several names")
        yield file


def _kept(stack: contextlib.ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _parts(path: str) -> tuple[str, ...]:
    # A shell in the sandbox sees the directory as /sandbox; a model that looked around may say so.
    inside = PurePosixPath(path.removeprefix("/sandbox/"))
    is_name = "\0" not in path and path == path.encode(errors="replace").decode()
    if inside.is_absolute() or ".." in inside.parts or not inside.parts or not is_name:
        raise FileRefused(f"{path!r} is not inside the session's directory; use a relative path")
    return inside.parts
