"""Taking a form with files: straight from the socket to temporary files of one's own, hashed on the way.

Litestar's form parsing keeps fields of any length in memory, and spools files to the system's temporary directory, from where they are lost
track of when the client goes away.
"""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
from litestar.exceptions import InternalServerException
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

MULTIPART = "multipart/form-data"
OVERHEAD_BYTES = 256 << 10  # what may stand around the files: boundaries, headers, fields
MAX_FIELD_BYTES = 64 << 10
_MAX_HEADER_BYTES = 32 << 10  # a file's name of 4096 characters has up to 16 KiB
_MAX_SEGMENTS = 128
_WRITE_BYTES = 1 << 20
HELD_BYTES = 2 * _WRITE_BYTES  # of a form's files: what is gathered, and what is being written


class BadForm(ValueError):
    """The form cannot be taken; the sentence says why."""


class FormTooLarge(ValueError):
    """Its files are more than is taken."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the files of the form are larger than the {limit_bytes} bytes that are taken")


class NoRoom(OSError):
    """The disk does not take what comes in."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"what came in cannot be kept: {problem}")


class Part:
    """A part of the form, before its bytes: the name of its field, and that of its file, if it is one."""

    def __init__(self, segment: MultipartSegment) -> None:
        self.field: str = segment.name
        self.header: Callable[[str], str | None] = segment.header
        self.filename: str = segment.filename or _extended_filename(segment)


Kind = Literal["file", "text", "passed over"]


def kind_of(part: Part) -> Kind:
    """What has the name of a file is one; all else is text."""
    return "file" if part.filename else "text"


class FormFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the form: its part, where its bytes are while the form is open, and their SHA-256 in hex."""

    part: Part
    path: Path
    digest: str
    size_bytes: int


class Form(msgspec.Struct, frozen=True):
    """Text fields and files, each in the order of the form."""

    fields: list[tuple[str, str]]
    files: list[FormFile]


async def cleared(incoming: Path) -> None:
    """Makes ``incoming``, and removes what forms left in it that died with the process."""

    def clear() -> None:
        incoming.mkdir(parents=True, exist_ok=True)
        for leftover in incoming.iterdir():
            leftover.unlink()

    await asyncio.to_thread(clear)


@contextlib.asynccontextmanager
async def received(
    body: AsyncIterable[bytes],
    content_type: str,
    incoming: Path,
    *,
    limit_bytes: int,
    kind_of: Callable[[Part], Kind] = kind_of,
) -> AsyncGenerator[Form, None]:
    """The form in ``body``; its files are in ``incoming`` for the time of the context, ``limit_bytes`` of them at most.

    ``kind_of`` says of each part, before its bytes come, what it is; what it raises ends the upload there. Raises ``BadForm``,
    ``FormTooLarge`` and ``NoRoom``.
    """
    kind, options = parse_options_header(content_type)
    if kind != MULTIPART or not options.get("boundary"):
        raise BadForm(f"send {MULTIPART}, with its boundary")
    taking = _Taking(incoming, limit_bytes, kind_of)
    try:
        with in_words():
            with PushMultipartParser(
                options["boundary"], max_header_size=_MAX_HEADER_BYTES, max_segment_count=_MAX_SEGMENTS, strict=True
            ) as parser:
                async for chunk in body:
                    # An empty chunk tells the parser that nothing follows, which an incomplete form must not survive.
                    for event in parser.parse(chunk):
                        await taking.take(event)
                    if parser.closed:
                        break
            form = taking.form()
        yield form
    finally:
        await asyncio.to_thread(taking.remove)


class _Sink:
    """A temporary file that knows the digest of what was written to it."""

    def __init__(self, incoming: Path) -> None:
        number, name = tempfile.mkstemp(dir=incoming, prefix="upload-")
        self.path = Path(name)
        self._file: BinaryIO = open(number, "wb", buffering=0)  # noqa: SIM115, PTH123 - closed by close()
        self._hashed = hashlib.sha256()
        self._buffer = bytearray()
        self.size_bytes = 0

    @property
    def digest(self) -> str:
        return self._hashed.hexdigest()

    async def write(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
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


class _Taking:
    """The form as it comes in: files go to sinks, short fields stay here."""

    def __init__(self, incoming: Path, limit_bytes: int, kind_of: Callable[[Part], Kind]) -> None:
        self._incoming = incoming
        self._limit_bytes = limit_bytes
        self._kind_of = kind_of
        self._size_bytes = 0
        self._fields: list[tuple[str, bytearray]] = []
        self._files: list[tuple[Part, _Sink]] = []
        self._kind: Kind = "text"
        self._field = ("", bytearray())

    async def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            await self._begin(Part(event))
        elif event is None:
            if self._kind == "file":
                await self._files[-1][1].flushed()
        elif self._kind == "file":
            await self._write(bytes(event))
        else:
            self._add(bytes(event))

    async def _begin(self, part: Part) -> None:
        self._kind = self._kind_of(part)
        if self._kind == "file":
            self._files.append((part, await asyncio.to_thread(_Sink, self._incoming)))
        else:
            self._field = (part.field, bytearray())
            if self._kind == "text":
                self._fields.append(self._field)

    async def _write(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes > self._limit_bytes:
            raise FormTooLarge(self._limit_bytes)
        await self._files[-1][1].write(piece)

    def _add(self, piece: bytes) -> None:
        name, value = self._field
        value += piece
        if len(value) > MAX_FIELD_BYTES:
            raise BadForm(f"the field {name[:60]!r} may have {MAX_FIELD_BYTES} bytes at most")

    def form(self) -> Form:
        files = [
            FormFile(part=part, path=sink.path, digest=sink.digest, size_bytes=sink.size_bytes)
            for part, sink in self._files
        ]
        return Form([(name, _text(name, value)) for name, value in self._fields], files)

    def remove(self) -> None:
        for _, sink in self._files:
            sink.remove()


def _text(name: str, value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadForm(f"the field {name[:60]!r} is not UTF-8") from None


def _extended_filename(segment: MultipartSegment) -> str:
    """``filename*=UTF-8''…``: RFC 7578 forbids it in forms, and some clients send it all the same; the parser passes it over."""
    read = Message()
    read["Content-Disposition"] = segment.header("Content-Disposition", "")
    return read.get_filename("")


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Says what goes wrong with a body that comes in, or with the disk it goes to, as ``BadForm`` and ``NoRoom``."""
    try:
        yield
    except ParserLimitReached as error:
        raise BadForm(f"the form is more than is taken: {error}") from error
    except MultipartError as error:
        raise BadForm(f"the form cannot be read: {error}") from error
    except InternalServerException as error:  # Litestar's word for a client that went away
        raise BadForm("the upload broke off") from error
    except NoRoom:
        raise
    except OSError as error:
        raise NoRoom(error.strerror or str(error)) from error
