"""Documents: taken in, listed, changed, deleted."""

from typing import Annotated

from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from benchwire.documents import commands, errors, queries, upload, wire
from benchwire.documents.answers import HttpRequest
from benchwire.documents.queries import Found
from benchwire.documents.search.indexer import Indexer
from benchwire.documents.store import Store
from benchwire.events.arriving import HELD_BYTES
from benchwire.web.described import Body, described
from benchwire.web.forms import OVERHEAD_BYTES
from benchwire.web.tokens import Scope

MAX_LIMIT = 1000


@post(
    "/documents",
    request_max_body_size=None,
    opt=described(
        bodies={"multipart/form-data": Body(wire.FORM, wire.EXAMPLE_FORM)}, refuses=(409, 507), holds_bytes=HELD_BYTES
    ),
)
async def create_document(request: HttpRequest, store: NamedDependency[Store]) -> Response[wire.Document]:
    """Takes a form with ``file``, ``tags`` (comma separated) and ``metadata`` (a JSON object of strings).

    ``checksum`` (the SHA-256 in hex), or a header ``Content-Digest``, ``Repr-Digest`` or ``Digest`` of the call or of the file's part, says
    what the bytes of the file have to be. ``expires_at`` is until when the document is kept. Repeated with the same ``Idempotency-Key``, it
    answers with the document of the first time.
    """
    if (request.content_length or 0) > store.max_bytes + OVERHEAD_BYTES:
        raise errors.UploadTooLarge(store.max_bytes)
    await store.check_quota()
    key = request.headers.get("idempotency-key") or None
    content_type = request.headers.get("content-type", "")
    promised = upload.promised_in(request.headers.get)
    taking = upload.received(
        request.stream(), content_type, store.arriving, limit_bytes=store.max_bytes, promised=promised
    )
    async with taking as (received, data):
        return _shown(await store.related(await store.create(received, data, key=key)), store)


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


def _shown(found: Found, store: Store) -> Response[wire.Document]:
    return Response(wire.shown(found, store.base_url), headers={"ETag": f'"{found.document.version}"'})


ROUTES = [create_document, list_documents, list_tags, document_metadata, update_document, delete_document]
