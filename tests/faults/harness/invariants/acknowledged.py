"""What a client was promised is in the log, once."""

from collections import Counter
from collections.abc import Iterable, Sequence

from benchwire.events.document import DocumentCreated, DocumentDeleted
from benchwire.events.event import Event
from benchwire.events.flash import FlashRequested
from benchwire.events.log import Recorded
from benchwire.events.session import SessionRequested, ToolCalled
from benchwire.events.task import TaskRequested

from .finding import Finding

Acked = tuple[str, str]
"""What a 2xx has promised: the tag of the event, and the id that the client knows it by (see ``known_by``)."""


def known_by(event: Event) -> str | None:
    """The id by which the client that asked for ``event`` knows it; None for events that no client asks for."""
    match event:
        case ToolCalled(tool_use_id=name) | FlashRequested(job_id=name) | TaskRequested(task_id=name):
            return name
        case SessionRequested(session_id=name) | DocumentCreated(document_id=name) | DocumentDeleted(document_id=name):
            return name
    return None


def acknowledged_once(facts: Sequence[Recorded], acked: Iterable[Acked]) -> Finding:
    """Every event that was acknowledged is in the log exactly once, and no id is in it twice."""
    promised = Counter(acked)
    landed = Counter((_tag(one.event), name) for one in facts if (name := known_by(one.event)) is not None)
    ids = Counter(one.id for one in facts)
    wrong = [f"id {one} is in the log {count} times" for one, count in ids.items() if count > 1]
    wrong += [
        f"{tag} {name} is in the log {landed[tag, name]} times" for tag, name in promised if landed[tag, name] != 1
    ]
    figures = Counter(tag for tag, _ in promised)
    return Finding(
        invariant="every acknowledged event is in the log exactly once",
        figures={"facts": len(facts), "acknowledged": len(promised), **figures},
        wrong=wrong,
    )


def _tag(event: Event) -> str:
    return str(event.__struct_config__.tag)
