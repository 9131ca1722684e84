"""Who takes a piece of work, or keeps a board: decided from what is known, without looking anywhere."""

from collections.abc import Set
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from benchwire.agent import session as sessions
from benchwire.agent import task as tasks
from benchwire.agent.errors import HeldByAnother
from benchwire.agent.session import Session
from benchwire.agent.takeovers import TOO_MANY
from benchwire.agent.task import Task
from benchwire.events.device import DeviceLeased
from benchwire.events.event import Event
from benchwire.events.session import (
    MessageRequested,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionStopped,
    ToolApprovalRequested,
    ToolDecided,
)
from benchwire.events.task import TaskCancelled, TaskClaimed, TaskFailed, TaskFinished

_ENDS = (SessionEnded, SessionFailed, SessionStopped, SessionDeleted, TaskFinished, TaskFailed, TaskCancelled)

# Who has the work, whether it is over, and what people said to it; of what happens in between there may be thousands.
LIFE_OF_SESSION: tuple[type[Event], ...] = (
    SessionClaimed, MessageRequested, SessionEnded, SessionFailed, SessionStopped, SessionDeleted,
)  # fmt: skip
LIFE_OF_TASK: tuple[type[Event], ...] = (TaskClaimed, TaskFinished, TaskFailed, TaskCancelled)
APPROVAL: tuple[type[Event], ...] = (ToolApprovalRequested, ToolDecided)


class Life(Struct, frozen=True, kw_only=True):
    """Whether a piece of work is ``held`` by a certain claim, and the ``letters`` that people wrote to it."""

    held: bool = False
    letters: tuple[MessageRequested, ...] = ()


def claim_session(
    session: Session, session_id: str, *, runner: str, gone: Set[str], now: datetime
) -> SessionClaimed | SessionStopped | SessionFailed | None:
    """The claim of ``runner``; the end, when a stop was asked for before, or too many were lost with it; None when there is nothing left to do.

    A claim of a runner that is ``gone``, or of ``runner`` itself before a restart, is taken over. Raises ``HeldByAnother``.
    """
    if session.status in (sessions.Status.OVER, sessions.Status.UNKNOWN):
        return None
    if session.status is sessions.Status.CLAIMED:
        _free(session.runner, runner, gone)
    if session.stop_asked:
        return SessionStopped(timestamp=now, session_id=session_id, reason=session.stop_reason)
    if session.takeovers.are_too_many:
        return SessionFailed(timestamp=now, session_id=session_id, reason=TOO_MANY, code="agent")
    return SessionClaimed(timestamp=now, session_id=session_id, runner=runner, attempt=session.attempt + 1)


def claim_task(
    task: Task, task_id: str, *, runner: str, gone: Set[str], now: datetime
) -> TaskClaimed | TaskCancelled | TaskFailed | None:
    """As ``claim_session``, for a task. Raises ``HeldByAnother``."""
    if task.status in (tasks.Status.OVER, tasks.Status.UNKNOWN):
        return None
    if task.status is tasks.Status.CLAIMED:
        _free(task.runner, runner, gone)
    if task.cancel_asked:
        return TaskCancelled(timestamp=now, task_id=task_id, reason=task.cancel_reason)
    if task.takeovers.are_too_many:
        return TaskFailed(timestamp=now, task_id=task_id, reason=TOO_MANY)
    return TaskClaimed(timestamp=now, task_id=task_id, runner=runner, attempt=task.attempt + 1)


def lived(taken: SessionClaimed | TaskClaimed, life: Life, event: Event) -> Life:
    """The life of the work after ``event``, as whoever made the claim ``taken`` sees it."""
    match event:
        case SessionClaimed() | TaskClaimed():
            return replace(life, held=(event.runner, event.attempt) == (taken.runner, taken.attempt))
        case MessageRequested():
            return replace(life, letters=(*life.letters, event))
        case SessionDeleted():
            return Life()
        case _:
            return replace(life, held=life.held and not isinstance(event, _ENDS))


def unread(life: Life, taken: Set[str]) -> list[MessageRequested]:
    """The letters that are not among those ``taken`` in, in their order."""
    return [letter for letter in life.letters if letter.message_id not in taken]


def decision_on(use: str, before: ToolDecided | None, event: Event) -> ToolDecided | None:
    """What is decided about the call ``use`` after ``event``; one that is asked about anew is not decided."""
    match event:
        case ToolApprovalRequested(tool_use_id=asked) if asked == use:
            return None
        case ToolDecided(tool_use_id=decided) if decided == use:
            return event
        case _:
            return before


def _free(holder: str | None, runner: str, gone: Set[str]) -> None:
    if holder is not None and holder != runner and holder not in gone:
        raise HeldByAnother(holder)


def renew(held: DeviceLeased | None, lease_id: str, *, for_s: float, now: datetime) -> DeviceLeased | None:
    """The lease of a device for ``for_s`` seconds from now; None when it is over."""
    if held is None or held.lease_id != lease_id:
        return None
    return replace(held, timestamp=now, expires_at=now + timedelta(seconds=for_s))
