"""What clients write into the fields of a document, read and checked. Pure."""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from benchwire.documents.errors import BadDigest, BadExpiry, BadMetadata, BadTag, BadUpload

MAX_TAGS = 100
MAX_METADATA_BYTES = 64 * 1024
_TAG = re.compile(r"[A-Za-z0-9-]{1,64}")
_HEX_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST_BYTES = 32


def is_tag(tag: str) -> bool:
    """Whether ``tag`` is one as it stands."""
    return _TAG.fullmatch(tag) is not None


def checked_tags(tags: Iterable[str]) -> list[str]:
    """The tags without white space around them, each once, in the given order; an empty one is none. Raises ``BadTag``."""
    found = list(dict.fromkeys(stripped for tag in tags if (stripped := tag.strip())))
    for tag in found:
        if not is_tag(tag):
            raise BadTag(tag, "use letters, digits and hyphens, 64 at most")
    if len(found) > MAX_TAGS:
        raise BadTag(found[MAX_TAGS], f"a document has {MAX_TAGS} tags at most")
    return found


def parsed_metadata(text: str) -> dict[str, str]:
    """The object of strings in ``text``; nothing is an empty one. Raises ``BadMetadata``."""
    if not text.strip():
        return {}
    try:
        return bounded(msgspec.json.decode(text, type=dict[str, str]))
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise BadMetadata(str(error)) from error


def bounded(metadata: dict[str, str]) -> dict[str, str]:
    """``metadata``, when it is not too much. Raises ``BadMetadata``."""
    try:
        size_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    except UnicodeEncodeError:
        raise BadMetadata("it holds half of a character") from None
    if size_bytes > MAX_METADATA_BYTES:
        raise BadMetadata(f"{MAX_METADATA_BYTES} bytes are the most")
    return metadata


def checked_digest(text: str) -> str:
    """The SHA-256 in ``text``, which names an artifact, in lower case. Raises ``BadDigest``."""
    if not _HEX_DIGEST.fullmatch(text):
        raise BadDigest
    return text.lower()


def parsed_digest(text: str) -> str | None:
    """The SHA-256 in ``text``, in hex: given so, or as ``sha-256=…`` of RFC 3230 or 9530; None when it holds digests of other kinds only.

    Raises ``BadUpload`` when it is no digest at all.
    """
    text = text.strip()
    if _HEX_DIGEST.fullmatch(text):
        return text.lower()
    for part in text.split(","):
        algorithm, equals, value = part.strip().partition("=")
        if not equals:
            raise BadUpload("a checksum is the SHA-256 in hex, or 'sha-256=…' in base64")
        if algorithm.lower() == "sha-256":
            try:
                raw = b64decode(value.strip().strip(":"), validate=True)
            except (binascii.Error, ValueError):
                raw = b""
            if len(raw) != _DIGEST_BYTES:
                raise BadUpload("the value of 'sha-256=…' is not a SHA-256 in base64")
            return raw.hex()
    return None


def parsed_time(text: str) -> datetime | None:
    """The time in ``text`` (ISO 8601); nothing is none. Raises ``BadExpiry``."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadExpiry(f"expires_at is {text.strip()[:40]!r}; it takes a time such as 2030-01-31T12:00:00Z") from None


def checked_expiry(at: datetime | None, *, now: datetime) -> datetime | None:
    """``at`` in UTC; without a zone it is UTC already. Raises ``BadExpiry`` when it is over."""
    if at is None:
        return None
    try:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise BadExpiry("expires_at is beyond the calendar") from None
    if at <= now:
        raise BadExpiry(f"expires_at is {at.isoformat()}, which is over; it takes a time to come")
    return at
