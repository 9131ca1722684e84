"""Documents: named bytes with tags. The bytes are in the object store, by digest."""

from benchwire.events.event import Event


class DocumentCreated(Event, frozen=True, kw_only=True, tag="document_created"):
    """A document came in; ``digest`` is the SHA-256 of its bytes."""

    document_id: str
    filename: str
    content_type: str
    size_bytes: int
    digest: str
    tags: list[str] = []
    metadata: dict[str, str] = {}


class DocumentUpdated(Event, frozen=True, kw_only=True, tag="document_updated"):
    """Tags or metadata changed; what is absent keeps its value."""

    document_id: str
    tags: list[str] | None = None
    metadata: dict[str, str] | None = None


class DocumentDeleted(Event, frozen=True, kw_only=True, tag="document_deleted"):
    """The document is gone; its bytes go with the last document that has them."""

    document_id: str


DocumentEvent = DocumentCreated | DocumentUpdated | DocumentDeleted
