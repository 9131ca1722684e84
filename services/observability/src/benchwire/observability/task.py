"""How far a task is, as far as decisions about it need to know."""

from enum import StrEnum

import msgspec

from benchwire.events.event import Event
from benchwire.events.task import (
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskRequested,
)

replace = msgspec.structs.replace

OF_ITS_LIFE: tuple[type[Event], ...] = (
    TaskRequested,
    TaskClaimed,
    TaskFinished,
    TaskFailed,
    TaskCancelRequested,
    TaskCancelled,
)
ENDS = (TaskFinished, TaskFailed, TaskCancelled)


class Status(StrEnum):
    """The words that clients know, and ``cancelling`` between two of them."""

    IN_PROGRESS = "in_progress"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The life of a task; without a ``runner`` it waits for one to take it."""

    status: Status = Status.IN_PROGRESS
    runner: str | None = None
    reason: str | None = None
    duration_s: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status in (Status.IN_PROGRESS, Status.CANCELLING)


def evolve(task: Task | None, event: Event) -> Task | None:  # noqa: PLR0911 - one line per event
    """The task after ``event``; None is one that nobody knows. The first end counts."""
    if task is None:
        return Task() if isinstance(event, TaskRequested) else None
    if not task.is_running:
        return task
    match event:
        case TaskClaimed():
            return replace(task, runner=event.runner)
        case TaskCancelRequested():
            return replace(task, status=Status.CANCELLING)
        case TaskFinished():
            return replace(task, status=Status.COMPLETED, duration_s=event.duration_s)
        case TaskFailed():
            return replace(task, status=Status.FAILED, reason=event.reason)
        case TaskCancelled():
            return replace(task, status=Status.CANCELLED, reason=event.reason)
        case _:
            return task
