"""What clients send and get."""

from datetime import datetime

import msgspec

from benchwire.documents import document


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document as clients know it; ``checksum`` is the SHA-256 of its bytes, ``url`` is where they are."""

    id: str
    filename: str
    content_type: str
    size_bytes: int
    created_at: datetime
    updated_at: datetime
    tags: list[str]
    metadata: dict[str, str]
    description: str | None
    url: str
    checksum: str


class Tag(msgspec.Struct, frozen=True):
    """A tag, and how many documents have it."""

    name: str
    count: int


class Tags(msgspec.Struct, frozen=True):
    """All tags in use."""

    tags: list[Tag]


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a delete."""

    success: bool
    message: str
    document_id: str


def shown(one: document.Document, base_url: str) -> Document:
    """``one`` as clients know it."""
    return Document(
        id=one.id,
        filename=one.filename,
        content_type=one.content_type,
        size_bytes=one.size_bytes,
        created_at=one.created_at,
        updated_at=one.updated_at,
        tags=one.tags,
        metadata=one.metadata,
        description=one.metadata.get("description"),
        url=f"{base_url}/documents/{one.id}",
        checksum=one.digest,
    )


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is; ``detail`` says what is wrong, if anything."""

    status: str
    service: str
    applied: int
    behind: int
    unknown: int
    malformed: int
    detail: str | None = None
