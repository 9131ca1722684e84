"""Documents for the other services: pushed, searched and looked up over NATS, by the rules of the HTTP routes.

Bytes never travel here: they are in the artifact store before a push, and are read from it after a look-up.
"""

import re
from collections.abc import Awaitable, Callable

import msgspec

from benchwire.documents.commands import Received
from benchwire.documents.document import Document
from benchwire.documents.errors import STATUS, KeyReused
from benchwire.documents.fields import checked_digest
from benchwire.documents.names import safe_content_type, safe_filename
from benchwire.documents.queries import Wanted
from benchwire.documents.search.index import END_OF_HIT, HIT, Hit
from benchwire.documents.search.indexer import Indexer
from benchwire.documents.store import Store
from benchwire.events.asks import (
    DocumentFound,
    DocumentPushed,
    DocumentsFound,
    DocumentTold,
    GetDocument,
    PushDocument,
    Refused,
    SearchDocuments,
)
from benchwire.events.event import Artifact, token
from benchwire.web.errors import DEFAULTS

MAX_LIMIT = 100
MAX_ANSWER_BYTES = 512 * 1024  # half of what NATS carries in one message
MAX_EXCERPT_CHARS = 500
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")
_KNOWN = tuple(one for one in (*DEFAULTS, *STATUS) if one is not msgspec.MsgspecError)  # the bus tells that one


class Asking:
    """Serves the asks of documents; all stores of a lab share them."""

    def __init__(self, store: Store, search: Indexer) -> None:
        self._store = store
        self._search = search

    def endpoints(self) -> dict[str, Callable[[bytes], Awaitable[msgspec.Struct]]]:
        """``ask.documents.push``, ``.search`` and ``.get``."""
        return {
            "ask.documents.push": _told(self.push),
            "ask.documents.search": _told(self.search),
            "ask.documents.get": _told(self.get),
        }

    async def push(self, body: bytes) -> DocumentPushed | Refused:
        """Makes the document. Raises what ``Store.adopt`` raises."""
        asked = msgspec.json.decode(body, type=PushDocument)
        filename = safe_filename(asked.name)
        received = Received(
            filename=filename,
            content_type=safe_content_type(None, filename),
            size_bytes=asked.artifact.size_bytes,
            digest=checked_digest(asked.artifact.digest),
            tags=",".join(asked.tags),
        )
        document_id = token(asked.document_id, "the document's id")
        try:
            made = await self._store.adopt(document_id, received, session_id=asked.session_id)
        except KeyReused:
            return Refused(
                code="id_taken", detail=f"a document {document_id!r} with other bytes is there; use a new id"
            )
        return DocumentPushed(document_id=made.id)

    async def search(self, body: bytes) -> DocumentsFound:
        """What matches; without a ``query``, the newest. Raises ``BadQuery`` and ``LogUnavailable``."""
        asked = msgspec.json.decode(body, type=SearchDocuments)
        tags = tuple(stripped for tag in asked.tags if (stripped := tag.strip()))
        wanted = Wanted(tags=tags, limit=min(max(asked.limit, 1), MAX_LIMIT))
        if asked.query.strip():
            hits = await self._search.asked(asked.query, wanted)
            found = [_found(hit.found.document, _excerpt(hit)) for hit in hits.hits]
        else:
            page = await self._store.documents(wanted)
            found = [_found(one.document) for one in page.documents]
        return DocumentsFound(documents=_that_fit(found))

    async def get(self, body: bytes) -> DocumentTold:
        """What is known of one document. Raises ``DocumentNotFound``."""
        asked = msgspec.json.decode(body, type=GetDocument)
        one = await self._store.document(asked.document_id)
        artifact = Artifact(digest=one.digest, size_bytes=one.size_bytes, name=one.filename)
        return DocumentTold(document=_found(one), artifact=artifact)


def _told(
    answer: Callable[[bytes], Awaitable[msgspec.Struct]],
) -> Callable[[bytes], Awaitable[msgspec.Struct]]:
    """``answer``, whose errors are told as the routes tell them."""

    async def told(body: bytes) -> msgspec.Struct:
        try:
            return await answer(body)
        except _KNOWN as error:
            return Refused(code=_CAPITAL.sub("_", type(error).__name__).lower(), detail=str(error))

    return told


def _found(one: Document, excerpt: str = "") -> DocumentFound:
    return DocumentFound(
        document_id=one.id,
        name=one.filename,
        size_bytes=one.size_bytes,
        content_type=one.content_type,
        tags=one.tags,
        created_at=one.created_at.isoformat(),
        excerpt=excerpt,
    )


def _excerpt(hit: Hit) -> str:
    plain = hit.snippet.replace(HIT, "").replace(END_OF_HIT, "")
    return plain if len(plain) <= MAX_EXCERPT_CHARS else plain[:MAX_EXCERPT_CHARS] + "…"


def _that_fit(found: list[DocumentFound]) -> list[DocumentFound]:
    """As many of ``found`` as one answer carries: names and tags may be long."""
    left = MAX_ANSWER_BYTES
    for count, one in enumerate(found):
        left -= len(msgspec.json.encode(one))
        if left < 0:
            return found[:count]
    return found
