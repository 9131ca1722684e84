"""What a document can be related to, and how that is written: a document's id, or the kind of a thing of the lab and its name.

``doc_…`` · ``session:<id>`` · ``task:<id>`` · ``flash:<job>`` · ``device:<host>/<device>`` · ``artifact:<SHA-256>``
"""

import re

import msgspec

from benchwire.documents.errors import BadLink
from benchwire.events import catalog
from benchwire.events.device import DeviceAttached
from benchwire.events.event import IllegalToken, token
from benchwire.events.flash import FlashRequested
from benchwire.events.session import SessionStarted
from benchwire.events.task import TaskRequested

DOCUMENT, SESSION, TASK, FLASH, DEVICE, ARTIFACT = "document", "session", "task", "flash", "device", "artifact"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORMS = "a document's id, session:ID, task:ID, flash:JOB, device:HOST/DEVICE or artifact:SHA-256"


class Thing(msgspec.Struct, frozen=True):
    """One end of a relation: its kind, and its name among those of its kind."""

    kind: str
    name: str


def parsed(text: str) -> Thing:
    """The thing that ``text`` names. Raises ``BadLink``."""
    kind, colon, name = text.partition(":")
    try:
        if not colon:
            return Thing(DOCUMENT, token(text, "the document's id"))
        match kind:
            case "session" | "task" | "flash":
                return Thing(kind, token(name, f"the {kind}'s id"))
            case "device" if name.count("/") == 1:
                host, _, device = name.partition("/")
                token(host, "the host")
                token(device, "the device")
                return Thing(DEVICE, name)
            case "artifact" if _DIGEST.fullmatch(name.lower()):
                return Thing(ARTIFACT, name.lower())
    except IllegalToken as error:
        raise BadLink(str(error)) from error
    shown = text if len(text) <= 80 else text[:80] + "…"
    raise BadLink(f"{shown!r} cannot be linked to; use {_FORMS}")


def written(thing: Thing) -> str:
    """The text that names ``thing``."""
    return thing.name if thing.kind == DOCUMENT else f"{thing.kind}:{thing.name}"


def checked(text: str) -> str:
    """``text`` in its one spelling. Raises ``BadLink``."""
    return written(parsed(text))


def history(thing: Thing) -> str | None:
    """The filter over what happened to a thing of the lab; None for documents and artifacts."""
    match thing.kind:
        case "session":
            return catalog.aggregate_of(SessionStarted, session_id=thing.name)
        case "task":
            return catalog.aggregate_of(TaskRequested, task_id=thing.name)
        case "flash":
            return catalog.aggregate_of(FlashRequested, job_id=thing.name)
        case "device":
            host, _, device = thing.name.partition("/")
            return catalog.aggregate_of(DeviceAttached, host=host, device=device)
        case _:
            return None
