"""People and sessions: what is said to one, and the calls that wait for somebody's word."""

from functools import partial
from typing import Any

from litestar import get, post
from litestar.params import JSONBody

from benchwire.events.event import token
from benchwire.observability import agents, approval, commands, errors, message, queries
from benchwire.observability.approval import State
from benchwire.observability.lab import WRITE_DEADLINE_S, Lab
from benchwire.observability.message import Heard
from benchwire.observability.routes.calls import made_id
from benchwire.observability.routes.params import AnyRequest, Id, InState, Limit, TheLab
from benchwire.observability.routes.sessions import known
from benchwire.observability.session import iso
from benchwire.observability.wire import answers, examples
from benchwire.observability.wire import approvals as wire
from benchwire.observability.wire.requests import Say
from benchwire.web.described import described
from benchwire.web.scopes import name_of
from benchwire.web.tokens import Scope

MOST_SHOWN = 1000


# What is said to a session


@post(
    "/sessions/{session_id:str}/messages",
    status_code=202,
    opt=described(scope=Scope.CONTROL, example=examples.SAY, answers=answers.MessageTaken, refuses=(409,)),
)
async def say(lab: TheLab, request: AnyRequest, session_id: Id, data: JSONBody[Say]) -> dict[str, Any]:
    """Says something to a session: one that runs hears it at its next turn, one that has ended goes on with it.

    The same ``message_id`` again changes nothing. A session that is run outside of the lab cannot be told anything while it runs.
    """
    message_id = token(data.message_id or made_id("msg-", request), "message_id")
    there = await known(lab, session_id)
    await _check_whole(lab, session_id)
    blueprint = await agents.found(lab, there.agent_name) if there.agent_name else None
    by = name_of(request) or data.by
    made = await lab.log.decide(
        message.OF_ITS_LIFE, Heard(), message.evolve,
        lambda heard: commands.say(heard, blueprint, session_id, message_id, data, by=by, now=lab.now()),
        deadline_s=WRITE_DEADLINE_S, session_id=session_id,
    )  # fmt: skip
    await lab.shown(made.sequence)
    way = made.state.messages[message_id]
    return {"ok": True, "session_id": session_id, "message_id": message_id, "status": way}


async def _check_whole(lab: Lab, session_id: str) -> None:
    """Whoever hears it reads all that was said before out of the log. Raises ``HistoryGone``."""
    found = await lab.read(lambda db: queries.some_sessions(db, [session_id]))
    if session_id in found:
        await lab.log.check_whole(found[session_id].created_sequence, f"session {session_id!r}")


# Calls that wait for somebody's word


async def _shown(lab: Lab, *, limit: int | None, session_id: str | None, state: State | None) -> dict[str, Any]:
    now = iso(lab.now())
    found = await lab.read(
        partial(queries.approvals, now=now, limit=limit or MOST_SHOWN, session_id=session_id, state=state)
    )
    return {"approvals": [wire.approval_view(row, now) for row in found]}


def _state(name: str | None) -> State | None:
    if name not in (None, *State):
        raise errors.Unusable(f"state: it must be one of {', '.join(State)}, not {str(name)[:40]!r}")
    return None if name is None else State(name)


@get("/approvals", opt=described(answers=answers.Approvals))
async def list_approvals(lab: TheLab, in_state: InState = None, limit: Limit = None) -> dict[str, Any]:
    """Calls of tools that wait, or waited, for a person, in all sessions; the newest of them, oldest first. ``state=waiting`` are those to decide."""
    return await _shown(lab, limit=limit, session_id=None, state=_state(in_state))


@get("/sessions/{session_id:str}/approvals", opt=described(answers=answers.Approvals))
async def list_approvals_of_session(
    lab: TheLab, session_id: Id, in_state: InState = None, limit: Limit = None
) -> dict[str, Any]:
    """The same of one session."""
    await known(lab, session_id)
    return await _shown(lab, limit=limit, session_id=session_id, state=_state(in_state))


@post(
    "/sessions/{session_id:str}/approvals/{tool_use_id:str}",
    status_code=200,
    opt=described(scope=Scope.CONTROL, example=examples.DECISION, answers=answers.Decided, refuses=(409,)),
)
async def decide(
    lab: TheLab, request: AnyRequest, session_id: Id, tool_use_id: Id, data: JSONBody[wire.Decide]
) -> dict[str, Any]:
    """Says whether a call that waits may run. Of several who say so at once, one does; the others are told (409)."""
    token(session_id, "session_id")
    by = name_of(request) or data.by
    made = await lab.log.decide(
        approval.OF_ITS_LIFE, None, partial(approval.evolve, tool_use_id),
        lambda found: commands.decide_call(found, session_id, tool_use_id, data, by=by, now=lab.now()),
        deadline_s=WRITE_DEADLINE_S, session_id=session_id,
    )  # fmt: skip
    await lab.shown(made.sequence)
    unknown = errors.ApprovalUnknown(session_id, tool_use_id)  # deleted in this very moment
    row = await lab.found(lambda db: queries.approval(db, session_id, tool_use_id), unknown)
    return {"ok": True, "approval": wire.approval_view(row, iso(lab.now()))}


ROUTES = [say, list_approvals, list_approvals_of_session, decide]
