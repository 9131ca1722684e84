"""Sessions: agents of the lab, spoken to from outside."""

from typing import Annotated

from pydantic import Field

from benchwire.client import Lab, Refused
from benchwire.client.records import Session
from benchwire.mcp.reach import Ctx, of_lab
from benchwire.mcp.shapes import ApprovalList, ApprovalShape, Ended, SaidShape, SessionList, SessionShape, cut
from benchwire.mcp.tools.kinds import SessionId, adds, changes, reads
from benchwire.mcp.waiting import Wait, waited

_NOTHING_SAID = (404, 409)  # it runs still, or ended without a word


async def start_session(
    ctx: Ctx,
    *,
    prompt: str,
    agent: Annotated[str | None, Field(description="the blueprint that the agent is made of")] = None,
    name: Annotated[str | None, Field(description="what people see it called", max_length=128)] = None,
    model: str | None = None,
    max_turns: Annotated[int | None, Field(ge=1)] = None,
    ask_before: Annotated[list[str], Field(description="tools each call of which waits for an approval")] = [],  # noqa: B006 - pydantic copies it
    max_tokens: Annotated[int | None, Field(ge=1, description="the budget that ends it")] = None,
    max_usd: Annotated[float | None, Field(gt=0, description="the budget that ends it")] = None,
    max_wall_s: Annotated[float | None, Field(gt=0, description="the budget that ends it")] = None,
) -> SessionShape:
    """Has an agent of the lab work on a prompt, with a shell, files, the lab's boards and documents as its tools. Returns at once;
    wait_for_session waits.
    """
    budget = {"max_tokens": max_tokens, "max_usd": max_usd, "max_wall_s": max_wall_s}
    limited = {key: value for key, value in budget.items() if value is not None}
    asked = {
        "session_name": name, "agent_name": agent, "model": model, "max_turns": max_turns, "ask_before": ask_before,
        "budget": limited or None,
    }  # fmt: skip
    return SessionShape.of(await of_lab(ctx, lambda lab: lab.sessions.start(prompt, asked)))


async def list_sessions(
    ctx: Ctx,
    status: Annotated[str | None, Field(description="running, finished, stopped or failed; all when absent")] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
) -> SessionList:
    """The newest sessions and how each stands."""
    found = await of_lab(ctx, lambda lab: lab.sessions.newest(status=status, limit=limit))
    return SessionList(sessions=[SessionShape.of(one) for one in found])


async def get_session(ctx: Ctx, session_id: SessionId) -> SessionShape:
    """How a session stands and, once it has ended, what its agent said last."""
    return await of_lab(ctx, lambda lab: _shown(lab, lab.sessions.one(session_id)))


async def wait_for_session(ctx: Ctx, session_id: SessionId, wait_s: Wait = 120.0) -> SessionShape:
    """Waits until a session has ended, a call of it waits for an approval, or the time is up; how it stands then, with its result."""
    found = await waited(
        ctx, lambda: of_lab(ctx, lambda lab: lab.sessions.one(session_id)),
        is_over=lambda session: session.is_over or session.approvals > 0, told=lambda session: session.status, wait_s=wait_s,
    )  # fmt: skip
    return await of_lab(ctx, lambda lab: _shown(lab, found))


async def say_to_session(ctx: Ctx, session_id: SessionId, text: str) -> SaidShape:
    """Says something to a session: one that runs hears it at its next turn, one that has ended goes on with it."""
    return SaidShape.of(await of_lab(ctx, lambda lab: lab.sessions.say(session_id, text)))


async def stop_session(ctx: Ctx, session_id: SessionId) -> Ended:
    """Stops a session and those that it started."""
    return Ended.of(await of_lab(ctx, lambda lab: lab.sessions.stop(session_id)), id=session_id)


async def list_approvals(
    ctx: Ctx,
    session_id: Annotated[str | None, Field(description="of this session; of all when absent")] = None,
    state: Annotated[str | None, Field(description="waiting, approved, denied, expired or void; null for all")] = "waiting",
) -> ApprovalList:  # fmt: skip
    """Calls of tools that wait for somebody's word before they run."""
    found = await of_lab(ctx, lambda lab: lab.sessions.approvals(session_id, state=state, limit=100))
    return ApprovalList(approvals=[ApprovalShape.of(one) for one in found])


async def decide_approval(
    ctx: Ctx,
    session_id: SessionId,
    tool_use_id: str,
    approve: Annotated[bool, Field(description="true lets the call run, false denies it")],
    reason: Annotated[str | None, Field(description="the agent is told of it", max_length=4000)] = None,
) -> ApprovalShape:
    """Approves or denies a call that waits. What it would do stands in list_approvals."""
    decided = await of_lab(
        ctx, lambda lab: lab.sessions.decide(session_id, tool_use_id, approve=approve, reason=reason, by="mcp")
    )
    return ApprovalShape.of(decided)


def _shown(lab: Lab, session: Session) -> SessionShape:
    result = None
    if session.is_over:
        try:
            result = cut(lab.sessions.result(session.session_id))
        except Refused as error:
            if error.status_code not in _NOTHING_SAID:
                raise
    return SessionShape.of(session, result=result)


TOOLS = [
    adds(start_session), reads(list_sessions), reads(get_session), reads(wait_for_session), adds(say_to_session), changes(stop_session),
    reads(list_approvals), changes(decide_approval),
]  # fmt: skip
