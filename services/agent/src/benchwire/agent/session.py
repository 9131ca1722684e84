"""A session, folded from its events: where it stands, and the conversation so far, so that another runner can go on with it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchwire.agent.takeovers import Takeovers
from benchwire.events.event import Event
from benchwire.events.session import (
    MessageRequested,
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    SessionStopRequested,
    ToolApprovalRequested,
    ToolCalled,
    ToolDecided,
    ToolReturned,
)

TYPES: tuple[type[Event], ...] = (
    SessionRequested, SessionClaimed, MessageRequested, MessageSent, ModelUsed,
    ToolApprovalRequested, ToolDecided, ToolCalled, ToolReturned,
    SessionEnded, SessionFailed, SessionStopRequested, SessionStopped, SessionDeleted,
)  # fmt: skip

Turn = dict[str, Any]
Key = tuple[str, int]  # a call: the id that the model gave it, and which occurrence of that id it is, from 1

_OUTPUT_BLOCKS = ("text", "image", "document", "search_result")  # what the API takes as the result of a tool


class Status(StrEnum):
    """``asked`` is a request that nobody took yet."""

    UNKNOWN = "unknown"
    ASKED = "asked"
    CLAIMED = "claimed"
    OVER = "over"


class Said(Struct, frozen=True):
    """A message: ``content`` as the Messages API shapes it, and why the model stopped there, as far as that was recorded."""

    role: str
    content: list[Turn]
    stop_reason: str | None = None


class Session(Struct, frozen=True, kw_only=True):
    """One session.

    Its present run began with ``request``, was first claimed at ``began_at``, has the messages from ``run_at`` on, and made the model calls
    ``used``. ``letters`` are messages, by their ids, that nobody has taken in yet; ``taken`` those that are part of the conversation. By call:
    which were ``begun``, their ``results`` as blocks, and what was ``asked`` and ``decided`` about them. ``times`` counts how often an id
    was given to a call: not every endpoint gives each a new one.
    """

    status: Status = Status.UNKNOWN
    request: SessionRequested | None = None
    prompt_sent: bool = False
    runner: str | None = None
    attempt: int = 0
    takeovers: Takeovers = Takeovers()
    stop_reason: str | None = None
    stop_asked: bool = False
    began_at: datetime | None = None
    run_at: int = 0
    used: tuple[ModelUsed, ...] = ()
    said: tuple[Said, ...] = ()
    letters: dict[str, MessageRequested] = {}
    taken: frozenset[str] = frozenset()
    times: dict[str, int] = {}
    begun: frozenset[Key] = frozenset()
    results: dict[Key, Turn] = {}
    asked: dict[Key, ToolApprovalRequested] = {}
    decided: dict[Key, ToolDecided] = {}

    def key(self, use: str) -> Key:
        """The call that has that id at present."""
        return use, self.times.get(use, 0)

    @property
    def turns(self) -> int:
        """How often the model has answered in the present run."""
        return sum(one.role == "assistant" for one in self.said[self.run_at :])


def evolve(session: Session, event: Event) -> Session:  # noqa: PLR0911 - one line per kind of event
    """The session after ``event``."""
    match event:
        case SessionRequested():
            return replace(
                session, status=Status.ASKED, request=event, prompt_sent=False, stop_asked=False, began_at=None,
                run_at=len(session.said), used=(), takeovers=Takeovers(),
            )  # fmt: skip
        case SessionClaimed():
            began_at = session.began_at or event.timestamp
            return replace(
                session, status=Status.CLAIMED, runner=event.runner, attempt=event.attempt, began_at=began_at,
                takeovers=session.takeovers.claimed(event.timestamp),
            )  # fmt: skip
        case SessionStopRequested():
            return replace(session, stop_asked=True, stop_reason=event.reason)
        case SessionDeleted():
            return Session(status=Status.OVER, attempt=session.attempt)
        case SessionEnded() | SessionFailed() | SessionStopped():
            return replace(session, status=Status.OVER)
        case MessageRequested() if event.message_id not in session.taken:
            return replace(session, letters={**session.letters, event.message_id: event})
        case MessageSent():
            return _with_message(session, event)
        case ModelUsed():
            return _with_usage(session, event)
        case _:
            return _with_call(session, event)


def _with_message(session: Session, event: MessageSent) -> Session:
    calls = [block["id"] for block in event.content if event.role == "assistant" and is_call(block)]
    times = {**session.times, **{use: session.times.get(use, 0) + 1 for use in calls}} if calls else session.times
    is_letter = event.message_id in session.letters
    letters, taken = session.letters, session.taken
    if event.message_id is not None:
        letters = {name: one for name, one in letters.items() if name != event.message_id}
        taken |= {event.message_id}
    return replace(
        session, said=(*session.said, Said(event.role, event.content)), times=times, letters=letters, taken=taken,
        prompt_sent=session.prompt_sent or (event.role == "user" and not is_letter),
    )  # fmt: skip


def _with_usage(session: Session, event: ModelUsed) -> Session:
    """Usage is written right behind its message; that of an answer which broke off has none, and no reason either."""
    said = session.said
    if said and said[-1].role == "assistant" and said[-1].stop_reason is None:
        said = (*said[:-1], replace(said[-1], stop_reason=event.stop_reason))
    return replace(session, said=said, used=(*session.used, event))


def _with_call(session: Session, event: Event) -> Session:
    match event:
        case ToolApprovalRequested(tool_use_id=use):
            return replace(session, asked={**session.asked, session.key(use): event})
        case ToolDecided(tool_use_id=use):
            return replace(session, decided={**session.decided, session.key(use): event})
        case ToolCalled(tool_use_id=str(use)):
            return replace(session, begun=session.begun | {session.key(use)})
        case ToolReturned(tool_use_id=str(use)):
            return replace(session, results={**session.results, session.key(use): _result(use, event)})
        case _:
            return session


def _result(use: str, event: ToolReturned) -> Turn:
    output = event.tool_output
    said: Any = output if isinstance(output, str) or _are_blocks(output) else "" if output is None else _json(output)
    content = event.error if event.error is not None else said
    return {"type": "tool_result", "tool_use_id": use, "content": content, "is_error": event.error is not None}


def _are_blocks(output: Any) -> bool:
    return (
        isinstance(output, list)
        and bool(output)
        and all(isinstance(one, dict) and one.get("type") in _OUTPUT_BLOCKS for one in output)
    )


def _json(output: Any) -> str:
    return msgspec.json.encode(output).decode()


def is_call(block: Turn) -> bool:
    """Whether the block is a call of a tool, whole."""
    match block:
        case {"type": "tool_use", "id": str(), "name": str(), "input": dict()}:
            return True
        case _:
            return False
