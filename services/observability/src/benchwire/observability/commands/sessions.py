"""Sessions: begun, stopped, closed, described, deleted."""

from collections.abc import Sequence
from datetime import datetime

from benchwire.events.event import Event, token
from benchwire.events.session import (
    SessionDeleted,
    SessionDescribed,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    SessionStopRequested,
    Spent,
)
from benchwire.observability import errors, recipe
from benchwire.observability.session import Session
from benchwire.observability.wire.requests import CreateSession, Describe

ASKED = "stopped on request"

DEFAULT_TURNS = 50
MAX_TURNS = 1000


def create_session(session: Session | None, asked: CreateSession, now: datetime) -> Event:
    """A session of a new id. Raises ``SessionExists`` and ``Unusable``."""
    token(asked.session_id, "session_id")
    if asked.parent_session_id is not None:
        token(asked.parent_session_id, "parent_session_id")
    if session is not None:
        raise errors.SessionExists(asked.session_id)
    if asked.prompt is None:
        return SessionStarted(
            timestamp=now, session_id=asked.session_id, session_name=asked.session_name, project_dir=asked.project_dir,
            agent_name=asked.agent_name, parent_session_name=asked.parent_session_name,
            parent_session_id=asked.parent_session_id, registered=True,
        )  # fmt: skip
    if not asked.prompt.strip():
        raise errors.Unusable(
            "prompt: it is blank; say what is to be done, or leave it out for a session that runs elsewhere"
        )
    return SessionRequested(
        timestamp=now, session_id=asked.session_id, session_name=asked.session_name, prompt=asked.prompt,
        agent_name=asked.agent_name, project_dir=asked.project_dir, parent_session_name=asked.parent_session_name,
        parent_session_id=asked.parent_session_id, model=asked.model, max_turns=turns(asked.max_turns),
        budget=recipe.checked_budget(asked.budget), ask_before=recipe.checked_tools(asked.ask_before, "ask_before"),
    )  # fmt: skip


def turns(max_turns: int | None) -> int:
    """How many turns a session may have. Raises ``Unusable``."""
    allowed = DEFAULT_TURNS if max_turns is None else max_turns
    if not 1 <= allowed <= MAX_TURNS:
        raise errors.Unusable(f"max_turns: it must be between 1 and {MAX_TURNS}")
    return allowed


def stop_session(
    session: Session | None, session_id: str, now: datetime, *, reason: str = ASKED
) -> SessionStopped | SessionStopRequested | None:
    """Its runner is told; one that has none, because nobody took it or because it runs outside, is stopped with that."""
    if session is None:
        raise errors.SessionUnknown(session_id)
    if not session.is_running:
        raise errors.SessionNotRunning(session_id, session.status)
    if session.runner is None:
        return SessionStopped(timestamp=now, session_id=session_id, reason=reason)
    if session.status == "stopping":
        return None
    return SessionStopRequested(timestamp=now, session_id=session_id, reason=reason)


def close_session(session: Session | None, gone: str, now: datetime) -> Event | None:
    """What the runner ``gone`` held, unless somebody else has it by now."""
    if session is None or not session.is_running or session.runner != gone:
        return None
    return SessionFailed(timestamp=now, session_id=session.session_id, reason=f"its runner {gone} is gone")


def describe_session(session: Session | None, session_id: str, asked: Describe, now: datetime) -> Event:
    """New names for a session."""
    if session is None:
        raise errors.SessionUnknown(session_id)
    if asked.session_name is None and asked.project_dir is None and asked.agent_name is None:
        raise errors.Unusable("nothing to change: give session_name, project_dir or agent_name")
    return SessionDescribed(
        timestamp=now, session_id=session_id, session_name=asked.session_name, project_dir=asked.project_dir, agent_name=asked.agent_name
    )  # fmt: skip


def delete_session(session: Session | None, session_id: str, usage: Sequence[Spent], now: datetime) -> Event:
    """The tombstone, which keeps what the session had cost. One that an agent still works on has to be stopped first."""
    if session is None:
        raise errors.SessionUnknown(session_id)
    if session.is_running and session.requested:
        raise errors.SessionBusy(session_id)
    return SessionDeleted(timestamp=now, session_id=session_id, usage=list(usage))
