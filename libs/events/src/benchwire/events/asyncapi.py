"""The lab as an AsyncAPI 3.0 document: every subject with its event, who writes and who reads it, and the faces that clients follow.

Made from the catalog and the types; nothing in it is written by hand but the sentences of docstrings. What it cannot know by itself, because
a library knows no service, is given to ``document``: who reads what (``Reader``), and what is sent on sockets and streams (``Face``).
"""

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from benchwire.events import catalog, codec, tracing
from benchwire.events.asks import ASKS, Ask, Refused
from benchwire.events.catalog import CATALOG, Entry

VERSION = "3.0.0"
NATS = "nats"

Json = dict[str, Any]
Kind = type[msgspec.Struct]


class Reader(msgspec.Struct, frozen=True):
    """A consumer: the ``service`` that has it, what it is for, and its subject filters."""

    service: str
    purpose: str
    filters: tuple[str, ...]


class Face(msgspec.Struct, frozen=True, kw_only=True):
    """A socket or stream that clients open: ``sends`` are the frames they get, ``takes`` those they may send.

    A stream whose lines are text says in ``text`` what they are. ``query`` says what may stand behind the ``?``.
    """

    service: str
    name: str
    address: str
    protocol: Literal["ws", "sse"]
    what: str
    sends: tuple[Kind, ...] = ()
    takes: tuple[Kind, ...] = ()
    text: str = ""
    query: dict[str, str] = {}

    @property
    def channel(self) -> str:
        """What it is called in the document: subjects have the names of their events."""
        return f"{self.service}.{self.name}"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP service and where it listens unless it is told otherwise."""

    service: str
    host: str


_FACTS = catalog.FACTS.removesuffix(">")
_WORDS = re.compile(r"[^\w-]+")
_SNAKE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PARAMETER = re.compile(r"\{(\w+)\}")
_TRACE: Json = {
    tracing.TRACEPARENT: {"type": "string", "description": "W3C trace context of the span in which it was written."},
    tracing.TRACESTATE: {"type": "string", "description": "What the tracing systems on the way added."},
}
_OF_FACTS: Json = {
    "type": "object",
    "required": [codec.MSG_ID],
    "properties": {
        codec.MSG_ID: {"type": "string", "description": "The event's id: a retried publish lands once."},
        codec.VERSION: {"type": "string", "pattern": "^[1-9][0-9]*$", "default": "1", "description": "Of its type."},
        codec.CAUSED_BY: {"type": "string", "description": "The id of the event that it answers."},
        **_TRACE,
    },
}
_OF_SAMPLES: Json = {"type": "object", "properties": _TRACE}


def document(version: str, *, servers: Sequence[Server], readers: Sequence[Reader], faces: Sequence[Face]) -> Json:
    """The whole document."""
    kinds: list[Kind] = [*(entry.event for entry in CATALOG), Refused]
    kinds += [kind for ask in ASKS for kind in (ask.request, ask.answer)]
    kinds += [kind for face in faces for kind in (*face.sends, *face.takes)]
    payloads, schemas = _schemas(kinds)
    parts = [_of_event(_Part(payloads), entry, readers) for entry in CATALOG]
    parts += [*(_of_ask(_Part(payloads), ask) for ask in ASKS), *(_of_face(_Part(payloads), face) for face in faces)]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Benchwire",
            "version": version,
            "description": "Facts (`bench.`) are kept for ever, samples (`live.`) for an hour, `ask.` is request and reply.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            NATS: {"host": "127.0.0.1:4222", "protocol": "nats", "description": "JetStream."},
            **{name: server for one in servers for name, server in _servers(one)},
        },
        "channels": {name: one for part in parts for name, one in part.channels.items()},
        "operations": {name: one for part in parts for name, one in part.operations.items()},
        "components": {
            "messages": {name: one for part in parts for name, one in part.messages.items()},
            "schemas": {"HeadersOfFacts": _OF_FACTS, "HeadersOfSamples": _OF_SAMPLES, **schemas},
        },
    }


class _Part:
    """What one row of the catalog, or one face, adds. ``payloads`` are references to the schemas of all types."""

    def __init__(self, payloads: Mapping[Kind, Json]) -> None:
        self._payloads = payloads
        self.channels: dict[str, Json] = {}
        self.operations: dict[str, Json] = {}
        self.messages: dict[str, Json] = {}

    def channel(
        self, name: str, address: str | None, what: str, servers: Iterable[str], messages: Iterable[str]
    ) -> None:
        channel: Json = {
            "address": address,
            "description": what,
            "servers": [{"$ref": f"#/servers/{one}"} for one in servers],
            "messages": {one: {"$ref": f"#/components/messages/{one}"} for one in messages},
        }
        if names := _PARAMETER.findall(address or ""):
            channel["parameters"] = {one: {"description": f"Of which {one.removesuffix('_id')}."} for one in names}
        self.channels[name] = channel

    def operation(
        self, name: str, *, action: str, channel: str, what: str, service: str, messages: Iterable[str]
    ) -> Json:
        operation: Json = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": what,
            "tags": [{"name": service}],
            "messages": [{"$ref": f"#/channels/{channel}/messages/{one}"} for one in messages],
        }
        self.operations[name] = operation
        return operation

    def message(self, name: str, kind: Kind, **more: Any) -> str:
        self.messages[name] = {
            "name": _tag(kind),
            "title": kind.__name__,
            "summary": _sentence(kind),
            "contentType": "application/json",
            "payload": self._payloads[kind],
            **more,
        }
        return name


def _of_event(part: _Part, entry: Entry, readers: Sequence[Reader]) -> _Part:
    tag = entry.tag
    headers = "HeadersOfFacts" if entry.subject.startswith(_FACTS) else "HeadersOfSamples"
    part.message(tag, entry.event, headers={"$ref": f"#/components/schemas/{headers}"}, **_versioned(entry))
    part.channel(tag, entry.subject, _sentence(entry.event), [NATS], [tag])
    for service in entry.writers:
        part.operation(
            f"{service}.sends.{tag}",
            action="send",
            channel=tag,
            what=f"{service} writes it",
            service=service,
            messages=[tag],
        )
    for reader in readers:
        if any(_covers(filter_, entry.filter) for filter_ in reader.filters):
            what = f"{reader.service} reads it: {reader.purpose}"
            name = f"{reader.service}.{_WORDS.sub('_', reader.purpose).strip('_')}.{tag}"
            part.operation(name, action="receive", channel=tag, what=what, service=reader.service, messages=[tag])
    return part


def _versioned(entry: Entry) -> Json:
    return {} if entry.version == 1 else {"description": f"Version {entry.version}; older ones are lifted to it."}


def _of_ask(part: _Part, ask: Ask) -> _Part:
    """What is asked is answered at once, or forgotten."""
    tag = _SNAKE.sub("_", ask.request.__name__).lower()
    name, reply = f"ask_{tag}", f"ask_{tag}_reply"
    asked = part.message(ask.request.__name__, ask.request)
    told = [part.message(one.__name__, one) for one in (ask.answer, Refused)]
    part.channel(name, ask.subject, _sentence(ask.request), [NATS], [asked])
    part.channel(reply, None, "The answer, on the inbox that the request names.", [NATS], told)
    answer = {
        "channel": {"$ref": f"#/channels/{reply}"},
        "messages": [{"$ref": f"#/channels/{reply}/messages/{one}"} for one in told],
    }
    for service, action, verb in (*((one, "send", "asks") for one in ask.askers), (ask.answerer, "receive", "answers")):
        operation = part.operation(
            f"{service}.{verb}.{tag}",
            action=action,
            channel=name,
            what=f"{service} {verb}",
            service=service,
            messages=[asked],
        )
        operation["reply"] = answer
    return part


def _of_face(part: _Part, face: Face) -> _Part:
    sends = [part.message(f"{face.channel}.{_tag(kind)}", kind) for kind in face.sends]
    if face.text:
        sends.append(f"{face.channel}.line")
        part.messages[sends[-1]] = {
            "name": "line", "summary": face.text, "contentType": "text/plain", "payload": {"type": "string"},
        }  # fmt: skip
    takes = [part.message(f"{face.channel}.from_client.{_tag(kind)}", kind) for kind in face.takes]
    server = face.service if face.protocol == "ws" else f"{face.service}-http"
    part.channel(face.channel, face.address, face.what, [server], [*sends, *takes])
    if face.protocol == "ws" and face.query:
        query = {name: {"type": "string", "description": what} for name, what in face.query.items()}
        part.channels[face.channel]["bindings"] = {"ws": {"query": {"type": "object", "properties": query}}}
    elif face.query:
        told = "; ".join(f"`?{name}=`: {what}" for name, what in face.query.items())
        part.channels[face.channel]["description"] += f" {told}."
    for action, what, messages in (("send", "What clients are told.", sends), ("receive", "What they may say.", takes)):
        if messages:
            name = f"{face.channel}.{action}s"
            part.operation(
                name, action=action, channel=face.channel, what=what, service=face.service, messages=messages
            )
    return part


def _servers(one: Server) -> list[tuple[str, Json]]:
    return [
        (one.service, {"host": one.host, "protocol": "ws", "description": "WebSockets."}),
        (f"{one.service}-http", {"host": one.host, "protocol": "http", "description": "Server-Sent Events."}),
    ]


def _covers(wide: str, narrow: str) -> bool:
    """Whether a message on ``narrow``, which may have wildcards, can come through the filter ``wide``."""
    ours, theirs = wide.split("."), narrow.split(".")
    for mine, other in zip(ours, theirs, strict=False):
        if mine == ">":
            return True
        if "*" not in (mine, other) and mine != other and not mine.startswith("{"):
            return False
    return len(ours) == len(theirs)


def _schemas(kinds: Iterable[Kind]) -> tuple[dict[Kind, Json], Json]:
    """A reference for each of the types; and the JSON Schemas of all of them and of those in their fields."""
    each = list(dict.fromkeys(kinds))
    references, found = msgspec.json.schema_components(each, ref_template="#/components/schemas/{name}")
    return dict(zip(each, references, strict=True)), dict(sorted(found.items()))


def _tag(kind: Kind) -> str:
    return str(kind.__struct_config__.tag or kind.__name__)


def _sentence(kind: Kind) -> str:
    return (inspect.getdoc(kind) or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")
