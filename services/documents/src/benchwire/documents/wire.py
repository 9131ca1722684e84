"""What clients send and get."""

from datetime import datetime
from typing import Any

import msgspec

from benchwire.documents.queries import Found
from benchwire.documents.relations import Facts, Relation, Relations
from benchwire.documents.search.index import Hit


class Link(Facts, frozen=True, kw_only=True):
    """What a document is to something else, ``to``: a document's id, or the kind of a thing of the lab and its name (``task:…``)."""

    kind: str
    to: str


class LinkedFrom(Facts, frozen=True, kw_only=True, rename={"from_": "from"}):
    """What something else, ``from``, is to the document."""

    kind: str
    from_: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A document as clients know it; ``checksum`` is the SHA-256 of its bytes, ``url`` is where they are. Kept until ``expires_at``, if any."""

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
    expires_at: datetime | None
    links: list[Link]
    linked_from: list[LinkedFrom]


class Match(Document, frozen=True, kw_only=True):
    """A document that was searched for: the words that were found are between U+0002 and U+0003 in ``snippet``; a higher ``score`` is better."""

    snippet: str
    score: float


class NewLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that a client asks for."""

    to: str
    kind: str


class BulkLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a bulk upload: its bytes come as ``text`` or as ``content_base64``; a repeated ``key`` makes no second document."""

    filename: str
    text: str | None = None
    content_base64: str | None = None
    content_type: str | None = None
    tags: list[str] = []
    metadata: dict[str, str] = {}
    expires_at: datetime | None = None
    checksum: str | None = None
    key: str | None = None


class BulkResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of a line, counted from 1: a document, or ``detail`` says why not."""

    line: int
    status_code: int
    id: str | None = None
    checksum: str | None = None
    detail: str | None = None


class Related(msgspec.Struct, frozen=True, kw_only=True):
    """What leads away from ``of``, and what leads to it."""

    of: str
    links: list[Link]
    linked_from: list[LinkedFrom]


class ArtifactLinks(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of bytes, and the documents that have them."""

    digest: str
    documents: list[str]
    links: list[Link]
    linked_from: list[LinkedFrom]


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


def shown(found: Found, base_url: str) -> Document:
    """A document as clients know it."""
    return Document(**_fields(found, base_url))


def matched(hit: Hit, base_url: str) -> Match:
    """A document that was found as clients know it."""
    return Match(**_fields(hit.found, base_url), snippet=hit.snippet, score=hit.score)


def related(of: str, relations: Relations) -> Related:
    """The relations of something as clients know them."""
    return Related(of=of, links=_links(relations), linked_from=_linked_from(relations))


def artifact_links(digest: str, documents: list[str], relations: Relations) -> ArtifactLinks:
    """The relations of bytes as clients know them."""
    return ArtifactLinks(
        digest=digest, documents=documents, links=_links(relations), linked_from=_linked_from(relations)
    )


def _fields(found: Found, base_url: str) -> dict[str, Any]:
    one = found.document
    return {
        "id": one.id,
        "filename": one.filename,
        "content_type": one.content_type,
        "size_bytes": one.size_bytes,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "tags": one.tags,
        "metadata": one.metadata,
        "description": one.metadata.get("description"),
        "url": f"{base_url}/documents/{one.id}",
        "checksum": one.digest,
        "expires_at": one.expires_at,
        "links": _links(found.relations),
        "linked_from": _linked_from(found.relations),
    }


def _links(relations: Relations) -> list[Link]:
    return [Link(to=one.other, **_known(one)) for one in relations.links]


def _linked_from(relations: Relations) -> list[LinkedFrom]:
    return [LinkedFrom(from_=one.other, **_known(one)) for one in relations.linked_from]


def _known(one: Relation) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(one).items() if name != "other"}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is; ``detail`` says what is wrong, if anything, ``warnings`` what wants a look."""

    status: str
    service: str
    applied: int
    behind: int
    unknown: int
    malformed: int
    detail: str | None = None
    warnings: list[str] = []


# What the OpenAPI document shows of bodies.

FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "with a file name"},
        "tags": {"type": "string", "description": "separated by commas: letters, digits and hyphens"},
        "metadata": {"type": "string", "description": "a JSON object whose values are strings"},
        "checksum": {"type": "string", "description": "the SHA-256 that the bytes have to have, in hex"},
        "expires_at": {"type": "string", "format": "date-time", "description": "until when the document is kept"},
    },
}
EXAMPLE_FORM = {
    "file": "count 1\ncount 2\n",
    "tags": "log,uart",
    "metadata": '{"description": "what the board printed"}',
}
EXAMPLE_CHANGE = {"tags": ["log", "uart"], "description": "what the board printed"}
EXAMPLE_LINES = (
    '{"filename": "a.log", "text": "count 1\\n", "tags": ["log"]}\n{"filename": "b.log", "text": "count 2\\n"}\n'
)
EXAMPLE_LINK = {"to": "task:task-0123456789abcdef", "kind": "derived_from"}
