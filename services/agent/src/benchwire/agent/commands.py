"""Who takes a piece of work, or keeps a board: decided from what is known, without looking anywhere."""

from collections.abc import Set
from datetime import datetime, timedelta

from msgspec.structs import replace

from benchwire.agent import session as sessions
from benchwire.agent import task as tasks
from benchwire.agent.errors import HeldByAnother
from benchwire.agent.session import Session
from benchwire.agent.task import Task
from benchwire.events.device import DeviceLeased
from benchwire.events.event import Event
from benchwire.events.session import SessionClaimed, SessionDeleted, SessionEnded, SessionFailed, SessionStopped
from benchwire.events.task import TaskCancelled, TaskClaimed, TaskFailed, TaskFinished

_ENDS = (SessionEnded, SessionFailed, SessionStopped, SessionDeleted, TaskFinished, TaskFailed, TaskCancelled)

# Who has the work, and whether it is over; of what happens in between there may be thousands.
LIFE_OF_SESSION: tuple[type[Event], ...] = (SessionClaimed, SessionEnded, SessionFailed, SessionStopped, SessionDeleted)
LIFE_OF_TASK: tuple[type[Event], ...] = (TaskClaimed, TaskFinished, TaskFailed, TaskCancelled)


def claim_session(
    session: Session, session_id: str, *, runner: str, gone: Set[str], now: datetime
) -> SessionClaimed | SessionStopped | None:
    """The claim of ``runner``; the end, when a stop was asked for before; None when there is nothing left to do.

    A claim of a runner that is ``gone``, or of ``runner`` itself before a restart, is taken over. Raises ``HeldByAnother``.
    """
    if session.status in (sessions.Status.OVER, sessions.Status.UNKNOWN):
        return None
    if session.status is sessions.Status.CLAIMED:
        _free(session.runner, runner, gone)
    if session.stop_asked:
        return SessionStopped(timestamp=now, session_id=session_id, reason=session.stop_reason)
    return SessionClaimed(timestamp=now, session_id=session_id, runner=runner, attempt=session.attempt + 1)


def claim_task(
    task: Task, task_id: str, *, runner: str, gone: Set[str], now: datetime
) -> TaskClaimed | TaskCancelled | None:
    """As ``claim_session``, for a task. Raises ``HeldByAnother``."""
    if task.status in (tasks.Status.OVER, tasks.Status.UNKNOWN):
        return None
    if task.status is tasks.Status.CLAIMED:
        _free(task.runner, runner, gone)
    if task.cancel_asked:
        return TaskCancelled(timestamp=now, task_id=task_id, reason=task.cancel_reason)
    return TaskClaimed(timestamp=now, task_id=task_id, runner=runner, attempt=task.attempt + 1)


def still_held(taken: SessionClaimed | TaskClaimed, before: bool, event: Event) -> bool:
    """Whether the work is held by the claim ``taken`` after ``event`` of its life."""
    if isinstance(event, SessionClaimed | TaskClaimed):
        return (event.runner, event.attempt) == (taken.runner, taken.attempt)
    return before and not isinstance(event, _ENDS)


def _free(holder: str | None, runner: str, gone: Set[str]) -> None:
    if holder is not None and holder != runner and holder not in gone:
        raise HeldByAnother(holder)


def renew(held: DeviceLeased | None, lease_id: str, *, for_s: float, now: datetime) -> DeviceLeased | None:
    """The lease of a device for ``for_s`` seconds from now; None when it is over."""
    if held is None or held.lease_id != lease_id:
        return None
    return replace(held, timestamp=now, expires_at=now + timedelta(seconds=for_s))
