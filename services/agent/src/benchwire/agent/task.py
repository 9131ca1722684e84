"""A task, folded from its events: where it stands, and what is already made, so that another runner can go on with it."""

from enum import StrEnum
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from benchwire.agent.takeovers import Takeovers
from benchwire.events.event import Event
from benchwire.events.task import (
    NodeAssigned,
    NodeDeploying,
    NodeFailed,
    NodeGenerated,
    NodeImageStored,
    NodeRetried,
    NodeSpec,
    NodeSucceeded,
    NodeTested,
    TaskCancelled,
    TaskCancelRequested,
    TaskClaimed,
    TaskFailed,
    TaskFinished,
    TaskPlanned,
    TaskRequested,
    UartLink,
)

TYPES: tuple[type[Event], ...] = (
    TaskRequested, TaskClaimed, TaskPlanned, NodeGenerated, NodeTested, NodeRetried, NodeImageStored, NodeDeploying,
    NodeSucceeded, NodeFailed,
    TaskFinished, TaskFailed, TaskCancelRequested, TaskCancelled,
)  # fmt: skip

Value = TypeVar("Value")


class Status(StrEnum):
    """``asked`` is a request that nobody took yet."""

    UNKNOWN = "unknown"
    ASKED = "asked"
    CLAIMED = "claimed"
    OVER = "over"


class Task(Struct, frozen=True, kw_only=True):
    """One task. ``plan`` is absent until it was made, and ``links`` belong to it.

    By node id: who ``succeeded``, the latest sources, what was found out about them, and why they were not good enough; the image that passed,
    the flash job that has it.
    """

    status: Status = Status.UNKNOWN
    request: TaskRequested | None = None
    runner: str | None = None
    attempt: int = 0
    takeovers: Takeovers = Takeovers()
    cancel_reason: str | None = None
    cancel_asked: bool = False
    plan: tuple[NodeSpec, ...] | None = None
    links: tuple[UartLink, ...] = ()
    succeeded: frozenset[str] = frozenset()
    drafts: dict[str, NodeGenerated] = {}
    tested: dict[str, NodeTested] = {}
    retried: dict[str, NodeRetried] = {}
    stored: dict[str, NodeImageStored] = {}
    flashing: dict[str, NodeDeploying] = {}


def evolve(task: Task, event: Event) -> Task:
    """The task after ``event``."""
    match event:
        case TaskRequested() if task.request is None:
            return replace(task, status=Status.ASKED, request=event)
        case TaskClaimed():
            return replace(
                task, status=Status.CLAIMED, runner=event.runner, attempt=event.attempt,
                takeovers=task.takeovers.claimed(event.timestamp),
            )  # fmt: skip
        case TaskPlanned():
            return replace(task, plan=tuple(event.nodes), links=tuple(event.links))
        case TaskCancelRequested():
            return replace(task, cancel_asked=True, cancel_reason=event.reason)
        case TaskFinished() | TaskFailed() | TaskCancelled():
            return replace(task, status=Status.OVER)
        case _:
            return _made(task, event)


def _made(task: Task, event: Event) -> Task:  # noqa: PLR0911 - one line per kind of event
    match event:
        case NodeGenerated():
            return replace(task, drafts={**task.drafts, event.node_id: event})
        case NodeTested():
            return replace(task, tested={**task.tested, event.node_id: event})
        case NodeRetried():
            return replace(task, retried={**task.retried, event.node_id: event})
        case NodeImageStored():
            return replace(task, stored={**task.stored, event.node_id: event})
        case NodeDeploying():
            return replace(task, flashing={**task.flashing, event.node_id: event})
        case NodeSucceeded():
            return replace(task, succeeded=task.succeeded | {event.node_id})
        case NodeFailed():
            return _forgotten(task, event.node_id)
        case _:
            return task


def _forgotten(task: Task, node_id: str) -> Task:
    """A node that failed begins anew with whoever takes the task over."""
    return replace(
        task, drafts=_without(task.drafts, node_id), tested=_without(task.tested, node_id), retried=_without(task.retried, node_id),
        stored=_without(task.stored, node_id), flashing=_without(task.flashing, node_id),
    )  # fmt: skip


def _without(known: dict[str, Value], node_id: str) -> dict[str, Value]:
    return {name: value for name, value in known.items() if name != node_id}


def assigned(node: NodeSpec, event: Event) -> NodeSpec:
    """The node after ``event``, which may say that it is for another board than the plan has.

    The plan's labels say which boards will do; a board that a person names will do anyway.
    """
    if not isinstance(event, NodeAssigned) or event.node_id != node.node_id:
        return node
    return replace(node, host=event.host, device=event.device, labels={} if event.device else node.labels)
