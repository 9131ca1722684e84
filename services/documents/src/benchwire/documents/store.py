"""What a document store can do: each of its acts, with its steps in the order that a crash may not disturb (see ``blobs``)."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from benchwire.documents import commands, queries
from benchwire.documents.blobs import Freeing
from benchwire.documents.document import TYPES, Document, evolve
from benchwire.documents.errors import DocumentNotFound
from benchwire.events.blobs import Blobs
from benchwire.events.bus import Bus
from benchwire.events.document import DocumentCreated
from benchwire.events.event import Artifact, Event
from benchwire.events.log import Decided, Log, LogUnavailable
from benchwire.events.projection import Projection, ProjectionBehind

log = logging.getLogger(__name__)

_DEADLINE_S = 10.0


class Store:
    """Documents: written to the log, read from the projection. ``base_url`` is what their addresses begin with."""

    def __init__(self, bus: Bus, projection: Projection, *, incoming: Path, max_bytes: int, base_url: str) -> None:
        self.bus = bus
        self.projection = projection
        self.incoming = incoming
        self.max_bytes = max_bytes
        self.base_url = base_url
        self.blobs = Blobs(bus)
        self._log = Log(bus)
        self.freeing = Freeing(self._log, projection, self.blobs)

    async def create(self, received: commands.Received, file: Path, *, key: str | None = None) -> Document:
        """Keeps the bytes of ``file`` as a document; a repeated ``key`` finds the document of the first time.

        Raises ``BadTag``, ``BadMetadata``, ``KeyReused``, ``LogUnavailable`` and ``ProjectionBehind``.
        """
        document_id = f"doc_{uuid4().hex if key is None else sha256(key.encode()).hexdigest()[:32]}"
        event = commands.create(document_id, received, now=datetime.now(UTC))
        artifact = Artifact(digest=received.digest, size_bytes=received.size_bytes, name=received.filename)
        await self.blobs.put(file, name=artifact.name, known=artifact)
        created, sequence = await self._created(event, once=key is not None)
        await self.blobs.put(file, name=artifact.name, known=artifact)
        await self.projection.wait_for(sequence)
        return created

    async def _created(self, event: DocumentCreated, *, once: bool) -> tuple[Document, int]:
        if once:
            decision = partial(commands.create_once, created=event)
            decided = await self._decided(decision, event.document_id)
            created, sequence = decided.state, decided.sequence
        else:
            created, sequence = evolve(None, event), await self._log.append(event)
        assert created is not None
        return created, sequence

    async def _decided(
        self, decision: Callable[[Document | None], Event | None], document_id: str
    ) -> Decided[Document | None]:
        return await self._log.decide(TYPES, None, evolve, decision, deadline_s=_DEADLINE_S, document_id=document_id)

    async def update(self, document_id: str, change: commands.Change) -> Document:
        """Changes what is given. Raises ``DocumentNotFound``, ``BadTag``, ``BadMetadata``, ``LogUnavailable``, ``Contended``."""
        decision = partial(commands.update, document_id=document_id, change=change, now=datetime.now(UTC))
        decided = await self._decided(decision, document_id)
        await self.projection.wait_for(decided.sequence)
        assert decided.state is not None
        return decided.state

    async def delete(self, document_id: str) -> None:
        """Lets the document go, and its bytes with it when they were only its. Raises ``DocumentNotFound``, ``LogUnavailable``, ``Contended``."""
        digests: list[str] = []

        def decision(document: Document | None) -> Event:
            event = commands.delete(document, document_id, now=datetime.now(UTC))
            digests[:] = [] if document is None else [document.digest]
            return event

        decided = await self._decided(decision, document_id)
        await self.projection.wait_for(decided.sequence)
        for digest in digests:
            try:
                await self.freeing.free(digest)
            except (LogUnavailable, ProjectionBehind) as reason:  # the document is gone all the same
                log.warning("the bytes %s will be freed at the next start: %s", digest, reason)

    async def document(self, document_id: str) -> Document:
        """The document with this id. Raises ``DocumentNotFound``."""
        found = await self.projection.read(partial(queries.document, document_id=document_id))
        if found is None:
            raise DocumentNotFound(document_id)
        return found

    async def documents(self, wanted: queries.Wanted) -> queries.Page:
        """A page of what is wanted."""
        return await self.projection.read(partial(queries.documents, wanted=wanted))

    async def tag_counts(self) -> list[tuple[str, int]]:
        """Every tag, and how many documents have it."""
        return await self.projection.read(queries.tag_counts)
