"""What may happen to a document: pure decisions."""

import re
from collections.abc import Iterable
from datetime import datetime

import msgspec

from benchwire.documents.document import Document
from benchwire.documents.errors import BadMetadata, BadTag, DocumentNotFound, KeyReused
from benchwire.events.document import DocumentCreated, DocumentDeleted, DocumentUpdated

MAX_TAGS = 100
MAX_METADATA_BYTES = 64 * 1024
_TAG = re.compile(r"[A-Za-z0-9-]{1,64}")
_DESCRIPTION = "description"


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """An upload as it stands: its bytes are ``size_bytes`` long and have ``digest``; ``tags`` and ``metadata`` are still text."""

    filename: str
    content_type: str
    size_bytes: int
    digest: str
    tags: str = ""
    metadata: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a client wants changed; what is absent or null stays."""

    tags: list[str] | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None


def create(document_id: str, received: Received, *, now: datetime) -> DocumentCreated:
    """A document comes to be. Raises ``BadTag`` and ``BadMetadata``."""
    return DocumentCreated(
        timestamp=now,
        document_id=document_id,
        filename=received.filename,
        content_type=received.content_type,
        size_bytes=received.size_bytes,
        digest=received.digest,
        tags=checked_tags(received.tags.split(",")),
        metadata=parsed_metadata(received.metadata),
    )


def create_once(document: Document | None, created: DocumentCreated) -> DocumentCreated | None:
    """``created``, unless an earlier try of the same upload got there. Raises ``KeyReused``."""
    if document is None:
        return created
    if document.digest != created.digest:
        raise KeyReused
    return None


def update(document: Document | None, document_id: str, change: Change, *, now: datetime) -> DocumentUpdated | None:
    """The given fields change; nothing happens when none is given. Raises ``DocumentNotFound``, ``BadTag`` and ``BadMetadata``."""
    if document is None:
        raise DocumentNotFound(document_id)
    if change == Change():
        return None
    return DocumentUpdated(
        timestamp=now,
        document_id=document_id,
        tags=None if change.tags is None else checked_tags(change.tags),
        metadata=_metadata(document.metadata, change),
    )


def delete(document: Document | None, document_id: str, *, now: datetime) -> DocumentDeleted:
    """The document goes. Raises ``DocumentNotFound``."""
    if document is None:
        raise DocumentNotFound(document_id)
    return DocumentDeleted(timestamp=now, document_id=document_id)


def _metadata(old: dict[str, str], change: Change) -> dict[str, str] | None:
    """``metadata`` is replaced as a whole, except for the description, which is a field of its own to clients."""
    if change.metadata is None and change.description is None:
        return None
    new = dict(old if change.metadata is None else change.metadata)
    if change.description is not None:
        new[_DESCRIPTION] = change.description
    elif _DESCRIPTION in old:
        new.setdefault(_DESCRIPTION, old[_DESCRIPTION])
    return _bounded(new)


def checked_tags(tags: Iterable[str]) -> list[str]:
    """The tags without white space around them, each once, in the given order; an empty one is none. Raises ``BadTag``."""
    found = list(dict.fromkeys(stripped for tag in tags if (stripped := tag.strip())))
    for tag in found:
        if not _TAG.fullmatch(tag):
            raise BadTag(tag, "use letters, digits and hyphens, 64 at most")
    if len(found) > MAX_TAGS:
        raise BadTag(found[MAX_TAGS], f"a document has {MAX_TAGS} tags at most")
    return found


def parsed_metadata(text: str) -> dict[str, str]:
    """The object of strings in ``text``; nothing is an empty one. Raises ``BadMetadata``."""
    if not text.strip():
        return {}
    try:
        return _bounded(msgspec.json.decode(text, type=dict[str, str]))
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise BadMetadata(str(error)) from error


def _bounded(metadata: dict[str, str]) -> dict[str, str]:
    try:
        size_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    except UnicodeEncodeError:
        raise BadMetadata("it holds half of a character") from None
    if size_bytes > MAX_METADATA_BYTES:
        raise BadMetadata(f"{MAX_METADATA_BYTES} bytes are the most")
    return metadata
