"""The base of every word in the log, and the few value types that words share."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_TOKEN_BYTES = 128
_NOT_IN_TOKENS = frozenset("./*> ")

Name = Annotated[str, Meta(min_length=1, max_length=4096)]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="event_type", omit_defaults=True):
    """Something that happened. ``timestamp`` is when, in UTC; a time without a zone is taken as UTC.

    The body on the wire is this record as JSON. Its id, version and cause travel as headers (see ``codec``); its order and its time of
    arrival are JetStream's.
    """

    timestamp: datetime

    def __post_init__(self) -> None:
        if self.timestamp.tzinfo is None:
            msgspec.structs.force_setattr(self, "timestamp", self.timestamp.replace(tzinfo=UTC))
        elif self.timestamp.tzinfo is not UTC:
            msgspec.structs.force_setattr(self, "timestamp", self.timestamp.astimezone(UTC))


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes in the object store: ``digest`` is their SHA-256 in lower-case hex, and their address."""

    digest: str
    size_bytes: int
    name: str


class IllegalToken(ValueError):
    """A name that cannot stand in a subject or in a path; it is refused where it enters, never encoded."""

    def __init__(self, what: str, value: str) -> None:
        shown = value if len(value) <= 40 else value[:40] + "…"
        super().__init__(
            f"{what} {shown!r} cannot be used: it must be 1 to {MAX_TOKEN_BYTES} bytes long, "
            "without dots, slashes, white space, control characters, '*' or '>'"
        )


def token(value: str, what: str = "id") -> str:
    """``value``, when it can be one token of a subject. Raises ``IllegalToken``."""
    if not value or len(value) > MAX_TOKEN_BYTES or not _is_legal(value):
        raise IllegalToken(what, value)
    return value


def _is_legal(value: str) -> bool:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # a lone surrogate, as JSON escapes can spell
        return False
    # Of white space, only the plain space is printable.
    return size <= MAX_TOKEN_BYTES and value.isprintable() and _NOT_IN_TOKENS.isdisjoint(value)
