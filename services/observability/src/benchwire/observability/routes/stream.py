"""One session as Server-Sent Events: what ``/ws?session_id=`` tells, for those who have no WebSocket."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from litestar import get
from litestar.response import Stream
from sqlite_utils import Database

from benchwire.events.event import token
from benchwire.observability import errors, queries
from benchwire.observability.feeds import of_stream
from benchwire.observability.lab import Lab
from benchwire.observability.reading.replay import Stretch, standing, stretch
from benchwire.observability.routes.params import AnyRequest, Id, Text, TheLab
from benchwire.observability.wire import stream as wire
from benchwire.observability.wire.stream import Place
from benchwire.web.described import described

BEAT_S = 15.0
_RETRY_MS = 2000


@get(
    "/sessions/{session_id:str}/stream",
    media_type=wire.MEDIA_TYPE,
    opt=described(answers={"type": "string"}, sends=wire.MEDIA_TYPE),
)
async def stream_session(lab: TheLab, session_id: Id, request: AnyRequest, since: Text = None) -> Stream:
    """What happens in a session, as it happens, until it is deleted.

    With ``Last-Event-ID``, which browsers send by themselves, or ``?since=``, it begins with what came after that; otherwise with an
    ``init`` frame.
    """
    token(session_id, "session_id")
    place = _place(request.headers.get("last-event-id") or since)
    if await lab.read(lambda db: _next(db, lab, session_id, place)) is None:
        raise errors.SessionUnknown(session_id)
    return Stream(_told(lab, session_id, place), media_type=wire.MEDIA_TYPE, headers=wire.HEADERS)


def _place(text: str | None) -> Place | None:
    if not text:
        return None
    place = wire.place_of(text)
    if place is None:
        raise errors.Unusable("since: it must be the id of an event of this stream, like 17; leave it out to begin now")
    return place


def _next(db: Database, lab: Lab, session_id: str, place: Place | None) -> Stretch | None:
    if place is not None and place.sequence <= queries.applied(db):
        return stretch(db, session_id, place)
    # Nobody has seen what is not there yet: it was another log, and starting over is better.
    if queries.session(db, session_id) is None:
        return None
    return Stretch(queries.applied(db), [standing(db, lab.listing, session_id)])


async def _told(lab: Lab, session_id: str, place: Place | None) -> AsyncGenerator[str, None]:
    yield wire.begun(_RETRY_MS)
    while True:
        with lab.feed.heard(of_stream(session_id)) as listener:
            found = await lab.read(lambda db, after=place: _next(db, lab, session_id, after))  # type: ignore[misc]
            if found is None:
                return
            yield "".join(wire.events(found.frames))
            place = Place(found.sequence)
            if found.is_over:
                return
            if not found.is_all:
                continue
            listener.open(after=found.sequence)
            async with aclosing(listener.frames(idle_s=BEAT_S)) as frames:
                async for frame in frames:
                    yield frame or wire.BEAT
            if listener.too_slow:
                yield wire.TOO_SLOW
            return


ROUTES = [stream_session]
