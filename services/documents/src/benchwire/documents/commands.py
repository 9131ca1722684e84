"""What may happen to a document: pure decisions."""

from datetime import datetime

import msgspec

from benchwire.documents import things
from benchwire.documents.document import Document, Link
from benchwire.documents.errors import (
    BadLink,
    Changed,
    ChecksumMismatch,
    DocumentNotFound,
    KeyReused,
    LinkNotFound,
    QuotaExceeded,
)
from benchwire.documents.fields import (
    bounded,
    checked_expiry,
    checked_tags,
    is_tag,
    parsed_digest,
    parsed_metadata,
    parsed_time,
)
from benchwire.documents.names import safe_filename
from benchwire.events.document import (
    DocumentCreated,
    DocumentDeleted,
    DocumentLinked,
    DocumentUnlinked,
    DocumentUpdated,
)
from benchwire.events.serial import CaptureFinished

MAX_LINKS = 1000
KINDS = ("derived_from", "part_of", "supersedes")
_DESCRIPTION = "description"


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """An upload as it stands: its bytes are ``size_bytes`` long and have ``digest``; the other fields are still text.

    ``promised`` are the digests that the client says the bytes have, each in hex or as a ``Digest`` header spells it.
    """

    filename: str
    content_type: str
    size_bytes: int
    digest: str
    tags: str = ""
    metadata: str = ""
    expires_at: str = ""
    promised: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What all documents together may be; 0 is no limit."""

    total_bytes: int = 0
    documents: int = 0


class Totals(msgspec.Struct, frozen=True):
    """What all documents together are: how many, with how many different contents, of how many bytes."""

    documents: int
    blobs: int
    size_bytes: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants changed; what is absent or null stays, but for ``expires_at``: null keeps the document for ever."""

    tags: list[str] | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


def create(document_id: str, received: Received, *, now: datetime) -> DocumentCreated:
    """A document comes to be. Raises ``BadTag``, ``BadMetadata``, ``BadExpiry`` and ``ChecksumMismatch``."""
    check_promised(received)
    return DocumentCreated(
        timestamp=now,
        document_id=document_id,
        filename=received.filename,
        content_type=received.content_type,
        size_bytes=received.size_bytes,
        digest=received.digest,
        tags=checked_tags(received.tags.split(",")),
        metadata=parsed_metadata(received.metadata),
        expires_at=checked_expiry(parsed_time(received.expires_at), now=now),
    )


def create_once(document: Document | None, created: DocumentCreated) -> DocumentCreated | None:
    """``created``, unless an earlier try of the same upload got there. Raises ``KeyReused``."""
    if document is None:
        return created
    if document.digest != created.digest:
        raise KeyReused
    return None


def keep_capture(made: bool, capture: CaptureFinished) -> DocumentCreated | None:
    """What a board printed comes to be a document, unless it was one before, be that deleted since."""
    if made:
        return None
    told = {
        "host": capture.host,
        "device": capture.device,
        "lost_bytes": str(capture.lost_bytes),
        "reason": capture.reason,
    }
    return DocumentCreated(
        timestamp=capture.timestamp,
        document_id=capture.capture_id,
        filename=safe_filename(capture.artifact.name),
        content_type="text/plain",
        size_bytes=capture.artifact.size_bytes,
        digest=capture.artifact.digest,
        tags=checked_tags(["serial", *filter(is_tag, capture.tags)]),
        metadata=told,
    )


def check_quota(totals: Totals, limits: Limits, *, new_bytes: int) -> None:
    """Whether one more document, with ``new_bytes`` that are not there yet, has its place. Raises ``QuotaExceeded``."""
    if limits.documents and totals.documents >= limits.documents:
        raise QuotaExceeded("documents", limits.documents)
    if limits.total_bytes and new_bytes and totals.size_bytes + new_bytes > limits.total_bytes:
        raise QuotaExceeded("bytes", limits.total_bytes)


def check_match(document: Document, if_match: str | None) -> None:
    """Whether ``If-Match`` names the document as it is: by its version, or by its bytes. Raises ``Changed``."""
    if if_match is None or if_match.strip() == "*":
        return
    named = {one.strip() for one in if_match.split(",")}  # a weak one never matches (RFC 9110, 13.1.1)
    if named.isdisjoint({f'"{document.version}"', f'"{document.digest}"'}):
        raise Changed


def update(
    document: Document | None, document_id: str, change: Change, *, now: datetime, if_match: str | None = None
) -> DocumentUpdated | None:
    """The given fields change; nothing happens when none is given.

    Raises ``DocumentNotFound``, ``Changed``, ``BadTag``, ``BadMetadata`` and ``BadExpiry``.
    """
    if document is None:
        raise DocumentNotFound(document_id)
    check_match(document, if_match)
    if change == Change():
        return None
    return DocumentUpdated(
        timestamp=now,
        document_id=document_id,
        tags=None if change.tags is None else checked_tags(change.tags),
        metadata=_metadata(document.metadata, change),
        expires_at=change.expires_at if change.expires_at is msgspec.UNSET else checked_expiry(change.expires_at, now=now),
    )  # fmt: skip


def delete(
    document: Document | None, document_id: str, *, now: datetime, if_match: str | None = None
) -> DocumentDeleted:
    """The document goes. Raises ``DocumentNotFound`` and ``Changed``."""
    if document is None:
        raise DocumentNotFound(document_id)
    check_match(document, if_match)
    return DocumentDeleted(timestamp=now, document_id=document_id)


def expire(document: Document | None, *, now: datetime) -> DocumentDeleted | None:
    """The document goes if its time is over."""
    if document is None or document.expires_at is None or document.expires_at > now:
        return None
    return DocumentDeleted(timestamp=now, document_id=document.id, reason="expired")


def link(document: Document | None, document_id: str, kind: str, to: str, *, now: datetime) -> DocumentLinked | None:
    """The document is related to ``to``; nothing happens when it is already. Raises ``DocumentNotFound`` and ``BadLink``."""
    if document is None:
        raise DocumentNotFound(document_id)
    if kind not in KINDS:
        raise BadLink(f"{kind[:40]!r} is no kind of link; use {', '.join(KINDS)}")
    to = things.checked(to)
    if to == document_id:
        raise BadLink("a document cannot be linked to itself")
    if Link(kind, to) in document.links:
        return None
    if len(document.links) >= MAX_LINKS:
        raise BadLink(f"a document has {MAX_LINKS} links at most")
    return DocumentLinked(timestamp=now, document_id=document_id, kind=kind, to=to)


def unlink(document: Document | None, document_id: str, kind: str, to: str, *, now: datetime) -> DocumentUnlinked:
    """The relation goes. Raises ``DocumentNotFound`` and ``LinkNotFound``."""
    if document is None:
        raise DocumentNotFound(document_id)
    if Link(kind, to) not in document.links:
        raise LinkNotFound(kind, to)
    return DocumentUnlinked(timestamp=now, document_id=document_id, kind=kind, to=to)


def check_promised(received: Received) -> None:
    """Whether the bytes are those that were promised. Raises ``BadUpload`` and ``ChecksumMismatch``, which names both."""
    for one in received.promised:
        promised = parsed_digest(one)
        if promised is not None and promised != received.digest:
            raise ChecksumMismatch(promised, received.digest)


def _metadata(old: dict[str, str], change: Change) -> dict[str, str] | None:
    """``metadata`` is replaced as a whole, except for the description, which is a field of its own to clients."""
    if change.metadata is None and change.description is None:
        return None
    new = dict(old if change.metadata is None else change.metadata)
    if change.description is not None:
        new[_DESCRIPTION] = change.description
    elif _DESCRIPTION in old:
        new.setdefault(_DESCRIPTION, old[_DESCRIPTION])
    return bounded(new)
