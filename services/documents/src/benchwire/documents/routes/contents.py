"""The bytes of documents, and of whatever else is in the store."""

from http import HTTPStatus
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from benchwire.documents import answers
from benchwire.documents.answers import HttpRequest
from benchwire.documents.fields import checked_digest
from benchwire.documents.names import BYTES
from benchwire.documents.store import Store
from benchwire.web.described import described

_BYTES = {"type": "string", "format": "binary"}


@get("/documents/{document_id:str}", opt=described(answers=_BYTES, sends="*/*", refuses=(416,)))
async def read_document(
    document_id: FromPath[str],
    request: HttpRequest,
    store: NamedDependency[Store],
    offset: FromQuery[int | None] = None,
    limit: FromQuery[int | None] = None,
) -> Response[Any]:
    """The bytes of a document; of a text, ``offset`` and ``limit`` name a part in characters."""
    content = answers.Content.of(await store.document(document_id))
    if offset is None and limit is None:
        return _counted(store, await answers.whole(store.source, content, request))
    return _counted(store, await answers.window(store.source, content, offset or 0, limit))


@get("/artifacts/{digest:str}", opt=described(answers=_BYTES, sends="application/octet-stream", refuses=(416,)))
async def read_artifact(digest: FromPath[str], request: HttpRequest, store: NamedDependency[Store]) -> Response[Any]:
    """The bytes with this SHA-256, whoever put them into the store: firmware images as well as documents."""
    digest = checked_digest(digest)
    size = await store.blobs.size_of(digest)
    content = answers.Content(digest=digest, size_bytes=size, content_type=BYTES, filename=f"{digest}.bin")
    return _counted(store, await answers.whole(store.source, content, request))


def _counted(store: Store, answer: Response[Any]) -> Response[Any]:
    if answer.status_code in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        store.metrics.downloaded()
    return answer


ROUTES = [read_document, read_artifact]
