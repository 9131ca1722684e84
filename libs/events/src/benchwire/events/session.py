"""Sessions: one conversation with an agent, or one run of an outside client that reports through hooks."""

from datetime import datetime
from typing import Any

import msgspec

from benchwire.events.event import Event


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one run of a session may spend: tokens (in and out, written to and read from the cache), US dollars, seconds on the clock.

    A field that is absent is no limit. A run begins with ``session_requested``, so that a session which is gone on with has all of it again.
    """

    max_tokens: int | None = None
    max_usd: float | None = None
    max_wall_s: float | None = None


class SessionRequested(Event, frozen=True, kw_only=True, tag="session_requested"):
    """Somebody wants an agent to work on ``prompt``. The queue of the agent runners. On a session that has ended: to go on with it.

    ``parent_session_id`` names the session that this one works for; ``parent_session_name`` is how older clients say it. ``message_id`` is that
    of the message that ``prompt`` came as, if it did. ``ask_before`` names tools that wait for a person, beside those of the blueprint.
    """

    session_id: str
    session_name: str
    prompt: str
    agent_name: str | None = None
    project_dir: str | None = None
    parent_session_name: str | None = None
    model: str | None = None
    max_turns: int = 50
    parent_session_id: str | None = None
    budget: Budget | None = None
    ask_before: list[str] = []
    message_id: str | None = None


class SessionClaimed(Event, frozen=True, kw_only=True, tag="session_claimed"):
    """A runner took the session; ``attempt`` counts takers, so that one that was cut off learns that it lost it."""

    session_id: str
    runner: str
    attempt: int = 1


class SessionStarted(Event, frozen=True, kw_only=True, tag="session_start"):
    """The session runs. A second one on a known id is a resume.

    ``registered`` says that it was only made known by name; whoever runs it has yet to report. One that goes on from the middle of another
    says which, and after which of its events (their place in the log that it was forked in).
    """

    session_id: str
    session_name: str | None = None
    project_dir: str | None = None
    agent_name: str | None = None
    parent_session_name: str | None = None
    registered: bool = False
    parent_session_id: str | None = None
    forked_from_session_id: str | None = None
    forked_from_event_id: int | None = None


class MessageRequested(Event, frozen=True, kw_only=True, tag="message_requested"):
    """A person has something to say to a session that runs; it enters the conversation, as a ``message`` with this id, at the next turn."""

    session_id: str
    message_id: str
    text: str
    by: str | None = None


class MessageSent(Event, frozen=True, kw_only=True, tag="message"):
    """A turn of the conversation: ``content`` is a list of blocks as the Messages API shapes them.

    ``message_id`` is that of the ``message_requested`` that this is.
    """

    session_id: str
    role: str
    content: list[dict[str, Any]]
    session_name: str | None = None
    message_id: str | None = None


class ToolApprovalRequested(Event, frozen=True, kw_only=True, tag="tool_approval_requested"):
    """A tool waits for a person to say whether it may run; after ``expires_at`` that is a no."""

    session_id: str
    tool_use_id: str
    tool_name: str
    tool_input: dict[str, Any] = msgspec.field(default_factory=dict)
    expires_at: datetime


class ToolDecided(Event, frozen=True, kw_only=True, tag="tool_decided"):
    """Whether a tool that waited may run. ``by`` is who said so; absent when nobody did in time."""

    session_id: str
    tool_use_id: str
    approved: bool
    reason: str | None = None
    by: str | None = None


class ToolCalled(Event, frozen=True, kw_only=True, tag="pre_tool"):
    """A tool is about to run with ``tool_input``."""

    session_id: str
    tool_name: str
    tool_input: dict[str, Any] = msgspec.field(default_factory=dict)
    tool_use_id: str | None = None
    session_name: str | None = None


class ToolReturned(Event, frozen=True, kw_only=True, tag="post_tool"):
    """A tool answered with ``tool_output``, or failed with ``error``."""

    session_id: str
    tool_name: str
    tool_input: dict[str, Any] = msgspec.field(default_factory=dict)
    tool_output: Any = None
    error: str | None = None
    tool_use_id: str | None = None
    duration_s: float | None = None
    session_name: str | None = None


class ModelUsed(Event, frozen=True, kw_only=True, tag="model_usage"):
    """What one model call cost, in tokens, and why the model stopped."""

    session_id: str
    model: str
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    stop_reason: str | None = None
    duration_s: float | None = None


class SessionEnded(Event, frozen=True, kw_only=True, tag="session_stop"):
    """The session came to its own end."""

    session_id: str
    exit_code: int = 0
    reason: str | None = None
    session_name: str | None = None


class SessionFailed(Event, frozen=True, kw_only=True, tag="session_failed"):
    """The session ended without doing what it was asked, and why.

    ``code`` is for programs: ``budget_tokens``, ``budget_usd``, ``budget_wall``, ``max_turns``, ``max_tokens``, ``refusal``, ``model``, ``agent``.
    """

    session_id: str
    reason: str
    code: str | None = None


class SessionStopRequested(Event, frozen=True, kw_only=True, tag="session_stop_requested"):
    """Somebody wants the session to end now."""

    session_id: str
    reason: str | None = None


class SessionStopped(Event, frozen=True, kw_only=True, tag="session_stopped"):
    """The session was ended on request: its model call and its subprocesses are gone."""

    session_id: str
    reason: str | None = None


class SessionDescribed(Event, frozen=True, kw_only=True, tag="session_described"):
    """Names of a session were changed; a field that is absent keeps its value."""

    session_id: str
    session_name: str | None = None
    project_dir: str | None = None
    agent_name: str | None = None


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What model calls of one model on one day (UTC, ``2026-01-17``) cost, in tokens."""

    model: str
    day: str
    calls: int
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int


class SessionDeleted(Event, frozen=True, kw_only=True, tag="session_deleted"):
    """The tombstone of a session: its events are no longer shown. ``usage`` is what it had cost, which stays counted when they are gone."""

    session_id: str
    usage: list[Spent] = []


SessionEvent = (
    SessionRequested
    | SessionClaimed
    | SessionStarted
    | MessageRequested
    | MessageSent
    | ToolApprovalRequested
    | ToolDecided
    | ToolCalled
    | ToolReturned
    | ModelUsed
    | SessionEnded
    | SessionFailed
    | SessionStopRequested
    | SessionStopped
    | SessionDescribed
    | SessionDeleted
)
