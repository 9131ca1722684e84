"""What a session is, folded from its events; rows and decisions follow from the same fold."""

from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from benchwire.events.event import Event
from benchwire.events.session import (
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionDeleted,
    SessionDescribed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    SessionStopRequested,
    ToolCalled,
    ToolReturned,
)

replace = msgspec.structs.replace

# The events that a decision about the life of a session needs; of what is said in it there may be thousands.
OF_ITS_LIFE: tuple[type[Event], ...] = (
    SessionRequested,
    SessionClaimed,
    SessionStarted,
    SessionEnded,
    SessionFailed,
    SessionStopRequested,
    SessionStopped,
    SessionDeleted,
)
ENDS = (SessionEnded, SessionFailed, SessionStopped, SessionDeleted)


class Status(StrEnum):
    """The words that clients know."""

    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session. Times are ISO 8601 in UTC with microseconds, so that they sort as text.

    ``requested`` says that an agent runner has it, or will take it; without that somebody outside runs it and reports through hooks.
    ``code`` is the word for programs of a failure. ``approvals`` counts the calls that wait for a person; only the rows know it.
    """

    session_id: str
    created_at: str
    modified_at: str
    status: Status = Status.RUNNING
    session_name: str | None = None
    project_dir: str | None = None
    agent_name: str | None = None
    parent_session_name: str | None = None
    parent_session_id: str | None = None
    forked_from_session_id: str | None = None
    forked_from_event_id: int | None = None
    requested: bool = False
    runner: str | None = None
    reason: str | None = None
    code: str | None = None
    approvals: int = 0

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status in (Status.RUNNING, Status.STOPPING)

    @property
    def is_queued(self) -> bool:
        """Whether it waits for a runner to take it."""
        return self.is_running and self.requested and self.runner is None


def iso(moment: datetime) -> str:
    """A time as it is kept and shown."""
    if moment.tzinfo is not UTC:  # which times of events are, and there are many
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def evolve(session: Session | None, event: Event) -> Session | None:
    """The session after ``event``; None is one that nobody knows. Any event makes an unknown session known, for hooks race."""
    session_id = getattr(event, "session_id", None)
    if session_id is None:
        return session
    if isinstance(event, SessionDeleted):
        return None
    at = iso(event.timestamp)
    known = session or Session(session_id=session_id, created_at=at, modified_at=at)
    return _after(_touched(known, at), event)


def _touched(session: Session, at: str) -> Session:
    return session if at <= session.modified_at else replace(session, modified_at=at)


def _after(session: Session, event: Event) -> Session:  # noqa: PLR0911 - one line per event
    match event:
        case SessionRequested():
            named = _named(session, event)
            return replace(named, status=Status.RUNNING, requested=True, runner=None, reason=None, code=None)
        case SessionClaimed():
            return replace(session, runner=event.runner) if session.is_running else session
        case SessionStarted():
            return _started(_named(session, event))
        case SessionEnded():
            return _ended(_named(session, event), Status.FINISHED, event.reason)
        case SessionFailed():
            return _ended(session, Status.FAILED, event.reason, code=event.code)
        case SessionStopRequested():
            return replace(session, status=Status.STOPPING) if session.is_running else session
        case SessionStopped():
            return _ended(session, Status.STOPPED, event.reason)
        case SessionDescribed():
            return _described(session, event)
        case MessageSent() | ToolCalled() | ToolReturned():
            return _named(session, event)
        case ModelUsed() | _:
            return session


def _started(session: Session) -> Session:
    # A runner that starts what is being stopped in the same moment has yet to see the stop.
    if session.status is Status.STOPPING:
        return session
    return replace(session, status=Status.RUNNING, reason=None, code=None)


def _ended(session: Session, status: Status, reason: str | None, *, code: str | None = None) -> Session:
    """The first end counts: a session that was stopped stays so, whatever its last hook reports."""
    if not session.is_running:
        return session
    return replace(session, status=status, reason=reason, code=code, requested=False, runner=None)


_NAMES = (
    "session_name", "project_dir", "agent_name", "parent_session_name", "parent_session_id",
    "forked_from_session_id", "forked_from_event_id",
)  # fmt: skip


def _named(session: Session, event: Event) -> Session:
    """Fills what nobody had said before; what is known is kept."""
    news = {
        field: value
        for field in _NAMES
        if getattr(session, field) is None and (value := getattr(event, field, None)) is not None
    }
    return replace(session, **news) if news else session


def _described(session: Session, event: SessionDescribed) -> Session:
    news = {
        field: value
        for field in ("session_name", "project_dir", "agent_name")
        if (value := getattr(event, field)) is not None
    }
    return replace(session, **news)
