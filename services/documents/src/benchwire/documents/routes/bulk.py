"""Many documents in one call."""

from typing import Any

from litestar import Response, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.response import Stream

from benchwire.documents import bulk, wire
from benchwire.documents.answers import HttpRequest
from benchwire.documents.store import Store
from benchwire.web.described import Body, described


@post(
    "/documents/bulk",
    request_max_body_size=None,
    status_code=200,
    opt=described(
        bodies={"application/x-ndjson": Body({"type": "string"}, wire.EXAMPLE_LINES)},
        answers={"type": "string"},
        sends="application/x-ndjson",
        holds_bytes=bulk.HELD_BYTES,
    ),
)
async def create_documents(request: HttpRequest, store: NamedDependency[Store]) -> Response[Any]:
    """Takes a JSON object per line, and answers with a line for each, in their order, when the last one is in.

    A line is ``filename`` with ``text`` or ``content_base64``, and, if wanted, ``content_type``, ``tags``, ``metadata``, ``expires_at``,
    ``checksum`` and ``key`` (as ``Idempotency-Key``). It is answered by ``{"line", "status_code"}`` with ``id`` and ``checksum``, or with
    ``detail``.
    """
    results = await bulk.taken(request.stream(), store)
    return Stream(results.read(), media_type="application/x-ndjson", background=BackgroundTask(results.aclose))


ROUTES = [create_documents]
