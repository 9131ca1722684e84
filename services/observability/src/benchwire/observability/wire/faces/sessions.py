"""Frames of sessions, and of facts that belong to none."""

from typing import Any

import msgspec

from benchwire.observability.wire.sessions import SessionView
from benchwire.web.faces import Pong


class Told(msgspec.Struct, kw_only=True, tag_field="type"):
    """A frame: ``seq`` is where in the log stands what it tells, and ``place`` also tells frames of one ``seq`` apart."""

    seq: int
    place: str


class InitFrame(Told, kw_only=True, tag="init"):
    """The first frame: the sessions there are."""

    sessions: list[SessionView]


class SessionEventFrame(Told, kw_only=True, tag="event"):
    """An event of a session: its own fields, with its place in the log as ``id``, and the ``session_name``."""

    data: dict[str, Any]


class FactFrame(Told, kw_only=True, tag="fact"):
    """A fact of the lab that belongs to no session, as it stands in the log."""

    data: dict[str, Any]


class SessionCreatedFrame(Told, kw_only=True, tag="session_created"):
    """A session that is new."""

    session: SessionView


class SessionUpdatedFrame(Told, kw_only=True, tag="session_updated"):
    """A session whose status or names changed."""

    session: SessionView


class SessionDeletedFrame(Told, kw_only=True, tag="session_deleted"):
    """A session that was deleted."""

    session_id: str


class DeltaFrame(msgspec.Struct, kw_only=True, tag_field="type", tag="delta"):
    """A piece of text as the model speaks it, for who asked for ``deltas``; the whole message follows as an event."""

    session_id: str
    text: str


OF_SESSIONS = (
    InitFrame,
    SessionEventFrame,
    FactFrame,
    SessionCreatedFrame,
    SessionUpdatedFrame,
    SessionDeletedFrame,
    DeltaFrame,
    Pong,
)
OF_A_SESSION = tuple(kind for kind in OF_SESSIONS if kind not in (FactFrame, DeltaFrame, Pong))
