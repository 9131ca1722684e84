"""Answers that carry bytes: whole, in part, or not at all because the client has them."""

from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.response import Stream

from benchwire.documents import blobs, parts
from benchwire.documents.blobs import Source
from benchwire.documents.document import Document
from benchwire.documents.errors import BadQuery, NotText, RangeNotSatisfiable
from benchwire.documents.names import charset_of, disposition
from benchwire.web.errors import Problem

HttpRequest = Request[None, None, State]

# What somebody uploaded must never act as a page of this site: no guessing of types, no scripts, nothing loaded.
_HARMLESS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-cache",
    # Dashboards of other origins show documents as images; whoever can name one was told its id.
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes in the store, and how they are called."""

    digest: str
    size_bytes: int
    content_type: str
    filename: str

    @classmethod
    def of(cls, document: Document) -> "Content":
        """The content of a document."""
        return cls(
            digest=document.digest, size_bytes=document.size_bytes, content_type=document.content_type, filename=document.filename
        )  # fmt: skip


async def whole(source: Source, content: Content, request: HttpRequest) -> Response[Any]:
    """All of it or the range that is asked for; 304 when the client has it. Raises ``BlobMissing`` and ``LogUnavailable``."""
    etag = parts.etag_of(content.digest)
    headers = {
        **_HARMLESS,
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition(content.filename),
    }
    asked = request.headers
    if parts.has_already(asked.get("if-none-match"), etag):
        return Response(None, status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    size = content.size_bytes
    try:
        span = parts.wanted_range(asked.get("range"), asked.get("if-range"), etag=etag, size_bytes=size)
    except RangeNotSatisfiable as error:
        return _not_satisfiable(error)
    if span is None:
        return await _streamed(source.pieces(content.digest, size), content.content_type, headers, size)
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    some = source.pieces(content.digest, size, span.start, span.stop)
    return await _streamed(some, content.content_type, headers, span.stop - span.start, HTTPStatus.PARTIAL_CONTENT)


async def window(source: Source, content: Content, offset: int, limit: int | None) -> Response[Any]:
    """A part of a text, in characters; always in UTF-8. Raises ``BadQuery``, ``NotText``, ``BlobMissing`` and ``LogUnavailable``."""
    if offset < 0 or (limit is not None and limit < 0):
        raise BadQuery("offset and limit count characters: they cannot be negative")
    charset = charset_of(content.content_type)
    if charset is None:
        raise NotText(content.content_type)
    # Read twice rather than kept: the headers tell where the part lies before the first byte of it is sent.
    found = await parts.measured(source.pieces(content.digest, content.size_bytes), charset, offset, limit)
    kind = content.content_type.partition(";")[0].strip()
    headers = {
        **_HARMLESS,
        "X-Total-Chars": str(found.total_chars),
        "X-Char-Range": f"{found.span.start}-{found.span.stop}",
        "Content-Disposition": disposition(content.filename),
    }
    some = parts.cut(source.pieces(content.digest, content.size_bytes), charset, found.span)
    return await _streamed(some, f"{kind}; charset=utf-8", headers, found.size_bytes, HTTPStatus.PARTIAL_CONTENT)


async def _streamed(
    pieces: AsyncGenerator[bytes, None],
    content_type: str,
    headers: dict[str, str],
    size_bytes: int,
    status: HTTPStatus = HTTPStatus.OK,
) -> Response[Any]:
    body = await blobs.opened(pieces)
    return Stream(
        body,
        status_code=status,
        # Said as it is: from a media type, Litestar would make one with a charset of its own.
        headers={**headers, "Content-Type": content_type, "Content-Length": str(size_bytes)},
        # Also when the client went away in the middle, or wanted the head only.
        background=BackgroundTask(body.aclose),
    )


def _not_satisfiable(error: RangeNotSatisfiable) -> Response[Any]:
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    return Response(
        Problem(detail=str(error), status_code=status),
        status_code=status,
        headers={"Content-Range": f"bytes */{error.size_bytes}", "Accept-Ranges": "bytes"},
        media_type="application/json",
    )
