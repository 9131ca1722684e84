"""A document as its events tell it."""

from datetime import datetime
from hashlib import sha256

import msgspec

from benchwire.events.document import (
    DocumentCreated,
    DocumentDeleted,
    DocumentLinked,
    DocumentUnlinked,
    DocumentUpdated,
)
from benchwire.events.event import Event

TYPES: tuple[type[Event], ...] = (DocumentCreated, DocumentUpdated, DocumentLinked, DocumentUnlinked, DocumentDeleted)


class Link(msgspec.Struct, frozen=True, array_like=True):
    """What somebody said a document is to something else; in JSON a pair."""

    kind: str
    to: str


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
    expires_at: datetime | None = None
    links: list[Link] = []

    @property
    def version(self) -> str:
        """What changes with everything that can be changed: the same words, the same version."""
        return sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:32]


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
                expires_at=event.expires_at,
            )
        case DocumentUpdated() if state is not None:
            return msgspec.structs.replace(
                state,
                updated_at=event.timestamp,
                tags=state.tags if event.tags is None else event.tags,
                metadata=state.metadata if event.metadata is None else event.metadata,
                expires_at=state.expires_at if event.expires_at is msgspec.UNSET else event.expires_at,
            )
        case DocumentLinked() if state is not None:
            link = Link(event.kind, event.to)
            return msgspec.structs.replace(state, links=[*_without(state.links, link), link])
        case DocumentUnlinked() if state is not None:
            return msgspec.structs.replace(state, links=_without(state.links, Link(event.kind, event.to)))
        case DocumentDeleted():
            return None
        case _:
            return state


def _without(links: list[Link], one: Link) -> list[Link]:
    return [link for link in links if link != one]
