"""The file: a tar with the snapshots, the records that came late, and a manifest that says what each must be.

It is written to a draft beside it, and has its name only when it is whole and on the disk. ``tar`` lists and unpacks it, and `sha256sum -c`
checks its manifest; but that is not needed.
"""

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from benchwire.deploy.backup.errors import NotDone
from benchwire.deploy.backup.protocol import CHUNK_BYTES, Head
from benchwire.deploy.backup.queues import Queue
from benchwire.events.streams import Origin

FORMAT = 1
RECORDS = "late-records"
_MANIFEST = "manifest.json"
_SUM = f"{_MANIFEST}.sha256"
_BLOCK = tarfile.BLOCKSIZE
_OWNER_ONLY = 0o600


class Member(msgspec.Struct, frozen=True):
    """Bytes in the file: their name in the tar, how many they are, and their SHA-256."""

    name: str
    size_bytes: int
    sha256: str


class Stream(msgspec.Struct, frozen=True):
    """A stream's snapshot."""

    head: Head
    member: Member


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, when it was made, of which lab (its NATS server or cluster), and by what.

    ``origin`` is which log it is; of one that ``lost_its_beginning`` to a limit, projections start from their ``snapshots``.
    """

    format: int = FORMAT
    made_at: datetime
    lab: str
    benchwire: str
    nats_server: str
    origin: Origin
    lost_its_beginning: bool
    log: Stream
    artifacts: Stream
    snapshots: Stream | None = None
    late_records: Member
    queues: list[Queue]

    @property
    def streams(self) -> list[Stream]:
        """The streams, in the order in which they are restored: the log first."""
        return [one for one in (self.log, self.snapshots, self.artifacts) if one is not None]

    @property
    def members(self) -> list[Member]:
        """Everything that has to be in the file."""
        return [*(one.member for one in self.streams), self.late_records]


class Draft:
    """A backup being written. Blocks; made by ``drafted``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._name = ""
        self._header_at = 0
        self._size = 0
        self._sum = hashlib.sha256()

    def begin(self, name: str) -> None:
        """What is written from now on belongs to ``name``."""
        self._name, self._header_at, self._size, self._sum = name, self._file.tell(), 0, hashlib.sha256()
        self._file.write(bytes(_BLOCK))  # its header, as soon as its size is known

    def write(self, data: bytes) -> None:
        """More of it."""
        self._file.write(data)
        self._sum.update(data)
        self._size += len(data)

    def end(self) -> Member:
        """It is whole."""
        self._file.write(bytes(-self._size % _BLOCK))
        after = self._file.tell()
        info = tarfile.TarInfo(self._name)
        info.size, info.mode = self._size, _OWNER_ONLY
        self._file.seek(self._header_at)
        self._file.write(info.tobuf(tarfile.GNU_FORMAT))
        self._file.seek(after)
        return Member(self._name, self._size, self._sum.hexdigest())

    def finish(self, manifest: Manifest) -> None:
        """The manifest, with its sum, and the end of the tar; all of it is on the disk then."""
        body = msgspec.json.format(msgspec.json.encode(manifest))
        for name, data in ((_MANIFEST, body), (_SUM, f"{hashlib.sha256(body).hexdigest()}  {_MANIFEST}\n".encode())):
            self.begin(name)
            self.write(data)
            self.end()
        self._file.write(bytes(2 * _BLOCK))
        self._file.flush()
        os.fsync(self._file.fileno())


@contextlib.contextmanager
def drafted(path: Path) -> Iterator[Draft]:
    """A draft beside ``path``, which becomes ``path`` when the context ends well, and is gone otherwise. Raises ``NotDone``."""
    if path.exists():
        raise NotDone(f"{path} is there already; a backup is never written over")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ONLY), "w+b") as file:  # noqa: PTH123 - for the mode
            yield Draft(file)
        if path.exists():
            raise NotDone(f"{path} has come to be meanwhile; a backup is never written over")
        draft.replace(path)
    except (TimeoutError, ConnectionError):  # of the network, though OSErrors too
        raise
    except OSError as error:
        raise NotDone(f"{path} cannot be written: {error.strerror or error}; nothing of it is left") from error
    finally:
        draft.unlink(missing_ok=True)


class Backup:
    """A backup that is there; ``manifest`` is what it says of itself. Blocks; made by ``opened``."""

    def __init__(self, path: Path, file: BinaryIO, places: dict[str, tuple[int, int]], manifest: Manifest) -> None:
        self._path = path
        self._file = file
        self._places = places
        self.manifest = manifest

    def pieces(self, member: Member) -> Iterator[bytes]:
        """The bytes of ``member``."""
        at, left = self._places[member.name]
        while left:
            self._file.seek(at)
            piece = self._file.read(min(CHUNK_BYTES, left))
            if not piece:
                raise NotDone(f"{self._path} ends in the middle")
            at, left = at + len(piece), left - len(piece)
            yield piece

    def checked(self, member: Member) -> Iterator[int]:
        """Reads all of ``member`` and says how much, piece by piece. Raises ``NotDone`` when it is not what the manifest says."""
        hashed = hashlib.sha256()
        for piece in self.pieces(member):
            hashed.update(piece)
            yield len(piece)
        if hashed.hexdigest() != member.sha256:
            raise NotDone(f"{self._path} is damaged: {member.name} is not what was backed up")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Backup]:
    """The backup at ``path``, for as long as the context lasts. Raises ``NotDone`` when that is none, or not a whole one."""
    with path.open("rb") as file:
        yield Backup(path, file, *_listed(path, file))


def _listed(path: Path, file: BinaryIO) -> tuple[dict[str, tuple[int, int]], Manifest]:
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            places = {one.name: (one.offset_data, one.size) for one in tar.getmembers() if one.isreg()}
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise NotDone(f"{path} is not a whole backup: {error}") from error
    if _MANIFEST not in places or _SUM not in places:
        raise NotDone(f"{path} is not a whole backup: it has no manifest")
    body, said = (_read(file, *places[name]) for name in (_MANIFEST, _SUM))
    if not said.startswith(hashlib.sha256(body).hexdigest().encode()):
        raise NotDone(f"{path} is damaged: its manifest is not what was written")
    manifest = _understood(path, body)
    for member in manifest.members:
        if member.name not in places or places[member.name][1] != member.size_bytes:
            raise NotDone(f"{path} is damaged: {member.name} is not all there")
    return places, manifest


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


class _Versioned(msgspec.Struct):
    format: int


def _understood(path: Path, body: bytes) -> Manifest:
    try:
        if (found := msgspec.json.decode(body, type=_Versioned).format) != FORMAT:
            raise NotDone(f"{path} is a backup of format {found}; this version reads format {FORMAT}")
        return msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise NotDone(f"{path} is not a backup of a lab: {error}") from error
