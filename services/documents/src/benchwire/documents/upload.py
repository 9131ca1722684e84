"""Taking an upload: a multipart form, straight from the socket to a temporary file, hashed on the way.

Litestar's own form parsing is not used: it keeps fields of any length in memory, and spools files to the system's temporary directory,
from where they are lost track of when the client goes away.
"""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from litestar.exceptions import InternalServerException
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from benchwire.documents.commands import Received
from benchwire.documents.errors import BadUpload, DiskFull, UploadTooLarge
from benchwire.documents.fields import MAX_METADATA_BYTES
from benchwire.documents.names import safe_content_type, safe_filename

FORM_OVERHEAD_BYTES = 256 * 1024  # what may stand around the file in a form: boundaries, headers, fields
_WRITE_BYTES = 1 << 20
_MAX_HEADER_BYTES = 32 * 1024  # a name of 4096 characters has up to 16 KiB
_MAX_SEGMENTS = 64
_FIELDS = frozenset({"tags", "metadata", "checksum", "expires_at"})
_DIGEST_HEADERS = ("Content-Digest", "Repr-Digest", "Digest")


async def cleared(incoming: Path) -> None:
    """Makes ``incoming``, and removes what uploads left in it that died with the process."""

    def clear() -> None:
        incoming.mkdir(parents=True, exist_ok=True)
        for leftover in incoming.iterdir():
            leftover.unlink()

    await asyncio.to_thread(clear)


@contextlib.asynccontextmanager
async def received(
    body: AsyncIterable[bytes], content_type: str, incoming: Path, *, limit_bytes: int, promised: Sequence[str] = ()
) -> AsyncGenerator[tuple[Received, Path], None]:
    """The upload in ``body`` and the file that holds its bytes for the time of the context; ``promised`` is what the call's headers say.

    Raises ``BadUpload``, ``UploadTooLarge`` and ``DiskFull``.
    """
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise BadUpload("send multipart/form-data with a part named 'file'")
    with in_words():
        sink = await asyncio.to_thread(_Sink, incoming, limit_bytes)
    try:
        with in_words():
            form = await _filled(_Form(sink, promised), body, options["boundary"])
        yield form.received(), sink.path
    finally:
        await asyncio.to_thread(sink.remove)


async def _filled(form: "_Form", body: AsyncIterable[bytes], boundary: str) -> "_Form":
    with PushMultipartParser(
        boundary, max_header_size=_MAX_HEADER_BYTES, max_segment_count=_MAX_SEGMENTS, strict=True
    ) as parser:
        async for chunk in body:
            # An empty chunk tells the parser that nothing follows, which an incomplete form must not survive.
            for event in parser.parse(chunk):
                await form.take(event)
            if parser.closed:
                break
    await form.sink.flushed()
    return form


class _Sink:
    """A temporary file that knows the digest of what was written to it."""

    def __init__(self, incoming: Path, limit_bytes: int) -> None:
        number, name = tempfile.mkstemp(dir=incoming, prefix="upload-")
        self.path = Path(name)
        self._file: BinaryIO = open(number, "wb", buffering=0)  # noqa: SIM115, PTH123 - closed by remove()
        self._limit_bytes = limit_bytes
        self._hashed = hashlib.sha256()
        self._buffer = bytearray()
        self.size_bytes = 0

    @property
    def digest(self) -> str:
        return self._hashed.hexdigest()

    async def write(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        if self.size_bytes > self._limit_bytes:
            raise UploadTooLarge(self._limit_bytes)
        self._buffer += piece
        if len(self._buffer) >= _WRITE_BYTES:
            await self.flushed()

    async def flushed(self) -> None:
        data, self._buffer = bytes(self._buffer), bytearray()
        if data:
            await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        self._hashed.update(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def remove(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class _Form:
    """The form as it comes in: the file goes to the sink, short fields stay here, others are passed over."""

    def __init__(self, sink: _Sink, promised: Sequence[str]) -> None:
        self.sink = sink
        self._promised = promised
        self._fields: dict[str, bytearray] = {}
        self._file: MultipartSegment | None = None
        self._filename = ""
        self._current: MultipartSegment | None = None

    async def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is not None and self._current is not None:
            await self._add(self._current, bytes(event))

    def _begin(self, segment: MultipartSegment) -> None:
        self._current = segment
        if segment.name == "file":
            if self._file is not None:
                raise BadUpload("send one file at a time")
            self._file = segment
            # Before the bytes: whoever forgot the name need not wait for them.
            self._filename = safe_filename(segment.filename or _extended_filename(segment) or "")
        elif segment.name in self._fields:
            self._fields[segment.name] += b","  # several 'tags' are one list; several 'metadata' will not parse
        elif segment.name in _FIELDS:
            self._fields[segment.name] = bytearray()

    async def _add(self, segment: MultipartSegment, piece: bytes) -> None:
        if segment is self._file:
            await self.sink.write(piece)
            return
        if (field := self._fields.get(segment.name)) is not None:
            field += piece
        if segment.bytes_received > MAX_METADATA_BYTES:
            raise BadUpload(f"the field {segment.name!r} may have {MAX_METADATA_BYTES} bytes at most")

    def received(self) -> Received:
        if self._file is None:
            raise BadUpload("the form has no part named 'file'")
        return Received(
            filename=self._filename,
            content_type=safe_content_type(self._file.header("Content-Type"), self._filename),
            size_bytes=self.sink.size_bytes,
            digest=self.sink.digest,
            tags=self._text("tags"),
            metadata=self._text("metadata"),
            expires_at=self._text("expires_at"),
            promised=tuple(
                filter(None, [self._text("checksum").strip(), *promised_in(self._file.header), *self._promised])
            ),
        )

    def _text(self, name: str) -> str:
        try:
            return self._fields.get(name, bytearray()).decode()
        except UnicodeDecodeError as error:
            raise BadUpload(f"the field {name!r} is not UTF-8") from error


def promised_in(header: Callable[[str], str | None]) -> list[str]:
    """What ``Content-Digest`` and its kin say, where ``header`` gives the value of one."""
    return [value for name in _DIGEST_HEADERS if (value := header(name))]


def _extended_filename(segment: MultipartSegment) -> str | None:
    """``filename*=UTF-8''…``: RFC 7578 forbids it in forms, and some clients send it all the same."""
    _, options = parse_options_header(segment.header("Content-Disposition", ""))
    charset, _, rest = options.get("filename*", "").partition("'")
    _, _, quoted = rest.partition("'")
    if charset.lower() != "utf-8":
        return None
    return unquote_to_bytes(quoted).decode(errors="replace")


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Says what goes wrong with a body that comes in, or with the disk it goes to, as ``BadUpload`` and ``DiskFull``."""
    try:
        yield
    except ParserLimitReached as error:
        raise BadUpload(f"the form is more than is taken: {error}") from error
    except MultipartError as error:
        raise BadUpload(f"the form cannot be read: {error}") from error
    except InternalServerException as error:  # Litestar's word for a client that went away
        raise BadUpload("the upload broke off") from error
    except OSError as error:
        raise DiskFull(error.strerror or str(error)) from error
