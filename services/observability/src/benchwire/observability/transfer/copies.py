"""What of a session goes into another, and under which ids. Nothing here waits or looks anything up."""

import hashlib
from typing import Any

import msgspec

from benchwire.events.event import Event
from benchwire.events.session import (
    MessageRequested,
    MessageSent,
    ModelUsed,
    SessionClaimed,
    SessionDescribed,
    SessionEnded,
    SessionFailed,
    SessionRequested,
    SessionStarted,
    SessionStopped,
    SessionStopRequested,
    ToolApprovalRequested,
    ToolCalled,
    ToolDecided,
    ToolReturned,
)
from benchwire.observability.errors import Unusable

replace = msgspec.structs.replace

CONVERSATION: tuple[type[Event], ...] = (MessageSent, ToolCalled, ToolReturned)

Kept = (
    MessageSent
    | ToolCalled
    | ToolReturned
    | ToolApprovalRequested
    | ToolDecided
    | ModelUsed
    | SessionStarted
    | SessionEnded
    | SessionFailed
    | SessionStopped
    | SessionDescribed
)
_OF_A_RUNNER_THERE = (SessionClaimed, SessionStopRequested, MessageRequested)


def copy_id(session_id: str, tombstone: int, *parts: object) -> str:
    """The id of the copy of an event in ``session_id``: the same for the same ``parts``, so that a copy lands once.

    ``tombstone`` is where in the log a session of that name was deleted before, or 0: a new session of an old name gets its own copies.
    """
    key = "\0".join(map(str, (session_id, tombstone, *parts)))
    return "copy-" + hashlib.sha256(key.encode(errors="replace")).hexdigest()[:40]


def imported(event: Event, session_id: str, prefix: str = "") -> Kept | None:
    """``event`` as one of ``session_id``; None when it only meant something to the runners of the lab that it comes from.

    A request would start a run here, so it only makes the session known. ``prefix`` goes before the ids of other sessions, too. Raises
    ``Unusable`` for what no session may bring along.
    """
    match event:
        case SessionRequested():
            return SessionStarted(
                timestamp=event.timestamp, session_id=session_id, session_name=event.session_name, project_dir=event.project_dir,
                agent_name=event.agent_name, parent_session_name=event.parent_session_name,
                parent_session_id=_prefixed(event.parent_session_id, prefix), registered=True,
            )  # fmt: skip
        case SessionStarted():
            return replace(
                event,
                session_id=session_id,
                parent_session_id=_prefixed(event.parent_session_id, prefix),
                forked_from_session_id=_prefixed(event.forked_from_session_id, prefix),
            )
        case MessageSent() if event.role not in ("user", "assistant"):
            raise Unusable(f"role: it must be user or assistant, not {event.role[:40]!r}")
        case _ if isinstance(event, Kept):
            return replace(event, session_id=session_id)
        case _ if isinstance(event, _OF_A_RUNNER_THERE):
            return None
        case _:
            raise Unusable(f"event_type: {event.__struct_config__.tag} is not imported")


def _prefixed(session_id: str | None, prefix: str) -> str | None:
    return None if session_id is None else prefix + session_id


def forked(event: Event, session_id: str) -> Event:
    """An event of the conversation as one of the fork ``session_id``, which has a name of its own."""
    assert isinstance(event, MessageSent | ToolCalled | ToolReturned)
    return replace(event, session_id=session_id, session_name=None)


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Where a conversation is cut: after the event at ``at``, and what has to come along from behind it.

    ``open`` are tool calls whose results are still looked for, ``along`` the places of what belongs to them.
    """

    at: int
    open: frozenset[str] = frozenset()
    along: frozenset[int] = frozenset()
    is_whole: bool = False

    def has(self, sequence: int) -> bool:
        """Whether the event at ``sequence`` is in front of the cut, or comes along."""
        return sequence <= self.at or sequence in self.along


def cut_after(cut: Cut, sequence: int, event: Event) -> Cut:
    """The cut when the next event of the conversation is ``event``; ``is_whole`` once nothing behind it can matter any more."""
    if sequence <= cut.at:
        return replace(cut, open=_open_after(cut.open, event))
    answered = cut.open & _results(event)
    if answered:
        return replace(cut, open=cut.open - answered, along=cut.along | {sequence}, is_whole=cut.open == answered)
    if isinstance(event, ToolCalled) and event.tool_use_id in cut.open:
        return replace(cut, along=cut.along | {sequence})
    # The conversation went on without them: whoever ran them was interrupted.
    return replace(cut, is_whole=True) if isinstance(event, MessageSent) or not cut.open else cut


def _open_after(before: frozenset[str], event: Event) -> frozenset[str]:
    if isinstance(event, MessageSent):
        calls = _ids(event, "assistant", "tool_use", "id")
        results = _results(event)
        return (before if calls or results else frozenset()) - results | calls
    return before - _results(event)


def _results(event: Event) -> frozenset[str]:
    match event:
        case ToolReturned(tool_use_id=str(use)):
            return frozenset((use,))
        case MessageSent():
            return _ids(event, "user", "tool_result", "tool_use_id")
        case _:
            return frozenset()


def _ids(event: MessageSent, role: str, kind: str, field: str) -> frozenset[str]:
    if event.role != role:
        return frozenset()
    found: list[Any] = [block.get(field) for block in event.content if block.get("type") == kind]
    return frozenset(one for one in found if isinstance(one, str))
