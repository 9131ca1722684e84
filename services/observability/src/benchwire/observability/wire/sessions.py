"""Sessions and hooks as clients know them.

A session that was asked for and that no runner has taken yet is shown as ``running``: clients know no word for waiting, and one that waits
can be stopped like one that runs.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from benchwire.events import codec
from benchwire.events.event import token
from benchwire.events.log import Recorded
from benchwire.events.session import MessageSent, SessionEnded, SessionStarted, ToolCalled, ToolReturned
from benchwire.observability.errors import Unusable
from benchwire.observability.queries import Shown
from benchwire.observability.session import Session, Status

Hook = SessionStarted | ToolCalled | ToolReturned | SessionEnded | MessageSent

ROLES = ("user", "assistant")

_hooks: msgspec.json.Decoder[Hook] = msgspec.json.Decoder(Hook)
_text = msgspec.json.Encoder()


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as clients know it."""

    session_id: str
    session_name: str
    status: str
    created_at: str
    modified_at: str
    project_dir: str | None
    agent_name: str | None
    parent_session_name: str | None


def view(session: Session) -> SessionView:
    """``session`` as clients know it; one without a name is called by its id."""
    return SessionView(
        session_id=session.session_id,
        session_name=session.session_name or session.session_id,
        status=session.status,
        created_at=session.created_at,
        modified_at=session.modified_at,
        project_dir=session.project_dir,
        agent_name=session.agent_name,
        parent_session_name=session.parent_session_name,
    )


def status_word(session: Session | None) -> Literal["running", "finished", "stopped", "not_existent"]:
    """One of the four words of ``GET /sessions/{id}/status``: clients poll it until it is no longer ``running``."""
    if session is None:
        return "not_existent"
    if session.is_running:
        return "running"
    return "stopped" if session.status is Status.STOPPED else "finished"


def hook(body: bytes | str, session_id: str | None = None) -> Hook:
    """The event in a hook's body; fields that nobody knows are passed over. ``session_id`` stands in for an absent one.

    Raises ``msgspec.ValidationError`` and ``Unusable``, naming the field, and ``IllegalToken``.
    """
    try:
        event = _hooks.decode(body if session_id is None else _belonging_to(session_id, body))
    except OverflowError:
        raise Unusable("timestamp: it is outside of what a calendar holds") from None
    except RecursionError:
        raise Unusable("the body is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, msgspec.MsgspecError):
            raise
        raise Unusable(f"the body cannot be read: {error}") from error
    token(event.session_id, "session_id")
    if isinstance(event, MessageSent) and event.role not in ROLES:
        raise Unusable(f"role: it must be user or assistant, not {event.role[:40]!r}")
    if isinstance(event, SessionStarted) and event.registered:  # not theirs to say
        return msgspec.structs.replace(event, registered=False)
    return event


def _belonging_to(session_id: str, body: bytes | str) -> bytes:
    fields = msgspec.json.decode(body, type=dict[str, Any])
    if fields.setdefault("session_id", session_id) != session_id:
        raise Unusable("session_id: it is another one than in the path")
    return _text.encode(fields)


def event_json(shown: Shown) -> str:
    """An event as clients know it: its place in the log is its ``id``."""
    name = _text.encode(shown.session_name).decode()
    return f'{{"id":{shown.sequence},"session_name":{name},{shown.body[1:]}'


def events_json(page: Sequence[Shown], *, limit: int | None) -> bytes:
    """The answer with events; a page that is full says where the next one begins."""
    more = f',"next_after":{page[-1].sequence}' if limit is not None and len(page) == limit else ""
    return f'{{"events":[{",".join(map(event_json, page))}]{more}}}'.encode()


# Frames of /ws


def init_frame(sessions: Iterable[Session], sequence: int) -> str:
    """The first frame."""
    return _frame("init", sequence, sessions=[view(one) for one in sessions])


def event_frame(shown: Shown) -> str:
    """An event as it happens."""
    return f'{{"type":"event","seq":{shown.sequence},"data":{event_json(shown)}}}'


def fact_frame(one: Recorded) -> str:
    """A fact of the lab that belongs to no session, as it stands in the log."""
    return f'{{"type":"fact","seq":{one.sequence},"data":{codec.encode(one.event).decode()}}}'


def created_frame(session: Session, sequence: int) -> str:
    """A session that is new."""
    return _frame("session_created", sequence, session=view(session))


def updated_frame(session: Session, sequence: int) -> str:
    """A session whose status or names changed."""
    return _frame("session_updated", sequence, session=view(session))


def deleted_frame(session_id: str, sequence: int) -> str:
    """A session that is gone."""
    return _frame("session_deleted", sequence, session_id=session_id)


def _frame(kind: str, sequence: int, **fields: Any) -> str:
    return _text.encode({"type": kind, "seq": sequence, **fields}).decode()
