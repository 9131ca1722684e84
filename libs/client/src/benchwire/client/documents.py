"""The document store as a client sees it. Bytes go through in pieces, and are hashed on the way."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx

from benchwire.client.errors import Damaged, NoLab, Refused
from benchwire.client.http import connections, refusal

DEFAULT_URL = "http://127.0.0.1:8766"

_TRIES = 5
_AGAIN_S = 1.0
_PIECE_BYTES = 1 << 18

OnBytes = Callable[[int], None]


class _Reader:
    """What httpx reads a file through: it cannot ask for the size of a pipe, and each piece is hashed and told of."""

    def __init__(self, file: BinaryIO, on_bytes: OnBytes) -> None:
        self._file = file
        self._on_bytes = on_bytes
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._file.read(size)
        self.digest.update(piece)
        self._on_bytes(len(piece))
        return piece


class Documents:
    """The store at ``url`` (``BENCHWIRE_DOCUMENTS_URL``, else this machine's), with the token in ``BENCHWIRE_TOKEN``."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.url = (url or os.environ.get("BENCHWIRE_DOCUMENTS_URL") or DEFAULT_URL).rstrip("/")
        self._http = connections(os.environ.get("BENCHWIRE_TOKEN", "") if token is None else token)

    def __enter__(self) -> "Documents":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def push(
        self, file: BinaryIO, name: str, fields: Mapping[str, str], on_bytes: OnBytes = lambda _: None
    ) -> dict[str, Any]:
        """Sends ``file`` as a document. Raises ``NoLab``, ``Refused``, and ``Damaged`` when the store has other bytes than were read here."""
        reader = _Reader(file, on_bytes)
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        with self._reaching():
            # Without a content type: the store knows more of them than this machine may.
            files: Any = {"file": (name, reader, "")}
            answer = self._http.post(f"{self.url}/documents", files=files, data=dict(fields), headers=headers)
        made = self._object(answer)
        if made["checksum"] != reader.digest.hexdigest():
            raise Damaged(
                f"{name} was damaged on its way: {made['id']} has {made['checksum']}, read was {reader.digest.hexdigest()}"
            )
        return made

    def pieces(self, document: Mapping[str, Any], start: int = 0) -> Generator[bytes, None, None]:
        """The bytes of a document from ``start`` on; when the connection breaks, it goes on where it was. Raises ``NoLab`` and ``Refused``."""
        at, failed = start, 0
        while at < document["size_bytes"]:
            before = at
            try:
                for piece in self._from(document, at):
                    at += len(piece)
                    yield piece
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
            else:
                reason = "it sent less than there is"
            failed = failed + 1 if at == before else 0
            if failed >= _TRIES:
                raise NoLab(f"{self.url} broke off after {at} of {document['size_bytes']} bytes: {reason}")
            if failed:
                time.sleep(_AGAIN_S)

    def _from(self, document: Mapping[str, Any], at: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={at}-", "If-Range": f'"{document["checksum"]}"', "Accept-Encoding": "identity"}
        address = f"{self.url}/documents/{document['id']}"
        with self._http.stream("GET", address, headers=headers if at else {"Accept-Encoding": "identity"}) as answer:
            if not answer.is_success:
                answer.read()
                self._object(answer)
            if at and answer.status_code != httpx.codes.PARTIAL_CONTENT:
                raise Refused(answer.status_code, "the store does not send parts; pull it into another file")
            yield from answer.iter_bytes(_PIECE_BYTES)

    def text(self, document_id: str, offset: int | None, limit: int | None) -> Generator[bytes, None, None]:
        """A part of a text, in characters, as UTF-8. Raises ``NoLab`` and ``Refused``."""
        query = {name: value for name, value in (("offset", offset), ("limit", limit)) if value is not None}
        with self._reaching(), self._http.stream("GET", f"{self.url}{_path(document_id)}", params=query) as answer:
            if not answer.is_success:
                answer.read()
                self._object(answer)
            yield from answer.iter_bytes(_PIECE_BYTES)

    def part(self, document_id: str, offset: int, limit: int) -> tuple[str, int]:
        """``limit`` characters of a text from ``offset`` on, and how many it has in all. Raises ``NoLab`` and ``Refused``."""
        with self._reaching():
            answer = self._http.get(f"{self.url}{_path(document_id)}", params={"offset": offset, "limit": limit})
        if not answer.is_success:
            raise self._refusal(answer)
        text = answer.content.decode(errors="replace")
        return text, int(answer.headers.get("x-total-chars", offset + len(text)))

    def found(self, query: Mapping[str, str]) -> tuple[list[dict[str, Any]], int]:
        """Documents, and how many there are in all; ``query`` as in ``GET /documents``. Raises ``NoLab`` and ``Refused``."""
        with self._reaching():
            answer = self._http.get(f"{self.url}/documents", params=dict(query))
        listed: Any = self._json(answer)
        return listed, int(answer.headers.get("x-total-count", len(listed)))

    def one(self, document_id: str) -> tuple[dict[str, Any], str]:
        """A document, and its version as an entity tag. Raises ``NoLab`` and ``Refused``."""
        with self._reaching():
            answer = self._http.get(f"{self.url}{_path(document_id)}/metadata")
        return self._object(answer), answer.headers.get("etag", "*")

    def change(self, document_id: str, change: Mapping[str, Any], if_match: str) -> dict[str, Any]:
        """Changes a document that is still as ``if_match`` says. Raises ``NoLab`` and ``Refused`` (412 when it is not)."""
        with self._reaching():
            answer = self._http.patch(
                f"{self.url}{_path(document_id)}", json=dict(change), headers={"If-Match": if_match}
            )
        return self._object(answer)

    def remove(self, document_id: str) -> None:
        """Deletes a document. Raises ``NoLab`` and ``Refused``."""
        with self._reaching():
            self._object(self._http.delete(f"{self.url}{_path(document_id)}"))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            raise NoLab(f"the document store at {self.url} does not answer, or broke off: {why}") from error

    def _object(self, answer: httpx.Response) -> dict[str, Any]:
        found: Any = self._json(answer)
        if not isinstance(found, dict):
            raise self._refusal(answer)
        return found

    def _json(self, answer: httpx.Response) -> Any:
        try:
            found = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            found = None
        if answer.is_success and found is not None:
            return found
        raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> NoLab | Refused:
        return refusal(answer, self.url, "document store")


def _path(document_id: str) -> str:
    return f"/documents/{quote(document_id, safe='')}"
