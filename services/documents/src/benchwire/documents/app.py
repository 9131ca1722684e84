"""The routes of the document store."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Litestar, Request, Response, delete, get, patch, post, websocket
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from benchwire.documents import answers, commands, errors, queries, upload, wire
from benchwire.documents.live import Live, Socket
from benchwire.documents.names import BYTES
from benchwire.documents.store import Store
from benchwire.events.blobs import BlobMissing
from benchwire.web import app as web

MAX_LIMIT = 1000

STATUS: dict[type[Exception], int] = {
    errors.DocumentNotFound: 404,
    errors.UploadTooLarge: 413,
    errors.KeyReused: 409,
    errors.DiskFull: 507,
    errors.DocumentError: 400,
    BlobMissing: 404,
}

HttpRequest = Request[None, None, State]
_DIGEST = re.compile(r"[0-9a-f]{64}")


@get("/health")
async def health(store: NamedDependency[Store]) -> Response[wire.Health]:
    """Whether documents can be read and written."""
    state = store.projection.state
    trouble = state.trouble or (None if store.bus.connected else "NATS cannot be reached")
    found = wire.Health(
        status="unhealthy" if trouble else "degraded" if state.malformed else "healthy",
        service="documents",
        applied=state.applied,
        behind=state.behind,
        unknown=state.unknown,
        malformed=state.malformed,
        detail=trouble or (f"{state.malformed} events could not be read" if state.malformed else None),
    )
    return Response(found, status_code=503 if trouble else 200, headers={"Retry-After": "2"} if trouble else {})


@post("/documents", request_max_body_size=None)
async def create_document(request: HttpRequest, store: NamedDependency[Store]) -> wire.Document:
    """Takes a form with ``file``, ``tags`` (comma separated) and ``metadata`` (a JSON object of strings).

    Repeated with the same ``Idempotency-Key``, it answers with the document of the first time.
    """
    if (request.content_length or 0) > store.max_bytes + upload.FORM_OVERHEAD_BYTES:
        raise errors.UploadTooLarge(store.max_bytes)
    key = request.headers.get("idempotency-key") or None
    content_type = request.headers.get("content-type", "")
    async with upload.received(request.stream(), content_type, store.incoming, limit_bytes=store.max_bytes) as (
        received,
        file,
    ):
        return wire.shown(await store.create(received, file, key=key), store.base_url)


@get("/documents")
async def list_documents(
    store: NamedDependency[Store],
    filename: FromQuery[str] = "",
    tags: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=0, le=MAX_LIMIT)] = 100,
    offset: Annotated[int, QueryParameter(ge=0, le=1 << 62)] = 0,
) -> Response[list[wire.Document]]:
    """The newest documents whose name contains ``filename`` and that have all of ``tags``; how many there are in ``X-Total-Count``."""
    wanted = tuple(stripped for tag in tags.split(",") if (stripped := tag.strip()))
    page = await store.documents(queries.Wanted(filename=filename, tags=wanted, limit=limit, offset=offset))
    shown = [wire.shown(one, store.base_url) for one in page.documents]
    return Response(shown, headers={"X-Total-Count": str(page.total)})


@get("/documents/tags")
async def list_tags(store: NamedDependency[Store]) -> wire.Tags:
    """Every tag, the most used first."""
    return wire.Tags([wire.Tag(name, count) for name, count in await store.tag_counts()])


@get("/documents/{document_id:str}/metadata")
async def document_metadata(document_id: FromPath[str], store: NamedDependency[Store]) -> wire.Document:
    """What is known of a document."""
    return wire.shown(await store.document(document_id), store.base_url)


@get("/documents/{document_id:str}")
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
        return await answers.whole(store.blobs, content, request)
    return await answers.window(store.blobs, content, offset or 0, limit)


@get("/artifacts/{digest:str}")
async def read_artifact(digest: FromPath[str], request: HttpRequest, store: NamedDependency[Store]) -> Response[Any]:
    """The bytes with this SHA-256, whoever put them into the store: firmware images as well as documents."""
    if not _DIGEST.fullmatch(digest := digest.lower()):
        raise errors.BadDigest
    size = await store.blobs.size_of(digest)
    content = answers.Content(digest=digest, size_bytes=size, content_type=BYTES, filename=f"{digest}.bin")
    return await answers.whole(store.blobs, content, request)


@patch("/documents/{document_id:str}")
async def update_document(
    document_id: FromPath[str], data: JSONBody[commands.Change], store: NamedDependency[Store]
) -> wire.Document:
    """Changes the tags, the description or the metadata."""
    return wire.shown(await store.update(document_id, data), store.base_url)


@delete("/documents/{document_id:str}", status_code=200)
async def delete_document(document_id: FromPath[str], store: NamedDependency[Store]) -> wire.Deleted:
    """Deletes a document."""
    await store.delete(document_id)
    return wire.Deleted(success=True, message="Document deleted successfully", document_id=document_id)


@websocket("/ws")
async def follow(socket: Socket, live: NamedDependency[Live]) -> None:
    """What happens to documents, as it happens."""
    await live.attend(socket)


def made(store: Store, live: Live, *, version: str, origins: Sequence[str]) -> Litestar:
    """The app around ``store``."""
    return web.made(
        "Benchwire documents",
        [
            health, create_document, list_documents, list_tags, document_metadata, read_document, read_artifact,
            update_document, delete_document, follow,
        ],
        version=version,
        statuses=STATUS,
        dependencies={
            "store": Provide(lambda: store, sync_to_thread=False),
            "live": Provide(lambda: live, sync_to_thread=False),
        },
        origins=origins,
    )  # fmt: skip
