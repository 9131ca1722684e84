"""Documents: named bytes with tags. The bytes are in the object store, by digest."""

from datetime import datetime

import msgspec

from benchwire.events.event import Event


class DocumentCreated(Event, frozen=True, kw_only=True, tag="document_created"):
    """A document came in; ``digest`` is the SHA-256 of its bytes. It is kept until ``expires_at``, or for ever."""

    document_id: str
    filename: str
    content_type: str
    size_bytes: int
    digest: str
    tags: list[str] = []
    metadata: dict[str, str] = {}
    expires_at: datetime | None = None


class DocumentUpdated(Event, frozen=True, kw_only=True, tag="document_updated"):
    """Tags, metadata or the time to keep it changed; what is absent keeps its value. ``expires_at`` null means: kept for ever."""

    document_id: str
    tags: list[str] | None = None
    metadata: dict[str, str] | None = None
    expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


class DocumentLinked(Event, frozen=True, kw_only=True, tag="document_linked"):
    """The document is ``derived_from``, ``part_of`` or ``supersedes`` something.

    ``to`` is a document's id, or ``session:``, ``task:``, ``flash:`` with an id, ``device:<host>/<device>`` or ``artifact:<digest>``.
    """

    document_id: str
    kind: str
    to: str


class DocumentUnlinked(Event, frozen=True, kw_only=True, tag="document_unlinked"):
    """That relation was taken back."""

    document_id: str
    kind: str
    to: str


class DocumentDeleted(Event, frozen=True, kw_only=True, tag="document_deleted"):
    """The document is gone; its bytes go with the last document that has them. ``reason`` is ``expired`` when its time was over."""

    document_id: str
    reason: str | None = None


DocumentEvent = DocumentCreated | DocumentUpdated | DocumentLinked | DocumentUnlinked | DocumentDeleted
