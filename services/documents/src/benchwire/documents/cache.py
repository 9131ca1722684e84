"""Bytes that were downloaded, kept on this machine's disk: bounded, the least recently used go first.

A file per digest. It is only ever seen whole (it is renamed into place), and read through an open file, which outlives its removal. Each
is checked once per process, before its first use: what lay on a disk for long may have changed. Nothing here fails a download: a disk that
is full or broken turns the cache off for a while, and the bytes come from the store.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)

OFF_S = 60.0
_READ_BYTES = 1 << 20
_WRITE_BYTES = 1 << 20
_FILLING = ".filling-"


class Cache:
    """Files in ``directory``, ``limit_bytes`` of them; 0 keeps nothing. ``clock`` counts seconds."""

    def __init__(self, directory: Path, limit_bytes: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._sizes: OrderedDict[str, int] = OrderedDict()  # the least recently used first
        self._checked: set[str] = set()
        self._filling: dict[str, int] = {}
        self._off_until = float("-inf")

    @property
    def size_bytes(self) -> int:
        """What is kept, and what is on its way in."""
        return sum(self._sizes.values()) + sum(self._filling.values())

    @property
    def is_on(self) -> bool:
        """Whether something can be added at this moment."""
        return self._limit_bytes > 0 and self._clock() >= self._off_until

    async def load(self) -> None:
        """Takes stock of what an earlier process left; to be called once, before anything else."""
        try:
            self._sizes = await asyncio.to_thread(self._found)
            await self._make_room()
        except OSError as error:
            self._turn_off(error)

    def _found(self) -> OrderedDict[str, int]:
        self._directory.mkdir(parents=True, exist_ok=True)
        files: list[tuple[float, str, int]] = []
        for path in self._directory.iterdir():
            if path.name.startswith(_FILLING):
                path.unlink(missing_ok=True)
            else:
                stat = path.stat()
                files.append((stat.st_mtime, path.name, stat.st_size))
        return OrderedDict((name, size) for _, name, size in sorted(files))

    async def opened(self, digest: str) -> BinaryIO | None:
        """The bytes with this digest, checked; None when they are not here, or not what they were. To be closed by the caller."""
        if digest not in self._sizes:
            return None
        try:
            file = await asyncio.to_thread(self._open, digest, check=digest not in self._checked)
        except OSError as error:
            log.warning("%s cannot be read from the cache: %s", digest, error)
            file = None
        if file is None:
            await self.drop(digest)
            return None
        self._checked.add(digest)
        with contextlib.suppress(KeyError):  # dropped meanwhile
            self._sizes.move_to_end(digest)
        return file

    def _open(self, digest: str, *, check: bool) -> BinaryIO | None:
        path = self._directory / digest
        file = path.open("rb")
        try:
            if check:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    log.warning("%s is damaged in the cache, and fetched again", digest)
                    file.close()
                    return None
                file.seek(0)
            os.utime(path)  # so that the next process knows what was used last
        except BaseException:
            file.close()
            raise
        return file

    async def drop(self, digest: str) -> None:
        """Lets go of these bytes."""
        self._checked.discard(digest)
        if self._sizes.pop(digest, None) is not None:
            with contextlib.suppress(OSError):
                await asyncio.to_thread((self._directory / digest).unlink, missing_ok=True)

    async def filling(self, digest: str, size_bytes: int) -> "Filling | None":
        """Takes in bytes while they are read from the store; None when they are here, on their way in, too many, or the cache is off."""
        if not self.is_on or digest in self._sizes or digest in self._filling or size_bytes > self._limit_bytes:
            return None
        self._filling[digest] = size_bytes
        try:
            await self._make_room()
            path, file = await asyncio.to_thread(self._draft)
        except OSError as error:
            del self._filling[digest]
            self._turn_off(error)
            return None
        except BaseException:
            del self._filling[digest]
            raise
        return Filling(self, digest, path, file)

    def _draft(self) -> tuple[Path, BinaryIO]:
        number, name = tempfile.mkstemp(dir=self._directory, prefix=_FILLING)
        return Path(name), open(number, "wb", buffering=0)  # noqa: PTH123 - closed by Filling

    async def _make_room(self) -> None:
        while self._sizes and self.size_bytes > self._limit_bytes:
            await self.drop(next(iter(self._sizes)))

    async def _end(self, filling: "Filling", *, complete: bool, error: OSError | None) -> None:
        """Takes in what is complete; whatever happens, the file under its draft's name is gone."""
        size_bytes = self._filling.pop(filling.digest)
        try:
            if complete:
                await asyncio.to_thread(filling.path.replace, self._directory / filling.digest)
                self._sizes[filling.digest] = size_bytes
                self._checked.add(filling.digest)
                await self._make_room()
            else:
                await asyncio.to_thread(filling.path.unlink, missing_ok=True)
        except OSError as trouble:
            error = trouble
        if error is not None:
            self._turn_off(error)

    def _turn_off(self, error: OSError) -> None:
        log.warning("the cache in %s is off for %.0f s: %s", self._directory, OFF_S, error.strerror or error)
        self._off_until = self._clock() + OFF_S


class Filling:
    """A file of the cache while it comes in. Disk troubles stay in here; ``end`` tells the cache of them."""

    def __init__(self, cache: Cache, digest: str, path: Path, file: BinaryIO) -> None:
        self.digest = digest
        self.path = path
        self._cache = cache
        self._file = file
        self._buffer = bytearray()
        self._error: OSError | None = None

    async def add(self, piece: bytes) -> None:
        """The next bytes."""
        if self._error is None:
            self._buffer += piece
            if len(self._buffer) >= _WRITE_BYTES:
                await self._flush()

    async def _flush(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        try:
            await asyncio.to_thread(self._write, data)
        except OSError as error:
            self._error = error

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    async def end(self, *, complete: bool) -> None:
        """Keeps the file if it is ``complete``, and was found to be what its digest says; else removes it."""
        # Shielded: whoever reads may be leaving, and the file has to be put in its place, or away, all the same.
        await asyncio.shield(self._end(complete=complete))

    async def _end(self, *, complete: bool) -> None:
        if complete and self._error is None:
            await self._flush()
        self._file.close()
        await self._cache._end(self, complete=complete and self._error is None, error=self._error)  # noqa: SLF001 - its other half
