"""Sessions and their events."""

from typing import Literal

import msgspec

from benchwire.observability.wire.sessions import SessionView


class Sessions(msgspec.Struct):
    """``next_cursor`` is there when a ``limit`` was given."""

    sessions: list[SessionView]
    next_cursor: str | msgspec.UnsetType | None = msgspec.UNSET


class OneSession(msgspec.Struct):
    """A session."""

    session: SessionView


class SessionMade(msgspec.Struct):
    """A session that was made or changed."""

    ok: Literal[True]
    session: SessionView


class SessionDescribed(SessionView, frozen=True, kw_only=True):
    """A session that was changed; its fields stand at the top level too."""

    ok: Literal[True]
    session: SessionView


class SessionWord(msgspec.Struct):
    """``status`` is one of four words; what stands beside it is absent for a session that is not there."""

    status: Literal["running", "finished", "stopped", "not_existent"]
    session_status: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    code: str | msgspec.UnsetType | None = msgspec.UNSET


class SessionResult(msgspec.Struct):
    """What the assistant said last."""

    result: str


class NotStopped(msgspec.Struct):
    """A session below the one that was stopped that was not seen to end, and why."""

    session_id: str
    detail: str


class SessionStopped(msgspec.Struct):
    """``status`` is ``stopping`` when its runner has not answered yet; ``session_status`` says how it ended.

    ``children_stopped`` are the sessions below it that ended with it.
    """

    success: Literal[True]
    ok: Literal[True]
    session_id: str
    status: Literal["stopped", "stopping"]
    message: str
    session_status: str
    children_stopped: list[str]
    children_not_stopped: list[NotStopped]


class Forgotten(msgspec.Struct):
    """What was deleted of a session."""

    session: bool
    events_count: int


class SessionDeleted(msgspec.Struct):
    """A session that is gone."""

    ok: Literal[True]
    session_id: str
    deleted: Forgotten


class Forked(msgspec.Struct):
    """A session that was forked; ``copied`` counts the events that it has of the other."""

    ok: Literal[True]
    session: SessionView
    copied: int
