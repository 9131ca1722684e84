"""Taking a form with files: straight from the socket to where the files go, such as ``temporary`` files.

Litestar's form parsing keeps fields of any length in memory, and spools files to the system's temporary directory, from where they are lost
track of when the client goes away.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator
from email.message import Message
from typing import Generic, Literal, Protocol, TypeVar

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


class Sink(Protocol):
    """Where the bytes of a file go."""

    async def write(self, piece: bytes) -> None:
        """The next bytes."""

    async def complete(self) -> None:
        """Nothing more comes."""

    async def remove(self) -> None:
        """The form is over, or broke off, and with it what was kept for its time only."""


Kept = TypeVar("Kept", bound=Sink)


class FormFile(msgspec.Struct, Generic[Kept], frozen=True):
    """A file of the form: its part, and where its bytes went."""

    part: Part
    kept: Kept


class Form(msgspec.Struct, Generic[Kept], frozen=True):
    """Text fields and files, each in the order of the form."""

    fields: list[tuple[str, str]]
    files: list[FormFile[Kept]]


@contextlib.asynccontextmanager
async def received(
    body: AsyncIterable[bytes],
    content_type: str,
    into: Callable[[], Awaitable[Kept]],
    *,
    limit_bytes: int,
    kind_of: Callable[[Part], Kind] = kind_of,
) -> AsyncGenerator[Form[Kept], None]:
    """The form in ``body``; ``into`` says of each file where its bytes go, ``limit_bytes`` of all files together at most.

    What is there is removed when the context is left. ``kind_of`` says of each part, before its bytes come, what it is; what it raises ends the
    upload there. Raises ``BadForm``, ``FormTooLarge``, ``NoRoom``, and what ``into`` and the sinks raise.
    """
    kind, options = parse_options_header(content_type)
    if kind != MULTIPART or not options.get("boundary"):
        raise BadForm(f"send {MULTIPART}, with its boundary")
    taking = _Taking(into, limit_bytes, kind_of)
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
        await taking.remove()


class _Taking(Generic[Kept]):
    """The form as it comes in: files go to sinks, short fields stay here."""

    def __init__(self, into: Callable[[], Awaitable[Kept]], limit_bytes: int, kind_of: Callable[[Part], Kind]) -> None:
        self._into = into
        self._limit_bytes = limit_bytes
        self._kind_of = kind_of
        self._size_bytes = 0
        self._fields: list[tuple[str, bytearray]] = []
        self._files: list[FormFile[Kept]] = []
        self._kind: Kind = "text"
        self._field = ("", bytearray())

    async def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if isinstance(event, MultipartSegment):
            await self._begin(Part(event))
        elif event is None:
            if self._kind == "file":
                await self._files[-1].kept.complete()
        elif self._kind == "file":
            await self._write(bytes(event))
        else:
            self._add(bytes(event))

    async def _begin(self, part: Part) -> None:
        self._kind = self._kind_of(part)
        if self._kind == "file":
            self._files.append(FormFile(part, await self._into()))
        else:
            self._field = (part.field, bytearray())
            if self._kind == "text":
                self._fields.append(self._field)

    async def _write(self, piece: bytes) -> None:
        self._size_bytes += len(piece)
        if self._size_bytes > self._limit_bytes:
            raise FormTooLarge(self._limit_bytes)
        await self._files[-1].kept.write(piece)

    def _add(self, piece: bytes) -> None:
        name, value = self._field
        value += piece
        if len(value) > MAX_FIELD_BYTES:
            raise BadForm(f"the field {name[:60]!r} may have {MAX_FIELD_BYTES} bytes at most")

    def form(self) -> Form[Kept]:
        return Form([(name, _text(name, value)) for name, value in self._fields], self._files)

    async def remove(self) -> None:
        await asyncio.gather(*(one.kept.remove() for one in self._files))


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
