"""Sessions as a whole: exported, imported, forked."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.exceptions import InternalServerException, MethodNotAllowedException
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

from benchwire.events.event import token
from benchwire.observability import errors, queries
from benchwire.observability.lab import Lab
from benchwire.observability.lines import lines
from benchwire.observability.queries import Changed
from benchwire.observability.routes.params import AnyRequest, Id, Text, TheLab
from benchwire.observability.transfer import forking
from benchwire.observability.transfer.exporting import exported
from benchwire.observability.transfer.importing import MAX_LINE_BYTES, Import, Tally
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import sessions as session_wire
from benchwire.observability.wire.transfer import Fork
from benchwire.web.described import described

_NDJSON = "application/x-ndjson"
_IMPORT = "import"


async def _known(lab: Lab, session_id: str) -> Changed:
    """The session of that id, and where it begins. Raises ``SessionUnknown``."""
    token(session_id, "session_id")
    found = await lab.read(lambda db: queries.some_sessions(db, [session_id]))
    if session_id not in found:
        raise errors.SessionUnknown(session_id)
    return found[session_id]


@get("/sessions/{session_id:str}/export", opt=described(answers={"type": "string"}, sends=_NDJSON))
async def export_session(lab: TheLab, session_id: Id) -> Stream:
    """The session as ``application/x-ndjson``: a line that says which, then a line for each of its events, as they stand in the log."""
    parts = exported(lab, await _known(lab, session_id))
    first = await anext(parts)  # what cannot begin is still answered with an error

    async def told() -> AsyncGenerator[bytes, None]:
        async with aclosing(parts):
            yield first
            async for part in parts:
                yield part

    name = f'attachment; filename="{_plain(session_id)}.ndjson"'
    return Stream(told(), media_type=_NDJSON, headers={"Content-Disposition": name, "Cache-Control": "no-store"})


def _plain(session_id: str) -> str:
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in session_id)


# Not a path of its own: that would hide GET and DELETE of a session which somebody has named "import".
@post(
    "/sessions/{session_id:str}",
    status_code=200,
    request_max_body_size=None,
    opt=described(bodies=examples.IMPORT, answers=answers.Imported, refuses=(405, 409)),
)
async def import_sessions(
    lab: TheLab,
    request: AnyRequest,
    session_id: Id,
    *,
    as_session: Annotated[str | None, QueryParameter(name="session_id")] = None,
    prefix: Text = None,
) -> Response[Any]:
    """``POST /sessions/import`` takes what ``/export`` gave, of one session or several. Repeated, it changes nothing; nothing is run.

    ``session_id`` gives the session another id, ``prefix`` goes before the ids of all.
    """
    if session_id != _IMPORT:
        raise MethodNotAllowedException
    work = Import(lab, session_id=as_session or None, prefix=prefix or "")
    try:
        tally = await work.take(lines(request.stream(), longest_bytes=MAX_LINE_BYTES))
    except InternalServerException as error:  # how Litestar says that the client is gone
        raise errors.Unusable(
            "the upload broke off; what came until then is kept, and repeating it adds the rest"
        ) from error
    await lab.shown(tally.sequence)
    return _counted(tally)


def _counted(tally: Tally) -> Response[Any]:
    told: dict[str, Any] = {
        "ok": not tally.rejected, "accepted": tally.accepted, "repeated": tally.repeated, "left_out": tally.left_out,
        "rejected": tally.rejected, "errors": sorted(tally.wrong, key=lambda one: one.line), "sessions": tally.sessions,
    }  # fmt: skip
    if tally.is_taken and (tally.sessions or not tally.rejected):
        return Response(told, status_code=200)
    status = 409 if tally.is_conflict else 400
    why = tally.wrong[0].detail if tally.wrong else "the body is empty"
    return Response(
        told | {"ok": False, "detail": f"nothing was imported: {why}", "status_code": status}, status_code=status
    )


@post(
    "/sessions/{session_id:str}/fork",
    status_code=200,
    opt=described(example=examples.FORK, answers=answers.Forked, refuses=(409,)),
)
async def fork_session(lab: TheLab, session_id: Id, data: JSONBody[Fork]) -> dict[str, Any]:
    """A new session with the conversation of this one up to the event ``at``; with a ``prompt`` an agent runner goes on with it."""
    made, copied = await forking.fork(lab, await _known(lab, session_id), data)
    return {"ok": True, "session": session_wire.view(made), "copied": copied}


ROUTES = [export_session, import_sessions, fork_session]
