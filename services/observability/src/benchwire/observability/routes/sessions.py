"""Sessions: made, listed, described, stopped, deleted."""

from typing import Any

from litestar import Response, delete, get, patch, post
from litestar.params import JSONBody
from sqlite_utils import Database

from benchwire.events.bus import STREAM
from benchwire.events.catalog import aggregate_of
from benchwire.events.event import token
from benchwire.events.session import SessionDeleted
from benchwire.observability import agents, commands, errors, queries, session
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.routes.params import Id, Limit, Text, TheLab
from benchwire.observability.session import Session, Status
from benchwire.observability.stopping import ending, family
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import sessions as wire
from benchwire.observability.wire.requests import CreateSession, Describe
from benchwire.web.described import described
from benchwire.web.tokens import Scope

_FORGOTTEN_WITHIN_S = 60.0  # a session may have a million events


async def known(lab: Lab, session_id: str) -> Session:
    """The session of that id. Raises ``SessionUnknown``."""
    token(session_id, "session_id")
    return await lab.found(lambda db: queries.session(db, session_id), errors.SessionUnknown(session_id))


@get("/sessions", opt=described(answers=answers.Sessions))
async def list_sessions(
    lab: TheLab,
    *,
    limit: Limit = None,
    cursor: Text = None,
    status: Text = None,
    agent_name: Text = None,
    parent_session_id: Text = None,
    q: Text = None,
) -> Response[bytes]:
    """All sessions, newest first; with ``limit`` a page of them, and in ``next_cursor`` how to ask for the next.

    ``status``, ``agent_name`` and ``parent_session_id`` are exact, ``q`` is a piece of the id or name.
    """

    def listed(db: Database) -> bytes:
        if all(one is None for one in (limit, cursor, status, agent_name, parent_session_id, q)):
            return wire.sessions_json(lab.listing.json(db))
        page = queries.sessions(
            db,
            limit=limit,
            after=cursor,
            status=status,
            agent_name=agent_name,
            parent_session_id=parent_session_id,
            q=q,
        )
        found = ",".join(map(wire.session_json, page.sessions))
        return wire.sessions_json(found) if limit is None else wire.sessions_page_json(found, page.cursor)

    return Response(await lab.read(listed), media_type="application/json")


@post(
    "/sessions", status_code=200, opt=described(example=examples.SESSION, answers=answers.SessionMade, refuses=(409,))
)
async def create_session(lab: TheLab, data: JSONBody[CreateSession]) -> dict[str, Any]:
    """Makes a session known; with a ``prompt`` an agent runner takes it."""
    token(data.session_id, "session_id")
    there = await lab.read(lambda db: queries.session(db, data.session_id))
    commands.create_session(there, data, lab.now())
    if data.prompt is not None and data.agent_name:
        await agents.check_startable(lab, data.agent_name)
    made = await lab.log.decide(
        session.OF_ITS_LIFE,
        None,
        session.evolve,
        lambda found: commands.create_session(found, data, lab.now()),
        deadline_s=WRITE_DEADLINE_S,
        session_id=data.session_id,
    )
    await lab.shown(made.sequence)
    return {"ok": True, "session": wire.view(await known(lab, data.session_id))}


@get("/sessions/{session_id:str}", opt=described(answers=answers.OneSession))
async def get_session(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """One session."""
    return {"session": wire.view(await known(lab, session_id))}


@get("/sessions/{session_id:str}/status", opt=described(answers=answers.SessionWord))
async def get_status(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """One of four words."""
    found = await lab.read(lambda db: queries.session(db, session_id))
    more = {} if found is None else {"session_status": found.status, "reason": found.reason, "code": found.code}
    return {"status": wire.status_word(found), **more}


@get("/sessions/{session_id:str}/result", opt=described(answers=answers.SessionResult))
async def get_result(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """The text of the assistant's last message."""
    found = await known(lab, session_id)
    if found.is_running:
        raise errors.SessionStillRunning(session_id)
    answer = await lab.read(lambda db: queries.last_answer(db, session_id))
    if answer is None:
        raise errors.NoResult(session_id)
    return {"result": answer}


@post(
    "/sessions/{session_id:str}/stop",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.SessionStopped, refuses=(409,)),
)
async def stop_session(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """Stops a session and what runs below it, and says what came of it within a few seconds."""
    token(session_id, "session_id")
    ended = await family.stop_family(lab, session_id)
    after = ended.session
    return {
        "success": True,
        "ok": True,
        "session_id": session_id,
        "status": "stopping" if after.is_running else "stopped",
        "message": _in_words(after),
        "session_status": after.status,
        "children_stopped": ended.children_stopped,
        "children_not_stopped": ended.children_not_stopped,
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


@patch("/sessions/{session_id:str}/metadata", opt=described(example=examples.NAMES, answers=answers.SessionDescribed))
async def describe_session(lab: TheLab, session_id: Id, data: JSONBody[Describe]) -> dict[str, Any]:
    """Changes the names of a session. The session's fields stand at the top level too: one kind of client reads them there."""
    token(session_id, "session_id")
    found = await lab.read(lambda db: queries.session(db, session_id))
    await lab.write(commands.describe_session(found, session_id, data, lab.now()))
    told = wire.view(await known(lab, session_id))
    return {"ok": True, "session": told, **{name: getattr(told, name) for name in told.__struct_fields__}}


@delete(
    "/sessions/{session_id:str}",
    status_code=200,
    opt=described(scope=Scope.CONTROL, answers=answers.SessionDeleted, refuses=(409,)),
)
async def delete_session(lab: TheLab, session_id: Id) -> dict[str, Any]:
    """Forgets a session, and purges its bodies from the log; one that an agent works on is stopped first."""
    try:
        found = await known(lab, session_id)
    except errors.SessionUnknown:
        await _finish_purge(lab, session_id)
        raise
    if found.is_running and found.requested:
        found = await ending.stop_session(lab, session_id)
    count, spent = await lab.read(lambda db: (queries.count_events(db, session_id), queries.spent(db, session_id)))
    event = commands.delete_session(found, session_id, spent, lab.now())
    await _purge(lab, session_id, before=await lab.write(event, shown_within_s=_FORGOTTEN_WITHIN_S))
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


ROUTES = [
    list_sessions, create_session, get_session, get_status, get_result, stop_session, describe_session, delete_session,
]  # fmt: skip
