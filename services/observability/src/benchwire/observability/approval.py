"""A call of a tool that waits for a person, folded from its events."""

from datetime import datetime
from enum import StrEnum

import msgspec

from benchwire.events.event import Event
from benchwire.events.session import SessionDeleted, ToolApprovalRequested, ToolDecided
from benchwire.observability import session

replace = msgspec.structs.replace

# The events that a decision about a call needs: it is over with its session, too.
OF_ITS_LIFE: tuple[type[Event], ...] = (ToolApprovalRequested, ToolDecided, *session.ENDS)


class State(StrEnum):
    """The words that clients know. ``expired`` is one that nobody decided in time, ``void`` one whose session ended first."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    VOID = "void"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked about one call, and what became of it."""

    asked_at: datetime
    expires_at: datetime
    state: State = State.WAITING
    decided_at: datetime | None = None
    by: str | None = None
    reason: str | None = None

    def state_at(self, now: datetime) -> State:
        """Its state, also when its runner did not live to say that the time is up."""
        return State.EXPIRED if self.state is State.WAITING and self.expires_at <= now else self.state


def evolve(tool_use_id: str, approval: Approval | None, event: Event) -> Approval | None:
    """The approval of the call ``tool_use_id`` after ``event``; None is one that nobody asked for. A call may be asked about anew."""
    match event:
        case ToolApprovalRequested():
            asked = Approval(asked_at=event.timestamp, expires_at=event.expires_at)
            return asked if event.tool_use_id == tool_use_id else approval
        case ToolDecided():
            return _decided(approval, event) if event.tool_use_id == tool_use_id else approval
        case SessionDeleted():
            return None
        case _ if isinstance(event, session.ENDS):
            return _over(approval, event)
        case _:
            return approval


def _decided(approval: Approval | None, event: ToolDecided) -> Approval | None:
    """The first decision counts."""
    if approval is None or approval.state is not State.WAITING:
        return approval
    state = State.APPROVED if event.approved else State.EXPIRED if event.by is None else State.DENIED
    return replace(approval, state=state, decided_at=event.timestamp, by=event.by, reason=event.reason)


def _over(approval: Approval | None, event: Event) -> Approval | None:
    if approval is None or approval.state is not State.WAITING:
        return approval
    return replace(approval, state=State.VOID, decided_at=event.timestamp, reason="its session has ended")
