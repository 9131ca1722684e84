"""One table per service makes exceptions HTTP: ``{ExceptionType: status}``. Every answer is ``{"detail": sentence, "status_code": n}``.

A sentence that a person can act on is sent; a traceback never is. What nobody foresaw is a 500 with a neutral sentence, and stands in
the log of the service.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.exceptions import ClientException, HTTPException, InternalServerException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from nats.errors import Error as NatsError

from benchwire.events.event import IllegalToken
from benchwire.events.log import Contended, EventTooLarge, HistoryGone, LogUnavailable
from benchwire.events.projection import ProjectionBehind, ProjectionDamaged
from benchwire.web.room import NoRoomForBody

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2

DEFAULTS: dict[type[Exception], int] = {
    IllegalToken: 400,
    msgspec.MsgspecError: 400,
    RecursionError: 400,  # JSON nested deeper than anybody means it
    UnicodeDecodeError: 400,  # msgspec's word for JSON that is not UTF-8
    EventTooLarge: 413,
    HistoryGone: 410,
    Contended: 503,
    LogUnavailable: 503,
    ProjectionBehind: 503,
    ProjectionDamaged: 503,
    NoRoomForBody: 503,
    NatsError: 503,
}
_SAID_OTHERWISE: dict[type[Exception], str] = {
    RecursionError: "the body is nested too deeply",
    UnicodeDecodeError: "the body is not UTF-8",
    NatsError: "NATS does not answer; try again",
}

_CLIENT_GONE = "client disconnected prematurely"  # Litestar's word for it, and no fault of the service

Handler = Callable[[Request[Any, Any, Any], Exception], Response[Any]]


class Problem(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    detail: str
    status_code: int


def handlers(statuses: Mapping[type[Exception], int] | None = None) -> dict[int | type[Exception], Handler]:
    """Litestar exception handlers from ``statuses`` (a service's own errors) and the defaults that all services share."""
    table = {**DEFAULTS, **(statuses or {})}

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        return answer(request, error, table)

    return {Exception: handle}


def answer(
    request: Request[Any, Any, Any], error: Exception, table: Mapping[type[Exception], int]
) -> Response[Problem]:
    """What a client is told of ``error``."""
    status, sentence, headers = _told(request, error, table)
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(
        Problem(detail=sentence, status_code=status), status_code=status, headers=headers, media_type="application/json"
    )


def _told(
    request: Request[Any, Any, Any], error: Exception, table: Mapping[type[Exception], int]
) -> tuple[int, str, dict[str, str]]:
    for kind in type(error).__mro__:
        if (status := table.get(kind)) is not None:
            return status, _SAID_OTHERWISE.get(kind) or _sentence(error), {}
    if isinstance(error, HTTPException) and error.status_code < 500:
        return error.status_code, _of_litestar(request, error), dict(error.headers or {})
    if isinstance(error, InternalServerException) and error.detail == _CLIENT_GONE:
        return 400, "the body broke off", {}
    ids = {name: value for name, value in request.path_params.items() if name.endswith("_id")}
    log.error("%s %s failed", request.method, request.url.path, exc_info=error, extra=ids)
    return 500, "something went wrong here; the service's log says what", {}


def _sentence(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return _naming_the_field(str(error))
    if isinstance(error, msgspec.MsgspecError):
        return f"the body is not what was expected: {error}"
    return str(error) or type(error).__name__


def _naming_the_field(message: str) -> str:
    sentence, _, place = message.partition(" - at `$.")
    return f"{place.rstrip('`')}: {sentence}" if place else sentence


def _of_litestar(request: Request[Any, Any, Any], error: HTTPException) -> str:
    if isinstance(error, ValidationException):
        return _validation(error)
    if isinstance(error, RequestEntityTooLarge):
        return "the body is larger than this service takes"
    if error.status_code == 404 and type(error).__module__.startswith("litestar"):
        return f"there is nothing at {request.url.path}"
    if error.status_code == 405:
        return f"{request.method} is not possible at {request.url.path}"
    return _of_client(error)


def _of_client(error: HTTPException) -> str:
    if isinstance(error, ClientException) and isinstance(error.__cause__, msgspec.MsgspecError | ValueError):
        return f"the body is not JSON: {error.__cause__}"
    return error.detail


def _validation(error: ValidationException) -> str:
    """Litestar lists what is wrong as ``{"key", "message"}``; a wrong body as a whole has the key ``data``."""
    listed = error.extra if isinstance(error.extra, list) else []
    told = []
    for one in listed:
        key, message = str(one.get("key", "")), str(one.get("message", ""))
        if (key, message) == ("data", "'data'"):
            message = "a body is needed"
        told.append(message if key in ("", "data") else f"{key}: {message}")
    return "; ".join(told) or error.detail
