"""A session as a file: a line that says which, then a line for each of its events, as it stands in the log. Sessions may follow each other."""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from benchwire.events import codec
from benchwire.events.event import Event, Name
from benchwire.events.follow import Message
from benchwire.events.session import Budget
from benchwire.observability.errors import Unusable
from benchwire.observability.wire.requests import Prompt
from benchwire.observability.wire.sessions import SessionView

Read = TypeVar("Read")

FORMAT = "benchwire-session"
VERSION = 1

_json = msgspec.json.Encoder()


class _Named(msgspec.Struct, frozen=True):
    session_id: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line: whose ``events`` follow, and how many."""

    format: str
    version: int
    session: _Named
    events: int | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One event: its id, its body, and the version of its type if that is not the first. The body is null where it could not be read."""

    id: Name
    event: msgspec.Raw
    version: int = 1


class _Line(msgspec.Struct):
    format: str | UnsetType = UNSET


_line = msgspec.json.Decoder(_Line)
_head = msgspec.json.Decoder(Head)
_record = msgspec.json.Decoder(Record)


def head(session: SessionView, events: int) -> bytes:
    """The first line of an export."""
    return _json.encode({"format": FORMAT, "version": VERSION, "events": events, "session": session}) + b"\n"


def record(message: Message) -> bytes:
    """The line of one event."""
    carried = message.headers or {}
    told: dict[str, Any] = {"id": carried.get(codec.MSG_ID) or f"seq-{message.sequence}"}
    if codec.VERSION in carried and carried[codec.VERSION].isdecimal():
        told["version"] = int(carried[codec.VERSION])
    return _json.encode({**told, "event": msgspec.Raw(_one_line(message))}) + b"\n"


def _one_line(message: Message) -> bytes:
    try:
        codec.decode(message.body, message.headers)
    except codec.Malformed:
        return b"null"
    return message.body if b"\n" not in message.body else _json.encode(msgspec.json.decode(message.body))


def is_head(line: bytes) -> bool:
    """Whether a line begins a session. Raises ``msgspec.MsgspecError`` and ``Unusable``."""
    return _read(_line, line).format is not UNSET


def head_of(line: bytes) -> Head:
    """What the first line of a session says. Raises ``msgspec.MsgspecError`` and ``Unusable``."""
    found = _read(_head, line)
    if found.format != FORMAT or found.version != VERSION:
        known = f"it must be version {VERSION} of {FORMAT}"
        raise Unusable(
            f"format: {known}, not version {found.version} of {found.format[:40]!r}; is this Benchwire too old?"
        )
    return found


def record_of(line: bytes) -> Record:
    """What the line of an event says. Raises ``msgspec.MsgspecError`` and ``Unusable``."""
    return _read(_record, line)


def _read(decoder: msgspec.json.Decoder[Read], line: bytes) -> Read:
    try:
        return decoder.decode(line)
    except RecursionError:
        raise Unusable("the line is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, msgspec.MsgspecError):
            raise
        raise Unusable(f"the line cannot be read: {error}") from error


def event_of(found: Record) -> Event:
    """The event of a line. Raises ``Unusable``."""
    if bytes(found.event).strip() == b"null":
        raise Unusable("the event could not be read where it was exported")
    try:
        event = codec.decode(bytes(found.event), {codec.VERSION: str(found.version)})
    except codec.Malformed as error:
        raise Unusable(f"event: {error}") from None
    if isinstance(event, codec.Unknown):
        raise Unusable(f"event_type: {event.tag[:40]!r} of version {event.version} is not known here")
    return event


class Fork(msgspec.Struct, kw_only=True):
    """Body of ``POST /sessions/{id}/fork``; what is absent is as in the session that is forked. With a ``prompt`` an agent runner goes on."""

    at: int | None = None
    session_id: Name | None = None
    session_name: Name | None = None
    prompt: Prompt | None = None
    agent_name: str | UnsetType | None = UNSET
    model: Name | None = None
    max_turns: int | None = None
    budget: Budget | None = None
    ask_before: list[str] = []
