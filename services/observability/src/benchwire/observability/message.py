"""What people say to a session, folded beside its life: who hears it depends on whether the session runs."""

from enum import StrEnum

import msgspec

from benchwire.events.event import Event
from benchwire.events.session import MessageRequested, SessionDeleted, SessionRequested
from benchwire.observability import session
from benchwire.observability.session import Session

replace = msgspec.structs.replace

OF_ITS_LIFE: tuple[type[Event], ...] = (*session.OF_ITS_LIFE, MessageRequested)


class Way(StrEnum):
    """``queued`` is a message that a running session hears at its next turn, ``resumed`` one that an ended session goes on with."""

    QUEUED = "queued"
    RESUMED = "resumed"


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A session, what it was last asked for, and the ways that messages took, by their ids."""

    session: Session | None = None
    asked: SessionRequested | None = None
    messages: dict[str, Way] = {}


def evolve(heard: Heard, event: Event) -> Heard:
    """The same after ``event``; of a session that was deleted nothing is left."""
    if isinstance(event, SessionDeleted):
        return Heard()
    after = replace(heard, session=session.evolve(heard.session, event))
    match event:
        case SessionRequested(message_id=str(message_id)):
            return replace(after, asked=event, messages={**heard.messages, message_id: Way.RESUMED})
        case SessionRequested():
            return replace(after, asked=event)
        case MessageRequested():
            return replace(after, messages={**heard.messages, event.message_id: Way.QUEUED})
        case _:
            return after
