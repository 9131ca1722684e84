"""What people say to sessions, and whether a call of a tool may run."""

from datetime import datetime

from benchwire.events.session import MessageRequested, SessionRequested, ToolDecided
from benchwire.observability import errors, recipe
from benchwire.observability.approval import Approval, State
from benchwire.observability.blueprint import Blueprint
from benchwire.observability.commands.blueprints import can_start
from benchwire.observability.commands.sessions import turns
from benchwire.observability.message import Heard
from benchwire.observability.session import Session, Status
from benchwire.observability.wire.approvals import Decide
from benchwire.observability.wire.requests import Say

SOMEBODY = "a person"  # where neither a token nor the body tells who


def say(
    heard: Heard,
    blueprint: Blueprint | None,
    session_id: str,
    message_id: str,
    asked: Say,
    *,
    by: str | None,
    now: datetime,
) -> MessageRequested | SessionRequested | None:
    """A message for a session that runs; a request to go on with one that has ended, or with a fork. None when it was said before.

    Who goes on with a session has it as it was asked for last, unless they say otherwise; ``blueprint`` is that of its agent. Raises
    ``SessionUnknown``, ``SessionNotRunning``, ``NobodyListens`` and ``Unusable``.
    """
    if not asked.text.strip():
        raise errors.Unusable("text: it is blank; say something")
    recipe.checked_budget(asked.budget)
    max_turns = turns(asked.max_turns)
    known = heard.session
    if known is None:
        raise errors.SessionUnknown(session_id)
    if message_id in heard.messages:
        return None
    is_unbegun_fork = known.forked_from_session_id is not None and not known.requested
    if not known.is_running or is_unbegun_fork:
        agent_name = _agent(heard, known, blueprint)
        return _resumed(heard, known, message_id, asked, agent_name=agent_name, max_turns=max_turns, now=now)
    if not known.requested:
        raise errors.NobodyListens(session_id)
    if known.status is Status.STOPPING:
        raise errors.SessionNotRunning(session_id, known.status)
    return MessageRequested(timestamp=now, session_id=session_id, message_id=message_id, text=asked.text, by=by)


def _agent(heard: Heard, known: Session, blueprint: Blueprint | None) -> str | None:
    """Whose recipe the session goes on with. One that was only reported may have called its agent anything."""
    if known.agent_name is None or (heard.asked is None and blueprint is None):
        return None
    can_start(blueprint, known.agent_name)
    return known.agent_name


def _resumed(
    heard: Heard, known: Session, message_id: str, asked: Say, *, agent_name: str | None, max_turns: int, now: datetime
) -> SessionRequested:
    before = heard.asked
    return SessionRequested(
        timestamp=now, session_id=known.session_id, session_name=known.session_name or known.session_id, prompt=asked.text,
        agent_name=agent_name, project_dir=known.project_dir, parent_session_name=known.parent_session_name,
        parent_session_id=known.parent_session_id, message_id=message_id,
        model=asked.model or (before.model if before else None),
        max_turns=max_turns if asked.max_turns is not None or before is None else before.max_turns,
        budget=asked.budget or (before.budget if before else None),
        ask_before=before.ask_before if before else [],
    )  # fmt: skip


def decide_call(
    approval: Approval | None, session_id: str, tool_use_id: str, asked: Decide, *, by: str | None, now: datetime
) -> ToolDecided:
    """A person's word about a call that waits for it. Raises ``ApprovalUnknown`` and ``ApprovalOver``."""
    if approval is None:
        raise errors.ApprovalUnknown(session_id, tool_use_id)
    state = approval.state_at(now)
    if state is not State.WAITING:
        raise errors.ApprovalOver(tool_use_id, state, approval.by)
    who = by or SOMEBODY  # a decision of nobody is one that came too late
    return ToolDecided(
        timestamp=now, session_id=session_id, tool_use_id=tool_use_id, approved=asked.approve, reason=asked.reason, by=who
    )  # fmt: skip
