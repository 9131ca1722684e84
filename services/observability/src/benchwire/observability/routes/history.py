"""What happened in a session: all of it, or a page. However much it is, it is sent piece by piece."""

from collections.abc import AsyncGenerator
from typing import Any

from litestar import Response, get
from litestar.response import Stream
from sqlite_utils import Database

from benchwire.events.event import token
from benchwire.observability import queries
from benchwire.observability.lab import Lab
from benchwire.observability.queries import Bounds, Window
from benchwire.observability.routes.params import After, Before, Id, Limit, Text, TheLab
from benchwire.observability.wire import answers
from benchwire.observability.wire import sessions as wire
from benchwire.web.described import described

_JSON = "application/json"


@get("/events/{session_id:str}", opt=described(answers=answers.Events))
async def get_events(
    lab: TheLab,
    session_id: Id,
    *,
    after: After = 0,
    before: Before = None,
    limit: Limit = None,
    event_type: Text = None,
) -> Response[Any]:
    """What happened in a session, oldest first. See ``GET /sessions/{session_id}/events``."""
    return await _answer(lab, _window(session_id, after, before, limit, event_type))


@get("/sessions/{session_id:str}/events", opt=described(answers=answers.Events))
async def get_session_events(
    lab: TheLab,
    session_id: Id,
    *,
    after: After = 0,
    before: Before = None,
    limit: Limit = None,
    event_type: Text = None,
) -> Response[Any]:
    """What happened in a session, oldest first.

    With ``limit`` it is a page: ``next_after`` in the answer is the ``after`` of the next. With ``before`` pages go backwards, from the end
    or from the ``next_before`` of the page before; in a page the oldest still comes first.
    """
    return await _answer(lab, _window(session_id, after, before, limit, event_type))


def _window(session_id: str, after: int, before: int | None, limit: int | None, event_type: str | None) -> Window:
    token(session_id, "session_id")
    window = Window(session_id=session_id, after=after, limit=limit, event_type=event_type)
    return window if before is None else window.ending_at(before)


async def _answer(lab: Lab, window: Window) -> Response[Any]:
    """In one piece, when it is one; otherwise as a stream, which a slow reader holds up without anything piling up here."""

    def first(db: Database) -> tuple[Bounds, tuple[bytes, Bounds]]:
        place = queries.bounds(db, window)
        return place, _piece(db, window, place)

    place, (piece, rest) = await lab.read(first)
    head, tail = wire.events_around(next_after=_next_after(window, place), next_before=_next_before(window, place))
    if rest.is_empty:
        return Response(head + piece + tail, media_type=_JSON)

    async def told() -> AsyncGenerator[bytes, None]:
        left = rest
        yield head + piece
        while not left.is_empty:
            more, left = await lab.read(lambda db, place=left: _piece(db, window, place))  # type: ignore[misc]
            if more:
                yield b"," + more
        yield tail

    return Stream(told(), media_type=_JSON)


def _piece(db: Database, window: Window, place: Bounds) -> tuple[bytes, Bounds]:
    """The first events of ``place`` as they stand in a list, and what is left of it."""
    shown = [] if place.is_empty else queries.piece(db, window, place)
    return wire.events_json(shown).encode(), place.behind(shown)


def _next_after(window: Window, place: Bounds) -> int | None:
    return place.last if place.more and not window.from_end else None


def _next_before(window: Window, place: Bounds) -> int | None:
    return place.first if place.more and window.from_end else None


ROUTES = [get_events, get_session_events]
