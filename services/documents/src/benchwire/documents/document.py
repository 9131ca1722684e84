"""A document as its events tell it."""

from datetime import datetime

import msgspec

from benchwire.events.document import DocumentCreated, DocumentDeleted, DocumentUpdated
from benchwire.events.event import Event

TYPES: tuple[type[Event], ...] = (DocumentCreated, DocumentUpdated, DocumentDeleted)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a document; ``digest`` is the SHA-256 of its bytes."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    digest: str
    created_at: datetime
    updated_at: datetime
    tags: list[str]
    metadata: dict[str, str]


def evolve(state: Document | None, event: Event) -> Document | None:
    """The document after ``event``; None before it was created and after it was deleted."""
    match event:
        case DocumentCreated():
            return Document(
                id=event.document_id,
                filename=event.filename,
                content_type=event.content_type,
                size_bytes=event.size_bytes,
                digest=event.digest,
                created_at=event.timestamp,
                updated_at=event.timestamp,
                tags=event.tags,
                metadata=event.metadata,
            )
        case DocumentUpdated() if state is not None:
            return msgspec.structs.replace(
                state,
                updated_at=event.timestamp,
                tags=state.tags if event.tags is None else event.tags,
                metadata=state.metadata if event.metadata is None else event.metadata,
            )
        case DocumentDeleted():
            return None
        case _:
            return state
