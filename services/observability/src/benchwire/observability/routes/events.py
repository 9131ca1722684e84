"""Hooks: what outside sessions report."""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any

import msgspec
from litestar import Response, post
from litestar.exceptions import ClientException

from benchwire.events.event import token
from benchwire.events.log import EventTooLarge, LogUnavailable
from benchwire.events.projection import ProjectionBehind
from benchwire.observability import ingest
from benchwire.observability.ingest import Tally
from benchwire.observability.lab import Lab
from benchwire.observability.lines import OF_ONE, Line, lines
from benchwire.observability.routes.bodies import pieces, whole
from benchwire.observability.routes.params import AnyRequest, Id, TheLab
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import sessions as wire
from benchwire.web.described import described
from benchwire.web.errors import RETRY_AFTER_S
from benchwire.web.straight import STRAIGHT, Headers, Params

_NDJSON = "application/x-ndjson"
_JSON = "application/json"
_OK = b'{"ok":true}'


async def _one_taken(lab: Lab, body: bytes, headers: Headers, params: Params) -> bytes | None:
    """The straight way of one event; many take the usual one."""
    if headers.get(b"content-type", b"").startswith(_NDJSON.encode()) or _is_array(body):
        return None
    session_id: str | None = params.get("session_id")
    if session_id is not None:
        token(session_id, "session_id")
    key = headers.get(b"idempotency-key")
    await _one(lab, body, session_id, key if key is None else key.decode("latin-1"))
    return _OK


@post(
    "/events",
    status_code=200,
    request_max_body_size=None,
    opt={STRAIGHT: _one_taken, **described(bodies=examples.EVENTS, answers=answers.Taken)},
)
async def post_events(lab: TheLab, request: AnyRequest) -> Response[Any]:
    """Takes one event, a JSON array of them, or one a line (``application/x-ndjson``), which may be as many as anybody likes.

    Repeated with the same ``Idempotency-Key``, nothing lands twice.
    """
    return await _taken(lab, request, None)


@post(
    "/sessions/{session_id:str}/events",
    status_code=200,
    request_max_body_size=None,
    opt={STRAIGHT: _one_taken, **described(bodies=examples.EVENTS_OF_A_SESSION, answers=answers.Taken)},
)
async def post_session_events(lab: TheLab, request: AnyRequest, session_id: Id) -> Response[Any]:
    """Takes events of one session, in the same ways as ``POST /events``; in each the ``session_id`` may be left out."""
    return await _taken(lab, request, session_id)


async def _taken(lab: Lab, request: AnyRequest, session_id: str | None) -> Response[Any]:
    if session_id is not None:
        token(session_id, "session_id")
    key = request.headers.get("idempotency-key")
    if request.headers.get("content-type", "").startswith(_NDJSON):
        return await _many(lab, lines(pieces(request), longest_bytes=ingest.LONGEST_LINE_BYTES), session_id, key)
    body = await whole(request)
    if _is_array(body):
        raws = msgspec.json.decode(body, type=list[msgspec.Raw])
        listed = [Line(number, bytes(raw)) for number, raw in enumerate(raws, 1)]
        return await _many(lab, _at_once(listed), session_id, key)
    await _one(lab, body, session_id, key)
    return Response(_OK, media_type=_JSON)


def _is_array(body: bytes) -> bool:
    return body.lstrip()[:1] == b"["


async def _one(lab: Lab, body: bytes, session_id: str | None, key: str | None) -> None:
    lab.metrics.came(body)
    try:
        event = wire.hook(body, session_id)
    except OF_ONE:
        lab.metrics.refused()
        raise
    try:
        await lab.write(event, event_id=ingest.event_id(event.session_id, key, 0))
    except EventTooLarge:
        lab.metrics.refused(event)
        raise
    except (LogUnavailable, ProjectionBehind) as error:
        raise LogUnavailable(f"{error}; {_again(key)}") from error
    lab.metrics.took(event)


async def _many(
    lab: Lab, pieces: AsyncIterable[Sequence[Line]], session_id: str | None, key: str | None
) -> Response[dict[str, Any]]:
    tally = await ingest.taken(lab, pieces, session_id=session_id, key=key)
    told: dict[str, Any] = {
        "ok": not tally.rejected and tally.trouble is None,
        "accepted": tally.accepted,
        "rejected": tally.rejected,
        "errors": tally.errors,
    }
    if tally.rejected > len(tally.errors):
        told["errors_left_out"] = tally.rejected - len(tally.errors)
    if tally.trouble is not None:
        told |= {"detail": _broken_off(tally, key), "status_code": 503}
        return Response(told, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})
    if tally.accepted:
        return Response(told, status_code=200)
    if not tally.rejected:
        raise ClientException("the body holds no event")
    told |= {"detail": f"no event could be taken: {tally.errors[0].detail}", "status_code": 400}
    return Response(told, status_code=400)


def _again(key: str | None) -> str:
    if key is not None:
        return "send it again with the same Idempotency-Key, and it lands once"
    return "it may have landed; an event that has an Idempotency-Key from the first time on can be sent again, and lands once"


def _broken_off(tally: Tally, key: str | None) -> str:
    again = (
        "send all of it again with the same Idempotency-Key, and none lands twice"
        if key is not None
        else "a later one may have landed too; with an Idempotency-Key all of it could be sent again, and none would land twice"
    )
    return f"{tally.trouble}; until then {tally.accepted} events had landed: {again}"


async def _at_once(listed: list[Line]) -> AsyncGenerator[list[Line], None]:
    yield listed


ROUTES = [post_events, post_session_events]
