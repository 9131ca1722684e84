"""The routes of the document store."""

import re
from http import HTTPStatus
from typing import Annotated, Any

from litestar import Litestar, Request, Response, delete, get, patch, post, websocket
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from benchwire.documents import answers, bulk, commands, errors, queries, upload, wire
from benchwire.documents.live import Live, Socket
from benchwire.documents.names import BYTES
from benchwire.documents.queries import Found
from benchwire.documents.routes import links
from benchwire.documents.search.indexer import Indexer
from benchwire.documents.settings import Settings
from benchwire.documents.store import Store
from benchwire.events.blobs import BlobMissing, DigestMismatch
from benchwire.web import app as web
from benchwire.web.callers import Callers
from benchwire.web.described import Body, described
from benchwire.web.metrics import metrics_route
from benchwire.web.tokens import Scope

MAX_LIMIT = 1000

STATUS: dict[type[Exception], int] = {
    errors.DocumentNotFound: 404,
    errors.UploadTooLarge: 413,
    errors.KeyReused: 409,
    errors.Changed: 412,
    errors.LinkTargetNotFound: 404,
    errors.LinkNotFound: 404,
    errors.DiskFull: 507,
    errors.QuotaExceeded: 507,
    errors.DocumentError: 400,
    BlobMissing: 404,
    DigestMismatch: 500,  # what the store keeps is damaged, and its sentence says which bytes
}

HttpRequest = Request[None, None, State]
_BYTES = {"type": "string", "format": "binary"}
_DIGEST = re.compile(r"[0-9a-f]{64}")


@get("/health")
async def health(store: NamedDependency[Store], callers: NamedDependency[Callers]) -> Response[wire.Health]:
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
        warnings=callers.warnings,
    )
    return Response(found, status_code=503 if trouble else 200, headers={"Retry-After": "2"} if trouble else {})


@post(
    "/documents",
    request_max_body_size=None,
    opt=described(bodies={"multipart/form-data": Body(wire.FORM, wire.EXAMPLE_FORM)}, refuses=(409, 507)),
)
async def create_document(request: HttpRequest, store: NamedDependency[Store]) -> Response[wire.Document]:
    """Takes a form with ``file``, ``tags`` (comma separated) and ``metadata`` (a JSON object of strings).

    ``checksum`` (the SHA-256 in hex), or a header ``Content-Digest``, ``Repr-Digest`` or ``Digest`` of the call or of the file's part, says
    what the bytes of the file have to be. ``expires_at`` is until when the document is kept. Repeated with the same ``Idempotency-Key``, it
    answers with the document of the first time.
    """
    if (request.content_length or 0) > store.max_bytes + upload.FORM_OVERHEAD_BYTES:
        raise errors.UploadTooLarge(store.max_bytes)
    await store.check_quota()
    key = request.headers.get("idempotency-key") or None
    content_type = request.headers.get("content-type", "")
    promised = upload.promised_in(request.headers.get)
    taking = upload.received(
        request.stream(), content_type, store.incoming, limit_bytes=store.max_bytes, promised=promised
    )
    async with taking as (received, file):
        return _shown(await store.related(await store.create(received, file, key=key)), store)


@post(
    "/documents/bulk",
    request_max_body_size=None,
    status_code=200,
    opt=described(
        bodies={"application/x-ndjson": Body({"type": "string"}, wire.EXAMPLE_LINES)},
        answers={"type": "string"},
        sends="application/x-ndjson",
    ),
)
async def create_documents(request: HttpRequest, store: NamedDependency[Store]) -> Response[Any]:
    """Takes a JSON object per line, and answers with a line for each, in their order, when the last one is in.

    A line is ``filename`` with ``text`` or ``content_base64``, and, if wanted, ``content_type``, ``tags``, ``metadata``, ``expires_at``,
    ``checksum`` and ``key`` (as ``Idempotency-Key``). It is answered by ``{"line", "status_code"}`` with ``id`` and ``checksum``, or with
    ``detail``.
    """
    results = await bulk.taken(request.stream(), store, STATUS)
    return Stream(results.read(), media_type="application/x-ndjson", background=BackgroundTask(results.aclose))


@get("/documents")
async def list_documents(
    *,
    store: NamedDependency[Store],
    search: NamedDependency[Indexer],
    filename: FromQuery[str] = "",
    tags: FromQuery[str] = "",
    limit: Annotated[int, QueryParameter(ge=0, le=MAX_LIMIT)] = 100,
    offset: Annotated[int, QueryParameter(ge=0, le=1 << 62)] = 0,
    cursor: FromQuery[str] = "",
    q: FromQuery[str] = "",
) -> Response[list[wire.Document]]:
    """The newest documents whose name contains ``filename`` and that have all of ``tags``; how many there are in ``X-Total-Count``.

    ``X-Next-Cursor`` is there when more follow: given as ``cursor`` it names the next page, however deep that is. With ``q`` those that
    hold all of its words, the best first, each with a ``snippet`` and a ``score``; ``"several words"``, ``begin*`` and ``-without`` are
    understood.
    """
    wanted = queries.Wanted(
        filename=filename,
        tags=tuple(stripped for tag in tags.split(",") if (stripped := tag.strip())),
        limit=limit,
        offset=offset,
        before=_place(cursor),
    )
    if q.strip():
        hits = await search.asked(q, wanted)
        matches: list[wire.Document] = [wire.matched(one, store.base_url) for one in hits.hits]
        return Response(matches, headers={"X-Total-Count": str(hits.total)})
    page = await store.documents(wanted)
    headers = {"X-Total-Count": str(page.total)}
    if page.before is not None:
        headers["X-Next-Cursor"] = str(page.before)
    return Response([wire.shown(one, store.base_url) for one in page.documents], headers=headers)


def _place(cursor: str) -> int | None:
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise errors.BadQuery("the cursor is not one that was given in X-Next-Cursor")
    return int(cursor)


@get("/documents/tags")
async def list_tags(store: NamedDependency[Store]) -> wire.Tags:
    """Every tag, the most used first."""
    return wire.Tags([wire.Tag(name, count) for name, count in await store.tag_counts()])


@get("/documents/{document_id:str}/metadata")
async def document_metadata(document_id: FromPath[str], store: NamedDependency[Store]) -> Response[wire.Document]:
    """What is known of a document. Its ``ETag`` is for ``If-Match`` of a change."""
    return _shown(await store.found(document_id), store)


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
    if not _DIGEST.fullmatch(digest := digest.lower()):
        raise errors.BadDigest
    size = await store.blobs.size_of(digest)
    content = answers.Content(digest=digest, size_bytes=size, content_type=BYTES, filename=f"{digest}.bin")
    return _counted(store, await answers.whole(store.source, content, request))


def _shown(found: Found, store: Store) -> Response[wire.Document]:
    return Response(wire.shown(found, store.base_url), headers={"ETag": f'"{found.document.version}"'})


def _counted(store: Store, answer: Response[Any]) -> Response[Any]:
    if answer.status_code in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        store.metrics.downloaded()
    return answer


@patch("/documents/{document_id:str}", opt=described(example=wire.EXAMPLE_CHANGE, refuses=(412,)))
async def update_document(
    document_id: FromPath[str], data: JSONBody[commands.Change], request: HttpRequest, store: NamedDependency[Store]
) -> Response[wire.Document]:
    """Changes the tags, the description or the metadata."""
    return _shown(await store.update(document_id, data, if_match=request.headers.get("if-match")), store)


@delete("/documents/{document_id:str}", status_code=200, opt=described(scope=Scope.CONTROL, refuses=(412,)))
async def delete_document(
    document_id: FromPath[str], request: HttpRequest, store: NamedDependency[Store]
) -> wire.Deleted:
    """Deletes a document."""
    await store.delete(document_id, if_match=request.headers.get("if-match"))
    return wire.Deleted(success=True, message="Document deleted successfully", document_id=document_id)


@websocket("/ws")
async def follow(socket: Socket, live: NamedDependency[Live]) -> None:
    """What happens to documents, as it happens."""
    await live.attend(socket)


def made(store: Store, live: Live, search: Indexer, settings: Settings, callers: Callers, *, version: str) -> Litestar:
    """The app around ``store``."""
    return web.made(
        "Benchwire documents",
        [
            health, create_document, list_documents, list_tags, document_metadata, read_document, read_artifact,
            update_document, delete_document, follow, metrics_route, create_documents, *links.ROUTES,
        ],
        version=version,
        statuses=STATUS,
        dependencies={
            "store": Provide(lambda: store, sync_to_thread=False),
            "live": Provide(lambda: live, sync_to_thread=False),
            "search": Provide(lambda: search, sync_to_thread=False),
            "callers": Provide(lambda: callers, sync_to_thread=False),
            "metrics": Provide(lambda: store.metrics, sync_to_thread=False),
        },
        origins=settings.origins,
        body_limit_bytes=settings.body_limit_bytes,
        rate_limit=settings.rate_limit,
    )  # fmt: skip
