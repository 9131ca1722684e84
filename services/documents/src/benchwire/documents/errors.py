"""What can go wrong with a document, said so that a person can act on it."""

from benchwire.events.blobs import BlobMissing, DigestMismatch
from benchwire.web.forms import BadForm, FormTooLarge, NoRoom


class DocumentError(Exception):
    """Something a client asked for cannot be done."""


class DocumentNotFound(DocumentError):
    """No such document, or no longer."""

    def __init__(self, document_id: str) -> None:
        shown = document_id if len(document_id) <= 80 else document_id[:80] + "…"
        super().__init__(f"there is no document {shown!r}")


class BadTag(DocumentError):
    """A tag that is not one."""

    def __init__(self, tag: str, why: str = "use letters, digits and hyphens") -> None:
        shown = tag if len(tag) <= 40 else tag[:40] + "…"
        super().__init__(f"{shown!r} cannot be a tag: {why}")


class BadMetadata(DocumentError):
    """Metadata that is not an object of strings."""

    def __init__(self, why: str) -> None:
        super().__init__(f"metadata must be a JSON object whose values are strings: {why}")


class BadUpload(DocumentError):
    """A body that is not the form a document comes in."""


class UploadTooLarge(DocumentError):
    """More bytes than one document may have."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"a document may have {limit_bytes} bytes at most")


class BadDigest(DocumentError):
    """Not a SHA-256 in hex."""

    def __init__(self) -> None:
        super().__init__("an artifact is named by its SHA-256: 64 hexadecimal digits")


class BadQuery(DocumentError):
    """A query that cannot be answered."""


class NotText(DocumentError):
    """A part in characters was asked of something that has none."""

    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"offset and limit count characters, and {content_type} is not text; use the Range header for bytes"
        )


class RangeNotSatisfiable(DocumentError):
    """The range begins after the last byte."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the range lies outside of the {size_bytes} bytes that are there")
        self.size_bytes = size_bytes


class KeyReused(DocumentError):
    """The same ``Idempotency-Key`` came with other bytes."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another file; use a new one for each upload")


class ChecksumMismatch(DocumentError):
    """The bytes that came are not those that were promised."""

    def __init__(self, promised: str, actual: str) -> None:
        super().__init__(f"the bytes that came have the SHA-256 {actual}, but {promised} was promised; send them again")


class QuotaExceeded(DocumentError):
    """The store holds as much as it may."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"the store may hold {limit} {what} at most; delete some, or raise the limit")


class Changed(DocumentError):
    """``If-Match`` names another state than the one that is."""

    def __init__(self) -> None:
        super().__init__("the document is not what If-Match says any more; fetch it again, and decide anew")


class BadLink(DocumentError):
    """A relation that cannot be."""


class LinkTargetNotFound(DocumentError):
    """The other end of a relation is not there."""

    def __init__(self, target: str) -> None:
        super().__init__(f"there is no {target} to link to")


class LinkNotFound(DocumentError):
    """A relation that is not there cannot be taken back."""

    def __init__(self, kind: str, target: str) -> None:
        shown = target if len(target) <= 160 else target[:160] + "…"
        super().__init__(f"the document has no link {kind!r} to {shown!r}")


class BadExpiry(DocumentError):
    """A time to keep a document that is none."""


STATUS: dict[type[Exception], int] = {
    DocumentNotFound: 404,
    UploadTooLarge: 413,
    KeyReused: 409,
    Changed: 412,
    LinkTargetNotFound: 404,
    LinkNotFound: 404,
    BadForm: 400,
    FormTooLarge: 413,
    NoRoom: 507,
    QuotaExceeded: 507,
    DocumentError: 400,
    BlobMissing: 404,
    DigestMismatch: 500,  # what the store keeps is damaged, and its sentence says which bytes
}
