"""Fetching a document into a file or a stream, and checking what arrived."""

import fcntl
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from benchwire.client.documents import Documents, OnBytes
from benchwire.client.errors import Damaged

_READ_BYTES = 1 << 20
_MAX_NAME_BYTES = 200


def target(output: str | None, document: Mapping[str, Any]) -> Path:
    """Where the document goes: into the file or directory ``output``, or under its own name into this directory."""
    own = Path(document["filename"]).name.encode()[-_MAX_NAME_BYTES:].decode(errors="ignore")
    path = Path(output) if output else Path()
    return path / own if path.is_dir() else path


def to_stream(store: Documents, document: Mapping[str, Any], out: BinaryIO, on_bytes: OnBytes) -> None:
    """Writes the bytes to ``out``. Raises ``NoLab``, ``Refused`` and ``Damaged``."""
    hashed = hashlib.sha256()
    for piece in store.pieces(document):
        hashed.update(piece)
        out.write(piece)
        on_bytes(len(piece))
    out.flush()
    _check(document, hashed.hexdigest())


def to_file(store: Documents, document: Mapping[str, Any], path: Path, on_bytes: OnBytes) -> None:
    """Writes the bytes to ``path``, which is there only when it is whole.

    A draft beside it keeps what has arrived, and the next try goes on from there. Raises ``NoLab``, ``Refused``, ``Damaged``, and
    ``ValueError`` when somebody else is writing that draft.
    """
    draft = path.with_name(f".{document['checksum'][:16]}.part")
    hashed = hashlib.sha256()
    with draft.open("ab+") as file:
        _claim(file)
        file.seek(0)
        while known := file.read(_READ_BYTES):
            hashed.update(known)
            on_bytes(len(known))
        for piece in store.pieces(document, file.tell()):
            hashed.update(piece)
            file.write(piece)
            on_bytes(len(piece))
    try:
        _check(document, hashed.hexdigest())
    except Damaged:
        draft.unlink(missing_ok=True)  # or every other try would end here too
        raise
    draft.replace(path)


def _claim(draft: BinaryIO) -> None:
    try:
        fcntl.flock(draft, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError("the same bytes are being pulled into this directory already") from None


def _check(document: Mapping[str, Any], actual: str) -> None:
    if actual != document["checksum"]:
        raise Damaged(
            f"{document['id']} was damaged on its way: its SHA-256 is {document['checksum']}, arrived is {actual}"
        )
