"""Sessions: made, listed, described, stopped, deleted."""

from typing import Any

from litestar import Response, delete, get, patch, post
from litestar.params import JSONBody

from benchwire.events.bus import STREAM
from benchwire.events.catalog import aggregate_of
from benchwire.events.event import token
from benchwire.events.session import SessionDeleted
from benchwire.observability import commands, ending, errors, queries, session
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.routes.params import After, Id, Limit, Text, TheLab
from benchwire.observability.session import Session, Status
from benchwire.observability.wire import sessions as wire
from benchwire.observability.wire.requests import CreateSession, Describe


async def known(lab: Lab, session_id: str) -> Session:
    """The session of that id. Raises ``SessionUnknown``."""
    token(session_id, "session_id")
    found = await lab.read(lambda db: queries.session(db, session_id))
    if found is None:
        raise errors.SessionUnknown(session_id)
    return found


@get("/sessions")
async def list_sessions(
    lab: TheLab,
    *,
    limit: Limit = None,
    cursor: Text = None,
    status: Text = None,
    agent_name: Text = None,
    q: Text = None,
) -> dict[str, Any]:
    """All sessions, newest first; with ``limit`` a page of them."""
    page = await lab.read(
        lambda db: queries.sessions(db, limit=limit, cursor=cursor, status=status, agent_name=agent_name, q=q)
    )
    more = {"next_cursor": page.cursor} if limit is not None else {}
    return {"sessions": [wire.view(one) for one in page.sessions], **more}


@post("/sessions", status_code=200)
async def create_session(lab: TheLab, data: JSONBody[CreateSession]) -> dict[str, Any]:
    """Makes a session known; with a ``prompt`` an agent runner takes it."""
    token(data.session_id, "session_id")
    there = await lab.read(lambda db: queries.session(db, data.session_id))
    commands.create_session(there, data, lab.now())
    made = await lab.log.decide(
        session.OF_ITS_LIFE,
        there,
        session.evolve,
        lambda found: commands.create_session(found, data, lab.now()),
        deadline_s=WRITE_DEADLINE_S,
        session_id=data.session_id,
    )
    await lab.shown(made.sequence)
    return {"ok": True, "session": wire.view(await known(lab, data.session_id))}


@get("/sessions/{session_id:str}")
async def get_session(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """One session."""
    return {"session": wire.view(await known(lab, session_id))}


@get("/sessions/{session_id:str}/status")
async def get_status(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """One of four words."""
    found = await lab.read(lambda db: queries.session(db, session_id))
    more = {} if found is None else {"session_status": found.status, "reason": found.reason}
    return {"status": wire.status_word(found), **more}


@get("/sessions/{session_id:str}/result")
async def get_result(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """The text of the assistant's last message."""
    found = await known(lab, session_id)
    if found.is_running:
        raise errors.SessionStillRunning(session_id)
    answer = await lab.read(lambda db: queries.last_answer(db, session_id))
    if answer is None:
        raise errors.NoResult(session_id)
    return {"result": answer}


@post("/sessions/{session_id:str}/stop", status_code=200)
async def stop_session(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """Stops a session, and says what came of it within a few seconds."""
    token(session_id, "session_id")
    after = await ending.stop_session(lab, session_id)
    return {
        "success": True,
        "ok": True,
        "session_id": session_id,
        "status": "stopping" if after.is_running else "stopped",
        "message": _in_words(after),
        "session_status": after.status,
    }


def _in_words(after: Session) -> str:
    match after.status:
        case Status.STOPPED:
            return "Session stopped successfully"
        case Status.FINISHED:
            return "Session finished before it could be stopped"
        case Status.FAILED:
            return f"Session closed: {after.reason}"
        case _:
            return "Session is asked to stop; its runner has not answered yet"


@patch("/sessions/{session_id:str}/metadata")
async def describe_session(lab: TheLab, session_id: Id, data: JSONBody[Describe]) -> dict[str, Any]:
    """Changes the names of a session. The session's fields stand at the top level too: one kind of client reads them there."""
    token(session_id, "session_id")
    found = await lab.read(lambda db: queries.session(db, session_id))
    await lab.write(commands.describe_session(found, session_id, data, lab.now()))
    told = wire.view(await known(lab, session_id))
    return {"ok": True, "session": told, **{name: getattr(told, name) for name in told.__struct_fields__}}


@delete("/sessions/{session_id:str}", status_code=200)
async def delete_session(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """Forgets a session, and purges its bodies from the log; one that an agent works on is stopped first."""
    try:
        found = await known(lab, session_id)
    except errors.SessionUnknown:
        await _finish_purge(lab, session_id)
        raise
    if found.is_running and found.requested:
        found = await ending.stop_session(lab, session_id)
    event = commands.delete_session(found, session_id, lab.now())
    count = await lab.read(lambda db: queries.count_events(db, session_id))
    await _purge(lab, session_id, before=await lab.write(event))
    return {"ok": True, "session_id": session_id, "deleted": {"session": True, "events_count": count}}


async def _purge(lab: Lab, session_id: str, *, before: int) -> None:
    """Takes everything of the session but its tombstone out of the log."""
    subject = aggregate_of(SessionDeleted, session_id=session_id)
    await lab.bus.js.purge_stream(STREAM, seq=before, subject=subject)


async def _finish_purge(lab: Lab, session_id: str) -> None:
    """NATS may have gone away between the tombstone and the purge; whoever deletes again then finds no session, and leaves no body."""
    tombstone = await lab.read(lambda db: queries.tombstone(db, session_id))
    if tombstone is not None:
        await _purge(lab, session_id, before=tombstone)


async def _events(lab: Lab, session_id: str, after: int, limit: int | None, event_type: str | None) -> Response[bytes]:
    token(session_id, "session_id")
    body = await lab.read(
        lambda db: wire.events_json(
            queries.events_of(db, session_id, after=after, limit=limit, event_type=event_type), limit=limit
        )
    )
    return Response(body, media_type="application/json")


@get("/events/{session_id:str}")
async def get_events(
    lab: TheLab, session_id: Id, after: After = 0, limit: Limit = None, event_type: Text = None
) -> Response[bytes]:
    """What happened in a session, oldest first."""
    return await _events(lab, session_id, after, limit, event_type)


@get("/sessions/{session_id:str}/events")
async def get_session_events(
    lab: TheLab, session_id: Id, after: After = 0, limit: Limit = None, event_type: Text = None
) -> Response[bytes]:
    """What happened in a session, oldest first."""
    return await _events(lab, session_id, after, limit, event_type)


ROUTES = [
    list_sessions, create_session, get_session, get_status, get_result, stop_session, describe_session, delete_session, get_events,
    get_session_events,
]  # fmt: skip
