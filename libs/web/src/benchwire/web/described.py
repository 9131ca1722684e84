"""The OpenAPI document of an app: what Litestar reads from the handlers, and what it cannot know.

Most of it follows from a handler by itself: summary and description from its docstring, the refusals that every such route can answer with
(``Problem``), the scope it wants. What does not, a handler says in its ``opt``::

    @post("/tasks", opt=described(example={"prompt": "blink"}, answers=wire.TaskStarted, refuses=(409,)))
"""

import re
from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from benchwire.web.errors import Problem
from benchwire.web.room import HOLDS
from benchwire.web.scopes import needed
from benchwire.web.tokens import Scope

JSON = "application/json"
_OPT = "described"
_REF = "#/components/schemas/{name}"
_BEARER = "bearer"
_SAID: dict[int, str] = {
    400: "What was sent cannot be used; the sentence says why, and names the field",
    401: "No token, or one that is not good",
    403: "The token has not got the scope that is needed, or the call comes from a foreign page",
    404: "There is no such thing",
    409: "It is not in a state in which that can be done, or the name is taken",
    410: "It is gone",
    412: "It was changed since it was read; read it again",
    413: "The body is larger than this service takes",
    416: "The range lies outside of what is there",
    429: "More calls than this service takes from one caller; Retry-After says when to come again",
    503: "NATS or the projection does not answer in time; repeat the call after Retry-After, with the same Idempotency-Key",
    507: "The disk is full",
}


class Body(msgspec.Struct, frozen=True):
    """One way to send a body: its type, or a JSON Schema where no type says it, and an example."""

    kind: Any
    example: Any


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler says of itself; see ``described``."""

    example: Any = None
    bodies: Mapping[str, Body] = {}
    answers: Any = None
    sends: str = JSON
    refuses: tuple[int, ...] = ()


def described(
    *,
    scope: Scope | None = None,
    example: Any = None,
    bodies: Mapping[str, Body] | None = None,
    answers: Any = None,
    sends: str = JSON,
    refuses: tuple[int, ...] = (),
    holds_bytes: int | None = None,
) -> dict[str, Any]:
    """For the ``opt`` of a handler.

    ``scope``: what a token needs, where it is not ``read`` of a GET and ``write`` of the rest. ``example``: of the JSON body.
    ``bodies``: by media type, of a handler that reads its request itself. ``answers``: the type of a success, where the handler's own
    signature does not say it, sent as the media type ``sends``. ``refuses``: statuses beyond 400, 401, 403, 404, 413, 429 and 503.
    ``holds_bytes``: how much of a body is in memory at a time, where that is not the limit of all bodies.
    """
    said = Description(example=example, bodies=bodies or {}, answers=answers, sends=sends, refuses=refuses)
    opt: dict[str, Any] = {_OPT: said}
    if scope is not None:
        opt["scope"] = scope
    if holds_bytes is not None:
        opt[HOLDS] = holds_bytes
    return opt


def document(app: Litestar, open_paths: Collection[str] = ()) -> dict[str, Any]:
    """The OpenAPI document of ``app``; ``open_paths`` need no token."""
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    components["securitySchemes"] = {_BEARER: {"type": "http", "scheme": "bearer"}}
    made["security"] = [{_BEARER: []}]
    problem = _schema(Problem, schemas)
    for path, method, handler in _handlers(app):
        operation = made["paths"][path][method]
        said = handler.opt.get(_OPT) or Description()
        is_open = path in open_paths
        _explain(operation, handler, is_open=is_open)
        _fill_body(operation, said, schemas)
        _fill_answer(operation, handler, said, schemas)
        for status in _refusals(operation, said, is_open=is_open):
            operation["responses"][str(status)] = _refusal(status, problem)
    return made


def _handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema():
                    yield route.path_format or "/", method.lower(), handler


def _explain(operation: dict[str, Any], handler: HTTPRouteHandler, *, is_open: bool) -> None:
    function = getattr(handler.fn, "func", handler.fn)  # Litestar wraps what runs in a thread
    text = " ".join((function.__doc__ or "").split()).replace("``", "`")
    summary = re.split(r"(?<=[^.])[.;:](?: |$)", text, maxsplit=1)[0]
    operation["summary"] = handler.summary or summary
    wanted = "Needs no token." if is_open else f"Needs the scope `{needed(handler)}`."
    operation["description"] = f"{text}\n\n{wanted}".strip()
    operation["tags"] = [_tag(handler)]
    if is_open:
        operation["security"] = []


def _tag(handler: HTTPRouteHandler) -> str:
    parts = [part for part in min(handler.paths).split("/") if part and not part.startswith("{") and part != "api"]
    return parts[0] if parts else "service"


def _fill_body(operation: dict[str, Any], said: Description, schemas: dict[str, Any]) -> None:
    for media, body in said.bodies.items():
        operation.setdefault("requestBody", {"required": True, "content": {}})
        schema = body.kind if isinstance(body.kind, dict) else _schema(body.kind, schemas)
        operation["requestBody"]["content"][media] = {"schema": schema, "example": body.example}
    if said.example is not None:
        operation["requestBody"]["content"][JSON]["example"] = said.example


def _fill_answer(
    operation: dict[str, Any], handler: HTTPRouteHandler, said: Description, schemas: dict[str, Any]
) -> None:
    if said.answers is not None:
        schema = said.answers if isinstance(said.answers, dict) else _schema(said.answers, schemas)
        success = operation["responses"].setdefault(str(handler.status_code), {"description": "It was done"})
        success["content"] = {said.sends: {"schema": schema}}


def _refusals(operation: dict[str, Any], said: Description, *, is_open: bool) -> list[int]:
    statuses = {429, 503, *said.refuses}
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    if not is_open:
        statuses |= {401, 403}
    if places or "requestBody" in operation:
        statuses.add(400)
    if "path" in places:
        statuses.add(404)
    if "requestBody" in operation:
        statuses.add(413)
    return sorted(statuses)


def _refusal(status: int, problem: dict[str, Any]) -> dict[str, Any]:
    said = _SAID.get(status, HTTPStatus(status).phrase)
    example = {"detail": said[0].lower() + said[1:], "status_code": status}
    answer: dict[str, Any] = {"description": said, "content": {JSON: {"schema": problem, "example": example}}}
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return answer


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of ``kind``; what it refers to is put among ``schemas``."""
    (schema,), found = msgspec.json.schema_components((kind,), ref_template=_REF)
    for name, one in found.items():
        schemas.setdefault(name, one)
    return schema
