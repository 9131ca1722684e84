"""Bodies that a route reads itself."""

from collections.abc import AsyncGenerator

from litestar.exceptions import ClientException, InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from benchwire.observability.routes.params import AnyRequest


async def pieces(request: AnyRequest) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises ``ClientException`` when its client does not finish it."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except InternalServerException as error:  # Litestar's word for a client that went away
        raise ClientException("the body broke off") from error


async def whole(request: AnyRequest) -> bytes:
    """The body, when it is within the limit that all other calls have. Raises ``RequestEntityTooLarge``."""
    limit = request.app.request_max_body_size
    assert isinstance(limit, int)
    if (request.content_length or 0) > limit:
        raise RequestEntityTooLarge
    parts, size = [], 0
    async for chunk in pieces(request):
        size += len(chunk)
        if size > limit:
            raise RequestEntityTooLarge
        parts.append(chunk)
    return b"".join(parts)
