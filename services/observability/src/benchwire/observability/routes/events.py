"""Hooks: what outside sessions report."""

import asyncio
import hashlib
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.exceptions import ClientException

from benchwire.events.event import IllegalToken, token
from benchwire.events.log import EventTooLarge
from benchwire.observability.errors import Unusable
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.routes.params import Id, TheLab
from benchwire.observability.wire import sessions as wire

_NDJSON = "application/x-ndjson"
_OK = b'{"ok":true}'
_OF_ONE = (msgspec.MsgspecError, Unusable, IllegalToken, EventTooLarge)

_WINDOW = 256


class Wrong(msgspec.Struct, frozen=True):
    """A line that did not land, and why."""

    line: int
    detail: str


AnyRequest = Request[Any, Any, Any]


@post("/events", status_code=200)
async def post_events(lab: TheLab, request: AnyRequest) -> Response[Any]:
    """Takes one event, a JSON array of them, or one a line (``application/x-ndjson``)."""
    return await _taken(lab, request, None)


@post("/sessions/{session_id:str}/events", status_code=200)
async def post_session_events(lab: TheLab, request: AnyRequest, session_id: Id) -> Response[Any]:
    """The same for one session."""
    token(session_id, "session_id")
    return await _taken(lab, request, session_id)


async def _taken(lab: Lab, request: AnyRequest, session_id: str | None) -> Response[Any]:
    body = await request.body()
    key = request.headers.get("idempotency-key")
    if request.headers.get("content-type", "").startswith(_NDJSON):
        return await _many(lab, [line for line in body.split(b"\n") if line.strip()], session_id, key)
    if body.lstrip()[:1] == b"[":
        raws = msgspec.json.decode(body, type=list[msgspec.Raw])
        return await _many(lab, [bytes(raw) for raw in raws], session_id, key)
    event = wire.hook(body, session_id)
    await lab.write(event, event_id=_id(event.session_id, key, 0))
    return Response(_OK, media_type="application/json")


async def _many(lab: Lab, bodies: list[bytes], session_id: str | None, key: str | None) -> Response[Any]:
    if not bodies:
        raise ClientException("the body holds no event")
    events, wrong = _read(bodies, session_id)
    sequence, landed = 0, 0
    for start in range(0, len(events), _WINDOW):
        # Published in this order over one connection, so that they also stand in the log in this order.
        window = events[start : start + _WINDOW]
        results = await asyncio.gather(
            *(_append(lab, event, key, line) for line, event in window), return_exceptions=True
        )
        for (line, _), result in zip(window, results, strict=True):
            if isinstance(result, int):
                sequence, landed = max(sequence, result), landed + 1
            elif isinstance(result, _OF_ONE):
                wrong.append(Wrong(line, str(result)))
            else:
                raise result
    await lab.shown(sequence)
    return _counted(landed, sorted(wrong, key=lambda one: one.line))


def _read(bodies: list[bytes], session_id: str | None) -> tuple[list[tuple[int, wire.Hook]], list[Wrong]]:
    events, wrong = [], []
    for line, body in enumerate(bodies, 1):
        try:
            events.append((line, wire.hook(body, session_id)))
        except _OF_ONE as error:
            wrong.append(Wrong(line, str(error)))
    return events, wrong


async def _append(lab: Lab, event: wire.Hook, key: str | None, line: int) -> int:
    return await lab.log.append(event, event_id=_id(event.session_id, key, line), deadline_s=WRITE_DEADLINE_S)


def _counted(landed: int, wrong: list[Wrong]) -> Response[Any]:
    told: dict[str, Any] = {"ok": not wrong, "accepted": landed, "rejected": len(wrong), "errors": wrong}
    if landed:
        return Response(told, status_code=200)
    told |= {"detail": f"no event could be taken: {wrong[0].detail}", "status_code": 400}
    return Response(told, status_code=400)


def _id(session_id: str, key: str | None, number: int) -> str | None:
    """The id that makes a repeated call land once: clients that can repeat send ``Idempotency-Key``."""
    if key is None:
        return None
    return "hook-" + hashlib.sha256(f"{session_id}\0{number}\0{key}".encode(errors="replace")).hexdigest()[:40]


ROUTES = [post_events, post_session_events]
