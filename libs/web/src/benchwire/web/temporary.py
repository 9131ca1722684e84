"""Temporary files of one's own, which know the digest of what was written to them: where the files of a form can go (see ``forms``)."""

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

_WRITE_BYTES = 1 << 20


async def cleared(incoming: Path) -> None:
    """Makes ``incoming``, and removes what forms left in it that died with the process."""

    def clear() -> None:
        incoming.mkdir(parents=True, exist_ok=True)
        for leftover in incoming.iterdir():
            leftover.unlink()

    await asyncio.to_thread(clear)


class TemporaryFile:
    """A file at ``path`` that knows the SHA-256, in hex, of what was written to it."""

    def __init__(self, incoming: Path) -> None:
        number, name = tempfile.mkstemp(dir=incoming, prefix="upload-")
        self.path = Path(name)
        self._file: BinaryIO = open(number, "wb", buffering=0)  # noqa: SIM115, PTH123 - closed by close()
        self._hashed = hashlib.sha256()
        self._buffer = bytearray()
        self.size_bytes = 0

    @property
    def digest(self) -> str:
        """Of what is in the file."""
        return self._hashed.hexdigest()

    async def write(self, piece: bytes) -> None:
        """The next bytes. Raises ``OSError``."""
        self.size_bytes += len(piece)
        self._buffer += piece
        if len(self._buffer) >= _WRITE_BYTES:
            await self._flush()

    async def complete(self) -> None:
        """Nothing more comes. Raises ``OSError``."""
        await self._flush()

    async def _flush(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        if data:
            await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        self._hashed.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    async def remove(self) -> None:
        """Removes the file."""
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


def files_in(incoming: Path) -> Callable[[], Awaitable[TemporaryFile]]:
    """Has files of a form kept in ``incoming`` for as long as the form is open."""

    async def file() -> TemporaryFile:
        return await asyncio.to_thread(TemporaryFile, incoming)

    return file
