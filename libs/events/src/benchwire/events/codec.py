"""Events to bytes and back.

The body is the tagged record as JSON. Headers carry what is not part of the fact: ``Nats-Msg-Id`` (the event's id),
``Bench-Event-Version`` (absent means 1), ``Bench-Caused-By`` (the id of what it answers) and ``traceparent``.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import uuid_utils

from benchwire.events import catalog, upcasts
from benchwire.events.event import Event

MSG_ID = "Nats-Msg-Id"
VERSION = "Bench-Event-Version"
COPIED = "Nats-Stream"  # on what a server gave out of a stream as the reply to a request
CAUSED_BY = "Bench-Caused-By"


class Unknown(msgspec.Struct, frozen=True):
    """A body this version cannot read: a type it does not know, or a newer version of one it does. Kept raw, counted."""

    tag: str
    version: int
    body: bytes


class Malformed(Exception):
    """A body that is not what its type says."""


# Beside what msgspec calls wrong: numbers of thousands of digits, times that no calendar in UTC holds, nesting without end.
_UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


class _Tag(msgspec.Struct):
    event_type: str


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(catalog.AnyEvent)
_tags = msgspec.json.Decoder(_Tag)


def new_id() -> str:
    """An id for an event: a UUIDv7, which sorts by time."""
    return str(uuid_utils.uuid7())


def encode(event: Event) -> bytes:
    """The body of ``event``."""
    return _encoder.encode(event)


def tag_of(event: Event) -> str:
    """The word that stands for its type on the wire."""
    return str(event.__struct_config__.tag)


def headers(event: Event, event_id: str, caused_by: str | None = None) -> dict[str, str]:
    """The headers that go with the body."""
    version = catalog.BY_TYPE[type(event)].version
    carried = {MSG_ID: event_id}
    if version != 1:
        carried[VERSION] = str(version)
    if caused_by is not None:
        carried[CAUSED_BY] = caused_by
    return carried


def decode(body: bytes, carried: Mapping[str, str] | None = None, subject: str | None = None) -> Event | Unknown:
    """The event in ``body``. Raises ``Malformed`` when a known type does not fit; an unknown one comes back as ``Unknown``.

    Where it came says who may have written it (see ``permissions``), what stands in it does not: one that came on another ``subject`` than its
    own is ``Malformed``, too. So is a reply that whoever asked had sent there.
    """
    event = _decoded(body, carried)
    if subject is None or isinstance(event, Unknown):
        return event
    if not catalog.travels_on(event, subject):
        raise Malformed(f"{tag_of(event)}: it came on {subject}, which is not where it travels")
    if carried is not None and COPIED in carried:
        raise Malformed(f"{tag_of(event)}: it was not published there, but asked for in a way that sent it there")
    return event


def _decoded(body: bytes, carried: Mapping[str, str] | None) -> Event | Unknown:
    version = _version(carried)
    try:
        if version == 1:
            return _newest_or_lifted(body)
        tag = _tags.decode(body).event_type
    except _UNREADABLE as error:
        return _unknown_or_malformed(body, version, error)
    entry = catalog.BY_TAG.get(tag)
    if entry is None or version > entry.version:
        return Unknown(tag, version, body)
    return _lift(tag, version, body)


def _newest_or_lifted(body: bytes) -> Event:
    if not upcasts.UPCASTS:
        return _decoder.decode(body)
    tag = _tags.decode(body).event_type
    return _lift(tag, 1, body) if (tag, 1) in upcasts.UPCASTS else _decoder.decode(body)


def _lift(tag: str, version: int, body: bytes) -> Event:
    try:
        fields: dict[str, Any] = msgspec.json.decode(body)
        return msgspec.convert(upcasts.lift(tag, version, fields), catalog.AnyEvent)  # type: ignore[no-any-return]
    except (*_UNREADABLE, KeyError, TypeError) as error:
        raise Malformed(f"{tag} version {version}: {error}") from error


def _unknown_or_malformed(body: bytes, version: int, error: Exception) -> Unknown:
    try:
        tag = _tags.decode(body).event_type
    except _UNREADABLE:
        raise Malformed(str(error)) from error
    if tag in catalog.BY_TAG:
        raise Malformed(f"{tag}: {error}") from error
    return Unknown(tag, version, body)


def _version(carried: Mapping[str, str] | None) -> int:
    text = carried.get(VERSION) if carried else None
    if text is None:
        return 1
    try:
        return int(text)
    except ValueError as error:
        raise Malformed(f"{VERSION} is {text!r}, not a number") from error
