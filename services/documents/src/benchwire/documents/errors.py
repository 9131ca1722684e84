"""What can go wrong with a document, said so that a person can act on it."""


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


class DiskFull(DocumentError):
    """The upload could not be kept on disk until it is in the store."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the upload could not be written to disk: {reason}")


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
