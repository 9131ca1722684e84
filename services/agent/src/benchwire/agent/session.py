"""A session, folded from its events: where it stands, and the conversation so far, so that another runner can go on with it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchwire.events.event import Event
from benchwire.events.session import (
    MessageSent,
    SessionClaimed,
    SessionDeleted,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStopped,
    SessionStopRequested,
    ToolReturned,
)

TYPES: tuple[type[Event], ...] = (
    SessionRequested, SessionClaimed, MessageSent, ToolReturned,
    SessionEnded, SessionFailed, SessionStopRequested, SessionStopped, SessionDeleted,
)  # fmt: skip

Turn = dict[str, Any]

# A conversation begins with a person; an outside client may have reported only what the assistant said.
_UNRECORDED: Turn = {"role": "user", "content": [{"type": "text", "text": "(What was asked here is not recorded.)"}]}


class Status(StrEnum):
    """``asked`` is a request that nobody took yet."""

    UNKNOWN = "unknown"
    ASKED = "asked"
    CLAIMED = "claimed"
    OVER = "over"


class Session(Struct, frozen=True, kw_only=True):
    """One session. ``turns`` are messages as the Messages API shapes them; ``results`` the tool results by ``tool_use_id``."""

    status: Status = Status.UNKNOWN
    request: SessionRequested | None = None
    prompt_sent: bool = False
    runner: str | None = None
    attempt: int = 0
    stop_reason: str | None = None
    stop_asked: bool = False
    turns: tuple[Turn, ...] = ()
    results: dict[str, Turn] = {}


def evolve(session: Session, event: Event) -> Session:  # noqa: PLR0911 - one line per kind of event
    """The session after ``event``."""
    match event:
        case SessionRequested():
            return replace(session, status=Status.ASKED, request=event, prompt_sent=False, stop_asked=False)
        case SessionClaimed():
            return replace(session, status=Status.CLAIMED, runner=event.runner, attempt=event.attempt)
        case MessageSent():
            turns = (*session.turns, {"role": event.role, "content": event.content})
            return replace(session, turns=turns, prompt_sent=session.prompt_sent or event.role == "user")
        case ToolReturned(tool_use_id=str(use)):
            return replace(session, results={**session.results, use: _result(use, event)})
        case SessionStopRequested():
            return replace(session, stop_asked=True, stop_reason=event.reason)
        case SessionEnded() | SessionFailed() | SessionStopped() | SessionDeleted():
            return replace(session, status=Status.OVER)
        case _:
            return session


def _result(use: str, event: ToolReturned) -> Turn:
    output = event.tool_output
    said = output if isinstance(output, str) else "" if output is None else msgspec.json.encode(output).decode()
    content = event.error if event.error is not None else said
    return {"type": "tool_result", "tool_use_id": use, "content": content, "is_error": event.error is not None}


def conversation(session: Session) -> list[Turn]:
    """The messages to go on with: every tool call has its result, and roles take turns.

    A call whose result is not in the log gets an error as its result: its effect is unknown, so it is not run a second time unasked. What an
    outside client reported is put into the same order: each result right behind its call.
    """
    results = {**session.results, **_reported(session.turns)}
    messages: list[Turn] = []
    for turn in session.turns:
        _add(messages, {"role": turn["role"], "content": [block for block in turn["content"] if _is_said(block)]})
        uses = [block["id"] for block in turn["content"] if _is_call(block)]
        if uses:
            _add(messages, {"role": "user", "content": [results.get(use, _interrupted(use)) for use in uses]})
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, _UNRECORDED)
    if session.request is not None and not session.prompt_sent:
        _add(messages, prompt(session.request))
    return messages


def _reported(turns: Iterable[Turn]) -> dict[str, Turn]:
    blocks = (block for turn in turns if turn["role"] == "user" for block in turn["content"])
    results = (block for block in blocks if block.get("type") == "tool_result")
    return {use: block for block in results if isinstance(use := block.get("tool_use_id"), str)}


def _is_call(block: Turn) -> bool:
    match block:
        case {"type": "tool_use", "id": str(), "name": str(), "input": dict()}:
            return True
        case _:
            return False


def _is_said(block: Turn) -> bool:
    """Whether the API takes the block where it stands; results have their own place, and it refuses an empty text."""
    match block.get("type"):
        case "tool_result":
            return False
        case "tool_use":
            return _is_call(block)
        case "text":
            return bool(block.get("text"))
        case _:
            return True


def prompt(request: SessionRequested) -> Turn:
    """What was asked, as a message."""
    return {"role": "user", "content": [{"type": "text", "text": request.prompt}]}


def _add(messages: list[Turn], turn: Turn) -> None:
    if not turn["content"]:  # a model may say nothing, but must not be reminded of it: the API refuses an empty message
        return
    if messages and messages[-1]["role"] == turn["role"]:
        messages[-1] = {"role": turn["role"], "content": [*messages[-1]["content"], *turn["content"]]}
    else:
        messages.append(turn)


def _interrupted(use: str) -> Turn:
    text = "The runner was interrupted before this call's result was recorded; it may or may not have taken effect."
    return {"type": "tool_result", "tool_use_id": use, "content": text, "is_error": True}
