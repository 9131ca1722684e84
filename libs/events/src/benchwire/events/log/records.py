"""What is said of events around the log: where one stands, what a guard counts on, how an append went."""

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from benchwire.events import codec
from benchwire.events.event import Event
from benchwire.events.follow import Message

State = TypeVar("State")


class Expected(msgspec.Struct, frozen=True):
    """What a guarded append counts on: that nothing on ``filter`` came after ``sequence``."""

    sequence: int
    filter: str


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in the log."""

    sequence: int
    id: str
    event: Event
    received_at: datetime
    caused_by: str | None = None


class Decided(msgspec.Struct, Generic[State], frozen=True):
    """What came of a decision: the state it was made on, and the event, with its ``sequence``, unless there was nothing to do."""

    state: State
    event: Event | None
    sequence: int


class Append(msgspec.Struct, frozen=True, gc=False):
    """How it went with ``count`` events of one type that were appended together.

    ``outcome`` is ``acknowledged``, ``contended``, ``unavailable``, ``refused`` or ``cancelled``.
    """

    tag: str
    outcome: str
    duration_s: float
    count: int = 1


def recorded(message: Message) -> Recorded | codec.Unknown:
    """The event in a message. Raises ``codec.Malformed``."""
    event = codec.decode(message.body, message.headers, message.subject)
    if isinstance(event, codec.Unknown):
        return event
    headers = message.headers or {}
    # A message without an id was not written by this library; its place in the log is as good a name.
    return Recorded(
        sequence=message.sequence,
        id=headers.get(codec.MSG_ID) or f"seq-{message.sequence}",
        event=event,
        received_at=message.received_at,
        caused_by=headers.get(codec.CAUSED_BY),
    )
