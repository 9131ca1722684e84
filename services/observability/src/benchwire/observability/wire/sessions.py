"""Sessions and hooks as clients know them.

A session that was asked for and that no runner has taken yet is shown as ``running``: clients know no word for waiting, and one that waits
can be stopped like one that runs.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Literal, get_args

import msgspec

from benchwire.events import codec
from benchwire.events.event import token
from benchwire.events.live import SessionDelta
from benchwire.events.log import Recorded
from benchwire.events.session import MessageSent, SessionEnded, SessionStarted, ToolCalled, ToolReturned
from benchwire.observability.errors import Unusable
from benchwire.observability.queries import Shown
from benchwire.observability.session import Session, Status

Hook = SessionStarted | ToolCalled | ToolReturned | SessionEnded | MessageSent

ROLES = ("user", "assistant")
_TYPES = ", ".join(str(kind.__struct_config__.tag) for kind in get_args(Hook))


class _Whose(msgspec.Struct):
    session_id: str | msgspec.UnsetType = msgspec.UNSET


_hooks: msgspec.json.Decoder[Hook] = msgspec.json.Decoder(Hook)
_whose = msgspec.json.Decoder(_Whose)
_text = msgspec.json.Encoder()


class ForkedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session was forked: after the event of that id."""

    session_id: str
    event_id: int | None


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as clients know it. ``reason`` and ``code`` tell why it ended, ``approvals`` counts the calls that wait for a person."""

    session_id: str
    session_name: str
    status: str
    created_at: str
    modified_at: str
    project_dir: str | None
    agent_name: str | None
    parent_session_name: str | None
    parent_session_id: str | None
    forked_from: ForkedFrom | None
    reason: str | None
    code: str | None
    approvals: int


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
        parent_session_id=session.parent_session_id,
        forked_from=_forked_from(session),
        reason=session.reason,
        code=session.code,
        approvals=session.approvals,
    )


def _forked_from(session: Session) -> ForkedFrom | None:
    if session.forked_from_session_id is None:
        return None
    return ForkedFrom(session_id=session.forked_from_session_id, event_id=session.forked_from_event_id)


def session_json(session: Session) -> str:
    """A session as it stands in a list."""
    return _text.encode(view(session)).decode()


def sessions_json(listed: str) -> bytes:
    """The answer with all sessions; ``listed`` are sessions as JSON, with commas between them."""
    return f'{{"sessions":[{listed}]}}'.encode()


def sessions_page_json(listed: str, cursor: str | None) -> bytes:
    """The answer with a page of sessions; the last page has no cursor."""
    return f'{{"sessions":[{listed}],"next_cursor":{_text.encode(cursor).decode()}}}'.encode()


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
    except msgspec.ValidationError as error:
        if str(error).endswith("`$.event_type`"):
            raise Unusable(f"event_type: it must be one of {_TYPES}") from None
        raise
    except ValueError as error:
        if isinstance(error, msgspec.MsgspecError | Unusable):
            raise
        raise Unusable(f"the body cannot be read: {error}") from error
    token(event.session_id, "session_id")
    if isinstance(event, MessageSent) and event.role not in ROLES:
        raise Unusable(f"role: it must be user or assistant, not {event.role[:40]!r}")
    if isinstance(event, SessionStarted) and event.registered:  # not theirs to say
        return msgspec.structs.replace(event, registered=False)
    return event


def _belonging_to(session_id: str, body: bytes | str) -> bytes | str:
    said = _whose.decode(body).session_id
    if said is msgspec.UNSET:
        return _text.encode(msgspec.json.decode(body, type=dict[str, Any]) | {"session_id": session_id})
    if said != session_id:
        raise Unusable("session_id: it is another one than in the path")
    return body


def event_json(shown: Shown) -> str:
    """An event as clients know it: its place in the log is its ``id``."""
    name = _text.encode(shown.session_name).decode()
    return f'{{"id":{shown.sequence},"session_name":{name},{shown.body[1:]}'


def events_json(piece: Sequence[Shown]) -> str:
    """Events as they stand in a list."""
    return ",".join(map(event_json, piece))


def events_around(*, next_after: int | None, next_before: int | None) -> tuple[bytes, bytes]:
    """What stands before and behind the events of an answer; a page that is not the last one says where the next begins."""
    after = "" if next_after is None else f',"next_after":{next_after}'
    before = "" if next_before is None else f',"next_before":{next_before}'
    return b'{"events":[', f"]{after}{before}}}".encode()


# Frames of /ws


class Part(IntEnum):
    """What frames of one place in the log tell, in the order in which they are sent."""

    CREATED = 0
    SAID = 1
    UPDATED = 2
    DELETED = 3


class Frame(msgspec.Struct, frozen=True):
    """What clients are told, and where it belongs: no two frames have the same ``sequence`` and ``part``."""

    sequence: int
    part: Part
    kind: str
    text: str


def init_frame(listed: str, sequence: int) -> Frame:
    """The first frame; ``listed`` are sessions as JSON, with commas between them."""
    return Frame(
        sequence, Part.DELETED, "init", f'{{"type":"init",{_at(sequence, Part.DELETED)},"sessions":[{listed}]}}'
    )


def event_frame(shown: Shown) -> Frame:
    """An event as it happens."""
    text = f'{{"type":"event",{_at(shown.sequence, Part.SAID)},"data":{event_json(shown)}}}'
    return Frame(shown.sequence, Part.SAID, "event", text)


def fact_frame(one: Recorded) -> Frame:
    """A fact of the lab that belongs to no session, as it stands in the log."""
    text = f'{{"type":"fact",{_at(one.sequence, Part.SAID)},"data":{codec.encode(one.event).decode()}}}'
    return Frame(one.sequence, Part.SAID, "fact", text)


def delta_frame(delta: SessionDelta) -> str:
    """A piece of text as the model speaks it. It has no place in the log: the message that it belongs to comes as an event."""
    return _text.encode({"type": "delta", "session_id": delta.session_id, "text": delta.text}).decode()


def created_frame(session: Session, sequence: int) -> Frame:
    """A session that is new."""
    return _frame("session_created", Part.CREATED, sequence, session=view(session))


def updated_frame(session: Session, sequence: int) -> Frame:
    """A session whose status or names changed."""
    return _frame("session_updated", Part.UPDATED, sequence, session=view(session))


def deleted_frame(session_id: str, sequence: int) -> Frame:
    """A session that is gone."""
    return _frame("session_deleted", Part.DELETED, sequence, session_id=session_id)


def _frame(kind: str, part: Part, sequence: int, **fields: Any) -> Frame:
    told = _text.encode(fields).decode()
    return Frame(sequence, part, kind, f'{{"type":"{kind}",{_at(sequence, part)},{told[1:]}')


def _at(sequence: int, part: Part) -> str:
    """Where a frame belongs: ``seq`` in the log, and the ``place`` that ``?since=`` takes, which also tells frames of one ``seq`` apart."""
    return f'"seq":{sequence},"place":"{sequence}.{part}"'
